// The PROXY protocol header: both versions, cut anywhere, and what is not one.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseProxyHeader, ProxyHeaderError } from '../../src/arrival/proxy-header.ts';

const signature = '0d0a0d0a000d0a515549540a';
const binary = (rest: string): Buffer => Buffer.from(signature + rest.replaceAll(' ', ''), 'hex');
const text = (line: string): Buffer => Buffer.from(line, 'latin1');

const headers = [
  [
    'version 1, IPv4',
    text('PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'),
    { remote: { address: '192.0.2.1', port: 56_324 }, local: { address: '198.51.100.7', port: 443 } },
  ],
  [
    'version 1, IPv6',
    text('PROXY TCP6 2001:db8::1 ::1 1 65535\r\n'),
    { remote: { address: '2001:db8::1', port: 1 }, local: { address: '::1', port: 65_535 } },
  ],
  ['version 1, unknown', text('PROXY UNKNOWN\r\n'), undefined],
  ['version 1, unknown with words', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  [
    'version 2, IPv4',
    binary('21 11 000c c0000201 c6336407 dc04 01bb'),
    { remote: { address: '192.0.2.1', port: 56_324 }, local: { address: '198.51.100.7', port: 443 } },
  ],
  [
    'version 2, IPv6 with values behind it',
    binary(`21 21 0028 20010db8${'0'.repeat(23)}1 ${'0'.repeat(31)}1 0001 ffff 04 0001 00`),
    { remote: { address: '2001:db8::1', port: 1 }, local: { address: '::1', port: 65_535 } },
  ],
  ['version 2, local', binary('20 00 0000'), undefined],
  ['version 2, local with addresses to skip', binary('20 11 000c 01020304 05060708 0001 0002'), undefined],
  ['version 2, unspecified', binary('21 00 0000'), undefined],
  ['version 2, Unix socket', binary(`21 31 00d8 ${'00'.repeat(216)}`), undefined],
] as const;

describe.each(headers)('%s', (_what, bytes, ends) => {
  test('is read, and ends where the client begins', () => {
    expect(parseProxyHeader(Buffer.concat([bytes, text('GET /')]))).toEqual({ length: bytes.length, ends });
  });

  test('asks for more while it is not whole', () => {
    for (let length = 1; length < bytes.length; length += 1)
      expect(parseProxyHeader(bytes.subarray(0, length))).toBeUndefined();
  });
});

test.each([
  ['a request', text('GET / HTTP/1.1\r\n')],
  ['a request that begins alike', text('PRI * HTTP/2.0\r\n')],
  ['TLS', Buffer.from([22, 3, 1])],
  ['a family that is none', text('PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n')],
  ['the other family', text('PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n')],
  ['an address that is none', text('PROXY TCP4 192.0.2.300 192.0.2.2 1 2\r\n')],
  ['a port that is none', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n')],
  ['a port with a sign', text('PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n')],
  ['a port too few', text('PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n')],
  ['a word too many', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n')],
  ['a line without end', text(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
  ['version 3', binary('31 11 000c')],
  ['a command that is none', binary('22 11 000c')],
  ['UDP', binary('21 12 000c c0000201 c6336407 dc04 01bb')],
  ['too few bytes for two addresses', binary('21 11 0004 c0000201')],
  ['a block that nobody sends', binary('21 11 ffff')],
])('%s is refused at once', (_what, bytes) => {
  expect(() => parseProxyHeader(bytes)).toThrow(ProxyHeaderError);
});

/** How many bytes were read: none while more is asked for, or where they are refused. */
function lengthOf(given: Buffer): number {
  try {
    return parseProxyHeader(given)?.length ?? 0;
  } catch (error) {
    if (error instanceof ProxyHeaderError) return 0;
    throw error;
  }
}

test('garbage is refused or waits for more, and nothing else', () => {
  const beginnings = fc.constantFrom(text('PROXY '), binary(''), binary('21'), text(''));
  fc.assert(
    fc.property(beginnings, fc.uint8Array({ maxLength: 300 }), (beginning, rest) => {
      const bytes = Buffer.concat([beginning, rest]);
      expect(lengthOf(bytes)).toBeLessThanOrEqual(bytes.length);
    }),
  );
});
