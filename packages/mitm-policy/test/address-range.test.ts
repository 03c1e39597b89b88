// Which addresses a range holds, however either is written.
import { describe, expect, test } from 'vitest';

import { addressGroups, isInRange, parseAddressRange } from '../src/address-range.ts';
import { DestinationError } from '../src/destination.ts';

function holds(range: string, host: string): boolean {
  const groups = addressGroups(host);
  if (groups === undefined) throw new Error(`${host} is no address`);
  return isInRange(groups, parseAddressRange(range));
}

test.each([
  ['10.0.0.0/8', '10.255.255.255', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.1.2.3/8', '10.9.9.9', true],
  ['172.16.0.0/12', '172.31.255.255', true],
  ['172.16.0.0/12', '172.32.0.0', false],
  ['192.0.2.1', '192.0.2.1', true],
  ['192.0.2.1', '192.0.2.2', false],
  ['0.0.0.0/0', '203.0.113.9', true],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['::/0', '203.0.113.9', true],
  ['192.0.2.1', '::ffff:192.0.2.1', true],
  ['::ffff:192.0.2.0/120', '192.0.2.77', true],
  ['fe80::/10', 'fe80::1%eth0', true],
  ['fe80::/10', 'febf::1', true],
  ['fe80::/10', 'fec0::1', false],
  ['2001:db8::/33', '2001:db8:7fff::', true],
  ['2001:db8::/33', '2001:db8:8000::', false],
])('%s holds %s: %s', (range, host, expected) => {
  expect(holds(range, host)).toBe(expected);
});

test('a name has no groups', () => {
  expect(addressGroups('example.org')).toBeUndefined();
});

describe('what is no range is refused with a way to write it', () => {
  test.each([
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    'example.org/8',
    '10.0/8',
    '',
  ])('%j', (text) => {
    expect(() => parseAddressRange(text)).toThrow(DestinationError);
  });
});
