// JA3 and JA4 of real programs as Wireshark and read-tls-client-hello compute them. Each hello is caught on the way to a port of
// ours; what is not installed is skipped.
import { PassThrough } from 'node:stream';
import { type ConnectionOptions, createSecureContext } from 'node:tls';

import { calculateJa3, calculateJa4, readTlsClientHello } from 'read-tls-client-hello';
import { describe, expect, test } from 'vitest';

import { hasCommand } from '../../../testing/lab/clients.ts';
import { type ClientHello, ClientHelloReader } from '../src/client-hello.ts';
import { ja3, ja4 } from '../src/fingerprint.ts';
import { HelloMirror } from '../src/hello-mirror.ts';
import { helloOfChromium, helloOfFirefox } from './browser-hellos.ts';
import { mirrorMissing } from './hello-mirror-there.ts';
import {
  helloOfCurl,
  helloOfHttps,
  helloOfNode,
  helloOfOpenSsl,
  helloOfPython,
  helloOfWget,
} from './hellos.ts';
import { fieldsOf, knownFields, missingTshark } from './tshark.ts';

const missing = await missingTshark();
const wireshark = {
  'tls.handshake.ja3': (given: Fingerprints) => given.ja3,
  'tls.handshake.ja3_full': (given: Fingerprints) => given.ja3Text,
  'tls.handshake.ja4': (given: Fingerprints) => given.ja4,
} as const;

interface Fingerprints {
  readonly ja3: string;
  readonly ja3Text: string;
  readonly ja4: string;
}

function read(bytes: Buffer): ClientHello {
  const hello = new ClientHelloReader().push(bytes);
  if (hello === undefined) throw new Error('the hello is not whole');
  return hello;
}

function ours(bytes: Buffer): Fingerprints {
  const hello = read(bytes);
  const { string, hash } = ja3(hello);
  return { ja3: hash, ja3Text: string, ja4: ja4(hello) };
}

const programs: readonly (readonly [string, string | undefined, () => Promise<Buffer>])[] = [
  ['Chromium', 'chromium', () => helloOfChromium('example.test')],
  ['Firefox', 'firefox-esr', () => helloOfFirefox()],
  ['curl', 'curl', () => helloOfCurl('example.test')],
  ['OpenSSL', 'openssl', () => helloOfOpenSsl('example.test')],
  ['Node', undefined, () => helloOfHttps('example.test')],
  ['Python', 'python3', () => helloOfPython('example.test')],
  ['wget', 'wget', () => helloOfWget()],
];

const slow = { timeout: 90_000 };

describe.each(programs)('FP-04 %s', (name, command, catchHello) => {
  const once = new Map<string, Promise<Buffer>>();
  const caught = (): Promise<Buffer> => {
    const hello = once.get(name) ?? catchHello();
    once.set(name, hello);
    return hello;
  };
  const whatLacks = async (): Promise<string | undefined> =>
    command === undefined || (await hasCommand(command)) ? undefined : `${command} is not installed`;

  test('has the fingerprints that read-tls-client-hello gives it', slow, async ({ annotate, skip }) => {
    const lacks = await whatLacks();
    skip(lacks !== undefined, lacks);
    const bytes = await caught();
    const given = ours(bytes);
    await annotate(`${given.ja4}, JA3 ${given.ja3}`);
    const stream = new PassThrough();
    stream.write(bytes);
    const parsed = await readTlsClientHello(stream);
    expect({ ja3: given.ja3, ja4: given.ja4 }).toEqual({
      ja3: calculateJa3(parsed),
      ja4: calculateJa4(parsed),
    });
  });

  test('is mirrored, or what stays different is told', slow, async ({ annotate, skip }) => {
    const lacks = mirrorMissing ?? (await whatLacks());
    skip(lacks !== undefined, lacks);
    const hello = read(await caught());
    const { context, differences } = HelloMirror.load().mirror(hello, {}, () => createSecureContext());
    const sent: ConnectionOptions & { readonly requestOCSP: boolean } = {
      secureContext: context,
      servername: 'example.test',
      ALPNProtocols: [...hello.alpn],
      requestOCSP: hello.extensions.includes(5),
    };
    const mirrored = read(await helloOfNode(sent));
    await annotate(
      `${ja4(hello)} became ${ja4(mirrored)}; told to differ: ${differences.join(', ') || 'nothing'}`,
    );
    expect(ja4(mirrored) === ja4(hello) || differences.length > 0).toBe(true);
  });

  test('has the fingerprints that Wireshark gives it', slow, async ({ skip }) => {
    const lacks = missing ?? (await whatLacks());
    skip(lacks !== undefined, lacks);
    const bytes = await caught();
    const given = ours(bytes);
    const known = await knownFields(Object.keys(wireshark));
    expect(known).toContain('tls.handshake.ja3');
    const expected = Object.entries(wireshark)
      .filter(([field]) => known.includes(field))
      .map(([field, of]) => [field, of(given)]);
    expect(Object.entries(await fieldsOf(bytes, known))).toEqual(expected);
  });
});
