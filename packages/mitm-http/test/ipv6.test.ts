import { isIPv6 } from 'node:net';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { formatIpv6, parseIpv6 } from '../src/ipv6.ts';

test.each([
  ['leading zeros go', '2001:0DB8:0000:0001:0000:0000:0000:0001', '2001:db8:0:1::1'],
  ['the first longest run of zeros is cut', '1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
  ['a longer run later wins', '1:0:0:2:0:0:0:4', '1:0:0:2::4'],
  ['one zero group is not cut', '1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['a run at the end', '1:0:0:0:0:0:0:0', '1::'],
  ['all zeros', '0:0:0:0:0:0:0:0', '::'],
  ['IPv4-mapped keeps its dotted quad', '::FFFF:7f00:1', '::ffff:127.0.0.1'],
  ['other embedded IPv4 becomes hexadecimal', '64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
])('RFC 5952: %s', (_rule, text, expected) => {
  const groups = parseIpv6(text) ?? [];
  expect(formatIpv6(groups)).toBe(expected);
  expect(parseIpv6(expected)).toEqual(groups);
});

test.each([
  '',
  ':',
  ':::',
  '1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7::8',
  '::1::',
  '12345::',
  'g::',
  '::1.2.3',
  '::1.2.3.256',
  '::01.2.3.4',
  '1.2.3.4::',
  '1.2.3.4:1::',
  ' ::1',
  '1:2:3:4:5:6:7:1.2.3.4',
])('%j is no IPv6 literal', (text) => {
  expect(parseIpv6(text)).toBeUndefined();
});

test('law: what formats as IPv6 parses back to the same groups', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xff_ff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const text = formatIpv6(groups);
      expect(isIPv6(text)).toBe(true);
      expect(parseIpv6(text)).toEqual(groups);
    }),
  );
});

test('law: agrees with the platform on what an IPv6 literal is', () => {
  const text = fc.string({
    unit: fc.constantFrom(':', '::', '0', '1', 'a', 'ffff', '1.2.3.4'),
    maxLength: 9,
  });
  fc.assert(
    fc.property(text, (literal) => {
      expect(parseIpv6(literal) !== undefined).toBe(isIPv6(literal));
    }),
  );
});
