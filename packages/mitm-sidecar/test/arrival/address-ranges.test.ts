// Whose word is taken: addresses in ranges of both families.
import { expect, test } from 'vitest';

import { AddressRanges } from '../../src/arrival/address-ranges.ts';

const ranges = new AddressRanges(['10.0.0.0/8', '127.0.0.1/32', '2001:db8::/32', '::1/128']);

test.each([
  ['10.255.0.1', true],
  ['11.0.0.1', false],
  ['127.0.0.1', true],
  ['127.0.0.2', false],
  ['2001:db8:1::1', true],
  ['2001:db9::1', false],
  ['::1', true],
  ['fe80::1%eth0', false],
])('%s: %s', (address, isIn) => {
  expect(ranges.has(address)).toBe(isIn);
});
