// IP addresses compare equal in all their spellings.
import { isIPv6 } from 'node:net';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { addressBytes, addressKey, isLoopback, wideBytes } from '../../src/process/address.ts';

describe('bytes of an address', () => {
  test.each([
    ['IPv4', '192.0.2.1', [192, 0, 2, 1]],
    ['PA-20 IPv4-mapped counts as IPv4', '::ffff:192.0.2.1', [192, 0, 2, 1]],
    ['PA-20 IPv4-mapped in hexadecimal', '::ffff:c000:201', [192, 0, 2, 1]],
    ['loopback', '::1', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['unspecified', '::', Array.from({ length: 16 }, () => 0)],
    ['gap at the end', '2001:db8::', [32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['without a gap', '1:2:3:4:5:6:7:8', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
    ['a zone is left out', 'fe80::1%eth0', [254, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['a name is none', 'localhost', undefined],
    ['empty text is none', '', undefined],
    ['a list of four that is too large is none', '256.0.0.1', undefined],
  ])('%s', (_, text, bytes) => {
    expect(addressBytes(text)).toEqual(bytes);
  });

  test('every IPv6 address has sixteen bytes, or four when it is a mapped one', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const bytes = addressBytes(address) ?? [];
        expect([4, 16]).toContain(bytes.length);
        const groups = wideBytes(bytes).map((byte) => byte.toString(16).padStart(2, '0'));
        const whole = groups.join('').replaceAll(/.{4}(?!$)/g, '$&:');
        expect(isIPv6(whole)).toBe(true);
        expect(addressKey(whole)).toBe(addressKey(address));
      }),
    );
  });
});

test('IPv4 is widened to its mapped form', () => {
  expect(wideBytes([127, 0, 0, 1])).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
});

test('PA-18 different addresses have different keys', () => {
  expect(addressKey('127.0.0.1')).not.toBe(addressKey('127.0.0.2'));
  expect(addressKey('::1')).not.toBe(addressKey('::1:1'));
});

test.each([
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['128.0.0.1', false],
  ['::', false],
  ['localhost', false],
])('%s is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
