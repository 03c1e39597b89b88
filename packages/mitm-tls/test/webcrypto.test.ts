import { expect, test } from 'vitest';

import { webcrypto, x509 } from '../src/webcrypto.ts';

test('x509 calls that are given no provider use the one of this file', () => {
  expect(x509.cryptoProvider.get()).toBe(webcrypto);
});
