// Bytes go in however they come, and come out as one piece.
import { ByteBudget } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { everySplit } from '../../../testing/lab/split.ts';
import { Accumulator } from '../src/accumulator.ts';
import { patterned } from './streams.ts';

describe('Accumulator', () => {
  test('is empty at first', () => {
    const accumulator = new Accumulator();
    expect(accumulator.length).toBe(0);
    expect(accumulator.bytes).toEqual(Buffer.alloc(0));
  });

  test('keeps the same bytes however they are cut', () => {
    const tried = everySplit(patterned(3_000), (pieces) => {
      const accumulator = new Accumulator();
      for (const piece of pieces) accumulator.push(Buffer.from(piece));
      return [accumulator.length, accumulator.bytes.toString('hex')];
    });
    expect(tried).toBeGreaterThan(100);
  });

  test('counts the memory it holds until it is taken, and knows when there was no room', () => {
    const budget = new ByteBudget(() => 3_000);
    const accumulator = new Accumulator(budget);
    expect(budget.held).toBe(0);
    accumulator.push(Buffer.from('a'));
    expect([budget.held, accumulator.hasRoom]).toEqual([1_024, true]);
    accumulator.push(Buffer.alloc(1_500));
    expect([budget.held, accumulator.hasRoom]).toEqual([2_048, true]);
    accumulator.push(Buffer.alloc(1_000));
    expect([budget.held, accumulator.hasRoom]).toEqual([4_096, false]);
    expect(accumulator.take()).toHaveLength(2_501);
    expect([budget.held, accumulator.length, accumulator.hasRoom]).toEqual([0, 0, true]);
    accumulator.push(Buffer.from('anew'));
    expect([budget.held, accumulator.bytes.toString()]).toEqual([1_024, 'anew']);
  });

  test('copies, so that a chunk may be overwritten afterwards', () => {
    const accumulator = new Accumulator();
    const chunk = Buffer.from('first');
    accumulator.push(chunk);
    chunk.fill(0);
    expect(accumulator.bytes.toString()).toBe('first');
  });

  test('does not change a view that was given out before', () => {
    const accumulator = new Accumulator();
    accumulator.push(Buffer.from('abc'));
    const view = accumulator.bytes;
    accumulator.push(Buffer.alloc(5_000, 'x'));
    accumulator.push(Buffer.from('end'));
    expect(view.toString()).toBe('abc');
    expect(accumulator.bytes.subarray(0, 3).toString()).toBe('abc');
    expect(accumulator.length).toBe(5_006);
  });

  test('takes its own bytes again', () => {
    const accumulator = new Accumulator();
    accumulator.push(Buffer.alloc(700, 'ab'));
    accumulator.push(accumulator.bytes);
    accumulator.push(accumulator.bytes);
    expect(accumulator.bytes).toEqual(Buffer.alloc(2_800, 'ab'));
  });

  test('an empty chunk adds nothing', () => {
    const accumulator = new Accumulator();
    accumulator.push(Buffer.alloc(0));
    expect(accumulator.length).toBe(0);
  });

  test('moves to another buffer only as often as the length doubles', () => {
    const accumulator = new Accumulator();
    const memories = new Set<ArrayBufferLike>();
    for (let index = 0; index < 65_536; index += 1) {
      accumulator.push(Buffer.of(index & 255));
      memories.add(accumulator.bytes.buffer);
    }
    // 1 KiB, 2 KiB and so on to 64 KiB.
    expect(memories.size).toBe(7);
  });
});
