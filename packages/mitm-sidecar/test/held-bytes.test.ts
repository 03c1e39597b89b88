// What is held is counted exactly as long as it is held.
import { ByteBudget } from 'mitm-core';
import { expect, test } from 'vitest';

import { HeldBytes } from '../src/held-bytes.ts';

test('pieces come back in order, and count until then', () => {
  const budget = new ByteBudget(() => 10);
  const held = new HeldBytes(budget);
  const piece = Buffer.from('abc');
  held.keep(piece);
  piece.fill(0);
  expect(held.tryKeep(Buffer.from('defg'))).toBe(true);
  expect([held.byteCount, budget.held]).toEqual([7, 7]);
  expect(Buffer.concat(held.release()).toString()).toBe('abcdefg');
  expect([held.byteCount, budget.held]).toEqual([0, 0]);
  expect(held.release()).toEqual([]);
  expect(budget.held).toBe(0);
});

test('without room nothing is kept, unless it must be', () => {
  const budget = new ByteBudget(() => 4);
  const held = new HeldBytes(budget);
  expect([held.tryKeep(Buffer.alloc(5)), budget.held]).toEqual([false, 0]);
  held.keep(Buffer.alloc(5));
  expect([held.tryKeep(Buffer.alloc(1)), budget.held]).toEqual([false, 5]);
  held.release();
  expect(budget.held).toBe(0);
});
