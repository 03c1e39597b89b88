// Configuration of the further places where clients arrive: where each is, what its clients speak, and what comes before that.
import { z } from 'zod';

import { parseAddressRange, readBind } from './address.ts';
import { filePath, port, readAs, reading, text, wholeNumber } from './field.ts';

/** What clients of a listener speak, and who names the target. */
export const listenerKinds = ['proxy', 'socks5', 'direct', 'transparent'] as const;
export type ListenerKind = (typeof listenerKinds)[number];

/** How the system brings redirected connections. */
export const redirections = ['redirect', 'tproxy'] as const;
export type Redirection = (typeof redirections)[number];

/** What an address of a Unix socket can hold on every system that has them, in bytes. */
const socketPathBytes = 103;

/** The path of a Unix socket. */
export function socketPath(): z.ZodString {
  return filePath().refine((path) => new TextEncoder().encode(path).length <= socketPathBytes, {
    error: `must have at most ${socketPathBytes} bytes: systems take no longer path for a socket`,
  });
}

const bindAddress = z
  .union([z.string(), z.strictObject({ host: z.string(), port: z.number() })], {
    error: 'must be a text HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080',
  })
  .transform(readAs(readBind))
  .optional()
  .describe('Address and port to listen on, written as in the top-level `bind`.');

const proxyTls = z
  .strictObject({
    certPath: filePath().optional().describe('PEM file with the certificate and its chain.'),
    keyPath: filePath().optional().describe('PEM file with the private key.'),
    names: z
      .array(text())
      .min(1, { error: 'must name at least one host or address of the proxy' })
      .optional()
      .describe(
        'In place of the files: names and addresses of the proxy. A certificate for them is made with the authority of the proxy, which its clients trust anyway.',
      ),
  })
  .superRefine((tls, ctx) => {
    const hasFiles = tls.certPath !== undefined && tls.keyPath !== undefined;
    const hasAnyFile = tls.certPath !== undefined || tls.keyPath !== undefined;
    if (tls.names === undefined ? hasFiles : !hasAnyFile) return;
    ctx.addIssue({
      code: 'custom',
      message: 'must have either certPath and keyPath, or names',
      input: undefined,
    });
  }, reading())
  .optional()
  .describe(
    'The proxy itself is spoken to over TLS: clients use an `https://` proxy address, and HTTP/1.1 inside. Only for kind `proxy`.',
  );

const proxyProtocol = z
  .strictObject({
    trustedAddresses: z
      .array(z.string().transform(readAs(parseAddressRange)), { error: 'must be a list of address ranges' })
      .min(1, { error: 'must name at least one address or range, such as 10.0.0.0/8' })
      .describe('Whose headers are believed: addresses, or ranges such as `10.0.0.0/8`.'),
  })
  .optional()
  .describe(
    'Connections from trusted addresses begin with a PROXY protocol header, version 1 or 2, which names the client. It is required from them, and an error from anybody else.',
  );

const listener = z
  .strictObject({
    bind: bindAddress,
    unixSocketPath: socketPath()
      .optional()
      .describe('Path of a Unix socket to listen on, as the top-level `unixSocketPath`.'),
    fd: wholeNumber('file descriptors', 3, 65_535)
      .optional()
      .describe(
        'A listening socket that systemd has opened for this process (socket activation), by its number: 3 is the first.',
      ),
    kind: z
      .enum(listenerKinds)
      .default('proxy')
      .describe(
        'What clients speak. `proxy`: HTTP/1, CONNECT, HTTP/2 and SOCKS5, told apart by the first byte. `socks5`: SOCKS5 alone. `direct`: TLS or HTTP as to an origin; its server name or Host is the target. `transparent`: connections that the firewall of this Linux machine redirects.',
      ),
    requiresAuthentication: z
      .boolean()
      .default(true)
      .describe('Whether clients have to name one of the users of `proxyAuthentication`, where it has any.'),
    targetPort: port()
      .default(443)
      .describe('Kind `direct`: the port of the origins that TLS clients are connected to.'),
    redirection: z
      .enum(redirections)
      .default('redirect')
      .describe(
        'Kind `transparent`: how the firewall brings connections. `redirect` is the target REDIRECT or DNAT, `tproxy` is TPROXY.',
      ),
    tls: proxyTls,
    proxyProtocol,
  })
  .superRefine(checkListener, reading('kind'))
  .describe('One place where clients arrive.');

export const listenersField = z
  .array(listener)
  .default([])
  .describe(
    'Further places where clients arrive, beside `bind` and `unixSocketPath`. Each has exactly one of `bind`, `unixSocketPath` and `fd`.',
  );

/** One further listener, complete. */
export type ListenerConfig = z.output<typeof listener>;

type ListenerValues = {
  readonly kind: ListenerKind;
  readonly bind?: unknown;
  readonly unixSocketPath?: unknown;
  readonly fd?: unknown;
  readonly tls?: unknown;
  readonly proxyProtocol?: unknown;
};

function checkListener(values: ListenerValues, ctx: z.core.$RefinementCtx): void {
  const complain = (message: string, path: readonly string[] = []): void =>
    ctx.addIssue({ code: 'custom', path: [...path], message, input: undefined });
  const { kind, bind, unixSocketPath, fd, tls } = values;
  if ([bind, unixSocketPath, fd].filter((place) => place !== undefined).length !== 1) {
    complain('must have exactly one of bind, unixSocketPath and fd');
  }
  if (tls !== undefined && kind !== 'proxy') {
    complain(`must not be given for kind ${kind}: only a proxy is spoken to over TLS`, ['tls']);
  }
  if (kind === 'transparent' && unixSocketPath !== undefined) {
    complain('must not be given for kind transparent: a firewall redirects to addresses', ['unixSocketPath']);
  }
  if (values.proxyProtocol === undefined) return;
  if (unixSocketPath !== undefined || kind === 'transparent') {
    const why = kind === 'transparent' ? 'nobody stands before it' : 'its clients have no address to trust';
    complain(`must not be given here: ${why}`, ['proxyProtocol']);
  }
}
