import { expect, test } from 'vitest';

import { asConnectionId, asFlowId } from '../src/ids.ts';

test('a flow id is a whole number from 1', () => {
  expect(asFlowId(1)).toBe(1);
  expect(asFlowId(Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER);
});

test.each([0, -1, 1.5, Number.NaN, Infinity])('%s is no flow id', (value) => {
  expect(() => asFlowId(value)).toThrow(RangeError);
});

test('a connection id is any name but the empty one', () => {
  expect(asConnectionId('0f9c')).toBe('0f9c');
  expect(() => asConnectionId('')).toThrow(RangeError);
});
