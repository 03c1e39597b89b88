import { describe, expect, test } from 'vitest';

import { allow, block, isBlockStatus } from '../src/handler.ts';

test('allow is one frozen value', () => {
  expect(allow).toStrictEqual({ action: 'allow' });
  expect(Object.isFrozen(allow)).toBe(true);
});

describe('block', () => {
  test('has an empty body and no fields unless given', () => {
    expect(block(403)).toStrictEqual({ action: 'block', status: 403, body: new Uint8Array() });
  });

  test('text is sent as UTF-8', () => {
    expect(block(403, 'nö').body).toEqual(new Uint8Array([0x6e, 0xc3, 0xb6]));
  });

  test('bytes are taken as they are', () => {
    const bytes = new Uint8Array([1, 2]);
    expect(block(403, bytes).body).toBe(bytes);
  });

  test('carries fields and a word of the caller’s own', () => {
    const decision = block(451, '', { headers: ['X-Rule', '7'], reasonCode: 'rule_7' });
    expect(decision).toMatchObject({ headers: ['X-Rule', '7'], reasonCode: 'rule_7' });
    expect(Object.isFrozen(decision)).toBe(true);
  });

  test.each([199, 600, 100, 0, -1, 200.5, Number.NaN])('refuses status %s and names it', (status) => {
    expect(() => block(status)).toThrow(RangeError);
    expect(() => block(status)).toThrow(`200 to 599, received ${status}`);
  });
});

test.each<[unknown, boolean]>([
  [200, true],
  [599, true],
  [199, false],
  [600, false],
  [200.5, false],
  ['403', false],
  [undefined, false],
])('isBlockStatus(%s) is %s', (status, is) => {
  expect(isBlockStatus(status)).toBe(is);
});
