import { describe, expect, test } from 'vitest';

import { parseClientHello } from '../src/client-hello-body.ts';
import { extension, helloBody, type HelloFields } from './hellos.ts';

const parse = (fields: HelloFields) => parseClientHello(helloBody(fields), 100);

test('every list is read in wire order', () => {
  const hello = parse({
    legacyVersion: 0x0301,
    sessionId: Buffer.alloc(8),
    cipherSuites: [0x1a1a, 0x1302, 0x1301],
    extensions: [
      extension.supportedVersions(0x2a2a, 0x0304),
      extension.pointFormats(0, 1),
      extension.groups(0x001d, 0x0017),
      extension.signatureAlgorithms(0x0804, 0x0403),
      extension.raw(0xfe0d, '00'),
      extension.alpn('http/1.1', 'h2'),
      extension.serverName('API.example.test.'),
    ],
  });
  expect(hello).toEqual({
    sni: 'api.example.test',
    alpn: ['http/1.1', 'h2'],
    legacyVersion: 0x0301,
    supportedVersions: [0x2a2a, 0x0304],
    cipherSuites: [0x1a1a, 0x1302, 0x1301],
    extensions: [43, 11, 10, 13, 0xfe0d, 16, 0],
    groups: [0x001d, 0x0017],
    pointFormats: [0, 1],
    signatureAlgorithms: [0x0804, 0x0403],
    hasEch: true,
    sessionIdLength: 8,
    byteLength: 100,
  });
});

test.each([
  ['a hello that ends before its extensions', undefined],
  ['a hello with an empty list of extensions', []],
])('%s has empty lists', (_rule, extensions) => {
  expect(parse({ extensions })).toMatchObject({
    sni: undefined,
    alpn: [],
    groups: [],
    extensions: [],
    hasEch: false,
  });
});

test.each([
  '192.0.2.1',
  '::1',
  'a b.test',
  'a\0.test',
  'bücher.example',
  '*.example.test',
  '-',
  ''.padEnd(300, 'a'),
])('the server name %j is no host name: the extension is there, the name is not', (name) => {
  const hello = parse({ extensions: [extension.serverName(name)] });
  expect(hello.sni).toBe(name === '-' ? '-' : undefined);
  expect(hello.extensions).toEqual([0]);
});

describe('malformed', () => {
  test.each<[string, HelloFields]>([
    ['octets behind the end', { extensions: [], trailer: Buffer.of(1) }],
    ['a session id over 32 octets', { sessionId: Buffer.alloc(33) }],
    ['no cipher suite', { cipherSuites: [] }],
    ['the same extension twice', { extensions: [extension.alpn('h2'), extension.alpn('http/1.1')] }],
    ['two host names', { extensions: [extension.serverName('a.test', 'b.test')] }],
    ['an empty list of server names', { extensions: [extension.serverName()] }],
    ['an empty server name', { extensions: [extension.serverName('')] }],
    ['an empty list of protocols', { extensions: [extension.alpn()] }],
    ['an empty protocol name', { extensions: [extension.alpn('h2', '')] }],
    ['a list longer than its extension', { extensions: [extension.raw(10, '0004001d')] }],
    ['a list shorter than its extension', { extensions: [extension.raw(10, '0002001d00')] }],
    ['an odd list of 16-bit values', { extensions: [extension.raw(13, '0003040308')] }],
    ['an empty list of versions', { extensions: [extension.supportedVersions()] }],
    ['an empty extension where a list belongs', { extensions: [extension.raw(11)] }],
    ['an extension block cut short', { extensions: undefined, trailer: Buffer.of(0, 9, 0) }],
  ])('%s', (_rule, fields) => {
    expect(() => parse(fields)).toThrow(
      expect.objectContaining({ name: 'ClientHelloError', code: 'malformed' }),
    );
  });
});

test('a server name of a type that is not known is passed over', () => {
  const { sni } = parse({
    extensions: [extension.raw(0, '000c07000161000006612e74657374'.replace('000c', '000d'))],
  });
  expect(sni).toBe('a.test');
});
