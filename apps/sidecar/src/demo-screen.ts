// What the demo prints first: the request that went through the proxy, and the command that a person would try next.
import type { DemoAnswer } from './demo-request.ts';
import type { Sighting } from './demo-watch.ts';
import { bytesText, durationText, printable } from './flow-lines.ts';
import { authorityText } from './status.ts';

export interface DemoScreen {
  readonly address: { readonly host: string; readonly port: number };
  readonly sighting: Sighting;
  readonly answer: DemoAnswer;
}

/** The intercepted request as a table. */
export function demoScreen({ address, sighting, answer }: DemoScreen): string {
  const { summary } = sighting;
  const rows: readonly (readonly [string, string])[] = [
    ['request', `${summary.method} ${summary.url}`],
    ['protocol', `${summary.protocol} inside ${answer.tlsVersion}`],
    ['certificate', `made by the proxy, signed by "${answer.issuer}"`],
    ['sent', described(summary.bytesUp, sighting.requestBody)],
    ['status', String(summary.status)],
    ['received', described(summary.bytesDown, sighting.answerBody)],
    ['time', durationText(summary.durationMs)],
  ];
  return [
    `soth-mitm listens on ${authorityText(address.host, address.port)}.`,
    '',
    'An HTTPS request went through it to a local origin. This is what it read on the way:',
    '',
    ...rows.map(([name, value]) => printable(`  ${name.padEnd(13)}${value}`)),
    '',
    '',
  ].join('\n');
}

const shownLength = 100;

function described(bytes: number, body: string): string {
  const text = body.trim();
  const shown = text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
  return shown === '' ? bytesText(bytes) : `${bytesText(bytes)}  ${shown}`;
}

export interface CurlOptions {
  readonly address: { readonly host: string; readonly port: number };
  /** The file with the proxy's certificate. */
  readonly caPath: string;
  readonly url: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
}

/** The command that sends another request through the proxy. */
export function curlCommand({ address, caPath, url, environment, platform }: CurlOptions): string {
  const { host, port } = dialable(address);
  // curl leaves the proxy out for hosts that this variable lists, even when it is told to use one.
  const exceptions = `${environment['no_proxy'] ?? ''}${environment['NO_PROXY'] ?? ''}`;
  return [
    'curl',
    `--proxy http://${authorityText(host, port)}`,
    ...(exceptions.trim() === '' ? [] : ['--noproxy ""']),
    // The system's TLS of Windows asks for a revocation service, and a local authority has none.
    ...(platform === 'win32' ? ['--ssl-no-revoke'] : []),
    `--cacert ${quoted(caPath)}`,
    url,
  ].join(' ');
}

/** Where a client on this machine reaches a listener. */
export function dialable({ host, port }: { readonly host: string; readonly port: number }): {
  readonly host: string;
  readonly port: number;
} {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port };
  return host === '::' ? { host: '::1', port } : { host, port };
}

function quoted(path: string): string {
  return /^[\w./:\\@%+=,-]+$/u.test(path) ? path : `"${path}"`;
}
