import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { canonicalHostName, isIpAddress, parseServerName, parseServerNames } from '../src/server-name.ts';

describe('parseServerName', () => {
  test.each([
    ['a host name goes to lower case', 'Api.Example.TEST', 'api.example.test'],
    ['a trailing dot is dropped', 'example.test.', 'example.test'],
    ['a single label', 'localhost', 'localhost'],
    ['a wildcard', '*.Example.test', '*.example.test'],
    ['U-labels become A-labels', 'bücher.example', 'xn--bcher-kva.example'],
    ['U-labels below a wildcard', '*.bücher.example', '*.xn--bcher-kva.example'],
    ['an underscore', '_dmarc.example.test', '_dmarc.example.test'],
    ['a label of digits that is not the last', '1.2.3.test', '1.2.3.test'],
  ])('%s', (_rule, name, text) => {
    expect(parseServerName(name)).toEqual({ text, address: undefined });
  });

  test.each([
    ['IPv4', '192.0.2.1', '192.0.2.1', 'c0000201'],
    ['IPv6, compressed', '2001:DB8:0:0::1', '2001:db8::1', '20010db8000000000000000000000001'],
    ['IPv6 in brackets', '[::1]', '::1', '00000000000000000000000000000001'],
    ['IPv6 in full', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['IPv6 that ends in zeros', '2001:db8::', '2001:db8::', '20010db8000000000000000000000000'],
    ['IPv6 with IPv4 in it', '::ffff:192.0.2.1', '::ffff:c000:201', '00000000000000000000ffffc0000201'],
    ['IPv6 with a zone', 'fe80::1%eth0', 'fe80::1', 'fe800000000000000000000000000001'],
    ['the unspecified address', '::', '::', '00000000000000000000000000000000'],
  ])('%s', (_rule, name, text, octets) => {
    const parsed = parseServerName(name);
    expect(parsed.text).toBe(text);
    expect(parsed.address?.toString('hex')).toBe(octets);
    expect(isIpAddress(name)).toBe(true);
  });

  test.each([
    '',
    '.',
    '*',
    '*.',
    '*.*.test',
    'a.*.test',
    'a..test',
    'a b',
    'a/b',
    'a@b',
    'a\0b',
    '256.1.1.1',
    '1.2.3',
    '0x7f.1',
    '01.2.3.4',
    '1.2.3.4.',
    ':',
    ':::',
    '1::2::3',
    '[::1',
    'g::1',
    'example.test:443',
    '\u{ff0f}',
    `${'a'.repeat(64)}.test`,
    `${'abcdefgh.'.repeat(29)}test`,
  ])('%j is refused', (name) => {
    expect(() => parseServerName(name)).toThrow(expect.objectContaining({ code: 'invalid_name' }));
  });

  test('law: the canonical form is its own canonical form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), (name) => {
        const { text } = parseServerName(name);
        expect(parseServerName(text).text).toBe(text);
      }),
    );
  });
});

test('a list keeps its order and each name once, whatever its spelling', () => {
  const names = parseServerNames(['B.test', 'a.test', 'b.test.', '::1', '[0::1]']);
  expect(names.map((name) => name.text)).toEqual(['b.test', 'a.test', '::1']);
  expect(() => parseServerNames([])).toThrow(expect.objectContaining({ code: 'no_names' }));
});

test('an address is no host name, a host name no address', () => {
  expect(canonicalHostName('192.0.2.1')).toBeUndefined();
  expect(canonicalHostName('Example.test.')).toBe('example.test');
  expect(isIpAddress('example.test')).toBe(false);
  expect(isIpAddress('::g')).toBe(false);
});
