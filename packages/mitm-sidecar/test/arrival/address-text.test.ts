// One spelling for an address, wherever it came from.
import { expect, test } from 'vitest';

import { addressText, plainAddress } from '../../src/arrival/address-text.ts';

test.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['::1', '::1'],
  ['192.0.2.1', '192.0.2.1'],
])('%s is %s', (given, plain) => {
  expect(plainAddress(given)).toBe(plain);
});

test.each([
  ['c0000201', '192.0.2.1'],
  ['20010db8000000000000000000000001', '2001:db8::1'],
  ['00000000000000000000ffffc0000201', '192.0.2.1'],
  ['00000000000000000000000000000000', '::'],
])('the bytes %s are %s', (hex, text) => {
  expect(addressText(Buffer.from(hex, 'hex'))).toBe(text);
});
