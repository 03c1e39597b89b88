import { expect, test } from 'vitest';

import { entryName, trustStores } from '../../src/trust/place.ts';
import { subject } from './recorded-machine.ts';

test('the stores have the names that callers and command lines use', () => {
  expect(trustStores).toEqual(['system', 'user', 'nss']);
});

test('an entry is named after the CA, so that two of the same subject stay apart', () => {
  expect(entryName(subject)).toBe('soth-mitm-f0f0f0f0f0f0f0f0');
  expect(entryName({ ...subject, fingerprint: '1'.repeat(64) })).toBe('soth-mitm-1111111111111111');
});
