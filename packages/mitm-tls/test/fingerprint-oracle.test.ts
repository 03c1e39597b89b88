// JA3 and JA4 as another implementation computes them, on hellos of real programs and on hellos put together at random.
import { PassThrough } from 'node:stream';

import fc from 'fast-check';
import { calculateJa3, calculateJa4, readTlsClientHello } from 'read-tls-client-hello';
import { describe, expect, test } from 'vitest';

import { hasCommand } from '../../../testing/lab/clients.ts';
import { ClientHelloReader } from '../src/client-hello.ts';
import { ja3, ja4 } from '../src/fingerprint.ts';
import {
  extension,
  helloBody,
  helloOfCurl,
  helloOfHttps,
  helloOfNode,
  helloOfOpenSsl,
  helloOfPython,
  inRecords,
} from './hellos.ts';

interface Fingerprints {
  readonly ja3: string;
  readonly ja4: string;
}

function ours(bytes: Buffer): Fingerprints {
  const hello = new ClientHelloReader().push(bytes);
  if (hello === undefined) throw new Error('the hello is not whole');
  return { ja3: ja3(hello).hash, ja4: ja4(hello) };
}

async function theirs(bytes: Buffer): Promise<Fingerprints> {
  const stream = new PassThrough();
  stream.write(bytes);
  const hello = await readTlsClientHello(stream);
  return { ja3: calculateJa3(hello), ja4: calculateJa4(hello) };
}

describe('of real programs', () => {
  const programs: readonly [string, string | undefined, () => Promise<Buffer>][] = [
    ['Node, https', undefined, () => helloOfHttps('example.test')],
    ['Node, tls without a name', undefined, () => helloOfNode()],
    ['Node, tls with protocols', undefined, () => helloOfNode({ ALPNProtocols: ['h2', 'http/1.1'] })],
    ['Node, TLS 1.2 alone', undefined, () => helloOfNode({ maxVersion: 'TLSv1.2', servername: 'a.test' })],
    ['Node, TLS 1.3 alone', undefined, () => helloOfNode({ minVersion: 'TLSv1.3', servername: 'a.test' })],
    ['openssl', 'openssl', () => helloOfOpenSsl('example.test')],
    ['curl', 'curl', () => helloOfCurl('example.test')],
    ['Python', 'python3', () => helloOfPython('example.test')],
  ];
  for (const [name, command, caught] of programs) {
    test(`FP-04 ${name}`, async ({ skip }) => {
      skip(command !== undefined && !(await hasCommand(command)), `${command} is not on this machine`);
      const bytes = await caught();
      expect(ours(bytes)).toEqual(await theirs(bytes));
    });
  }
});

describe('of any hello', () => {
  // The other one takes more for GREASE than RFC 8701 §2 names: any two octets that end in a.
  const uint16 = fc.integer({ min: 0, max: 0xffff }).filter((value) => (value & 0x0f0f) !== 0x0a0a);
  const grease = fc.integer({ min: 0, max: 15 }).map((high) => (high << 12) | (high << 4) | 0x0a0a);
  const values = fc.array(fc.oneof({ weight: 6, arbitrary: uint16 }, grease), {
    minLength: 1,
    maxLength: 12,
  });
  // With TLS 1.3 among them: the other one takes that for granted where the extension is there at all.
  const versions = fc
    .array(fc.oneof(fc.constantFrom(0x0301, 0x0302, 0x0303), grease), { maxLength: 3 })
    .map((list) => [...list, 0x0304]);
  const protocols = fc.array(fc.constantFrom('h2', 'http/1.1', 'h', '1'), { minLength: 1, maxLength: 3 });
  // Types that carry nothing which either side reads.
  const plainTypes = fc.uniqueArray(fc.oneof(fc.constantFrom(5, 17, 18, 22, 23, 27, 35, 49), grease), {
    maxLength: 6,
  });
  const fields = fc.record({
    cipherSuites: values,
    groups: values,
    signatureAlgorithms: values,
    versions,
    protocols,
    plainTypes,
    hasName: fc.boolean(),
  });

  test('law: both say the same', async () => {
    await fc.assert(
      fc.asyncProperty(fields, async (given) => {
        const extensions: [number, Buffer][] = [
          ...(given.hasName ? [extension.serverName('example.test')] : []),
          ...given.plainTypes.map((type): [number, Buffer] => extension.raw(type)),
          extension.groups(...given.groups),
          extension.pointFormats(0),
          extension.signatureAlgorithms(...given.signatureAlgorithms),
          extension.alpn(...given.protocols),
          extension.supportedVersions(...given.versions),
        ];
        const bytes = inRecords(helloBody({ cipherSuites: given.cipherSuites, extensions }));
        expect(ours(bytes)).toEqual(await theirs(bytes));
      }),
    );
  });

  test('over several records, which the other one can’t read, it is that of one record', () => {
    const body = helloBody({ extensions: [extension.serverName('example.test'), extension.alpn('h2')] });
    for (const length of [1, 7, 100]) expect(ours(inRecords(body, length))).toEqual(ours(inRecords(body)));
  });
});
