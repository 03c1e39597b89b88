import { describe, expect, test } from 'vitest';

import { parseClientHello } from '../src/client-hello-body.ts';
import { type ClientHello, ClientHelloReader } from '../src/client-hello.ts';
import { ja3, ja4, TlsClientFingerprint } from '../src/fingerprint.ts';
import {
  extension,
  helloBody,
  type HelloFields,
  helloOfHttps,
  helloOfNode,
  helloOfOpenSsl,
} from './hellos.ts';
import { openSslMissing } from './openssl.ts';

function read(bytes: Buffer): ClientHello {
  const hello = new ClientHelloReader().push(bytes);
  if (hello === undefined) throw new Error('the hello is not whole');
  return hello;
}

const made = (fields: HelloFields): ClientHello => parseClientHello(helloBody(fields), 0);
const first = (fields: HelloFields): string => ja4(made(fields)).split('_')[0] ?? '';

describe('real clients', () => {
  test.skipIf(process.versions.openssl.startsWith('3.0'))('FP-04 https of this Node', async () => {
    const hello = read(await helloOfHttps('example.test'));
    expect(ja4(hello)).toBe('t13d521100_b262b3658495_8e6e362c5eac');
  });

  test('FP-04 tls.connect of this Node, without a name and with protocols', async () => {
    const hello = read(await helloOfNode({ ALPNProtocols: ['h2', 'http/1.1'] }));
    expect(ja4(hello)).toMatch(/^t13i\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$/);
  });

  test.skipIf(openSslMissing ?? false)(
    `FP-04 openssl s_client${openSslMissing ? ` (skipped: ${openSslMissing})` : ''}`,
    async () => {
      const hello = read(await helloOfOpenSsl('example.test'));
      // OpenSSL 3.5 and later offer a hybrid group, and with it other lists.
      const isNewer = hello.groups.includes(0x11ec);
      expect(ja4(hello)).toMatch(isNewer ? /^t13d\d{4}00_/ : /^t13d311000_e8f1e7e78f70_1f22a2ca17c4$/);
    },
  );

  test('the JA3 of a program is the same each time, although its hello is not', async () => {
    const [one, other] = [await helloOfNode(), await helloOfNode()].map(read);
    if (one === undefined || other === undefined) throw new Error('no hello');
    expect(ja3(one)).toEqual(ja3(other));
    expect(ja3(one).hash).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('JA3', () => {
  test('version and lists in wire order, without GREASE', () => {
    const hello = made({
      legacyVersion: 0x0303,
      cipherSuites: [0x0a0a, 0x1301, 0xc02f],
      extensions: [
        extension.raw(0xfafa),
        extension.serverName('a.test'),
        extension.groups(0x1a1a, 29, 23),
        extension.pointFormats(0),
      ],
    });
    expect(ja3(hello)).toEqual({
      string: '771,4865-49199,0-10-11,29-23,0',
      hash: 'bca193bf3b6d2156cfbe0e6b4b306d3e',
    });
  });

  test('missing lists leave their place empty', () => {
    expect(ja3(made({ legacyVersion: 0x0301, cipherSuites: [4, 5] })).string).toBe('769,4-5,,,');
  });

  test('values that only resemble GREASE count', () => {
    expect(ja3(made({ cipherSuites: [0x0a1a, 0x1a0a, 0x0a0b] })).string).toBe('771,2586-6666-2571,,,');
  });
});

describe('JA4', () => {
  test.each<[string, HelloFields, string]>([
    [
      'the highest supported version',
      { extensions: [extension.supportedVersions(0x9a9a, 0x0303, 0x0304)] },
      't13i010100',
    ],
    ['else the legacy version', { legacyVersion: 0x0303 }, 't12i010000'],
    ['TLS 1.1', { legacyVersion: 0x0302 }, 't11i010000'],
    ['TLS 1.0', { legacyVersion: 0x0301 }, 't10i010000'],
    ['SSL 3', { legacyVersion: 0x0300 }, 'ts3i010000'],
    ['a version nobody knows', { legacyVersion: 0x0909 }, 't00i010000'],
    ['a server name', { extensions: [extension.serverName('a.test')] }, 't12d010100'],
    [
      'first and last character of the first protocol',
      { extensions: [extension.alpn('http/1.1', 'h2')] },
      't12i0101h1',
    ],
    ['a protocol of one character', { extensions: [extension.alpn('x')] }, 't12i0101xx'],
    [
      'a protocol that ends in other octets',
      { extensions: [extension.alpn('\u00abxx\u00cd')] },
      't12i0101ad',
    ],
    [
      'GREASE does not count',
      { cipherSuites: [0x2a2a, 1, 2], extensions: [extension.raw(0x3a3a)] },
      't12i020000',
    ],
    ['counts stop at 99', { cipherSuites: Array.from({ length: 120 }, (_, value) => value) }, 't12i990000'],
  ])('%s', (_rule, fields, expected) => {
    expect(first(fields)).toBe(expected);
  });

  test('without extensions and algorithms the last part is zeros', () => {
    expect(ja4(made({ cipherSuites: [0x2a2a] }))).toBe('t12i000000_000000000000_000000000000');
  });

  test('ciphers and extensions are sorted, algorithms are not; name and protocols are left out of the hash', () => {
    const algorithms = extension.signatureAlgorithms(0x0804, 0x0403);
    const one = ja4(made({ cipherSuites: [2, 1], extensions: [algorithms, extension.groups(29)] }));
    const other = ja4(made({ cipherSuites: [1, 2], extensions: [extension.groups(29), algorithms] }));
    expect(one).toBe(other);
    const turned = [extension.groups(29), extension.signatureAlgorithms(0x0403, 0x0804)];
    expect(ja4(made({ cipherSuites: [1, 2], extensions: turned }))).not.toBe(one);
    const named = [...turned, extension.serverName('a.test'), extension.alpn('h2')];
    expect(ja4(made({ cipherSuites: [1, 2], extensions: named })).slice(-12)).toBe(
      ja4(made({ cipherSuites: [1, 2], extensions: turned })).slice(-12),
    );
  });
});

test('the fingerprints of a client are computed when they are read, and then kept', () => {
  const hello = made({ extensions: [extension.alpn('h2')] });
  const fields: PropertyKey[] = [];
  const watched = new Proxy(hello, {
    get: (target, field) => {
      fields.push(field);
      return Reflect.get(target, field);
    },
  });
  const fingerprint = new TlsClientFingerprint(watched);
  expect(fields).toEqual([]);
  expect(fingerprint.ja4).toBe(ja4(hello));
  expect(fields).not.toContain('pointFormats');
  expect(fingerprint.ja3).toBe(ja3(hello).hash);
  const readOnce = fields.length;
  expect([fingerprint.ja3, fingerprint.ja4]).toEqual([ja3(hello).hash, ja4(hello)]);
  expect(fields).toHaveLength(readOnce);
});
