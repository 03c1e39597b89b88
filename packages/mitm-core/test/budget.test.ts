import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ByteBudget, FlowPermits } from '../src/budget.ts';

describe('FlowPermits', () => {
  test('gives out as many as there are', () => {
    const permits = new FlowPermits(() => 2);
    expect([permits.tryTake(), permits.tryTake(), permits.tryTake()]).toEqual([true, true, false]);
    expect(permits.taken).toBe(2);
    permits.release();
    expect([permits.taken, permits.watermark]).toEqual([1, 2]);
    expect(permits.tryTake()).toBe(true);
  });

  test('a capacity that changes counts at once, and takes nothing away', () => {
    let capacity = 2;
    const permits = new FlowPermits(() => capacity);
    permits.tryTake();
    permits.tryTake();
    capacity = 1;
    permits.release();
    expect(permits.tryTake()).toBe(false);
    expect(permits.taken).toBe(1);
    capacity = 3;
    expect(permits.tryTake()).toBe(true);
  });

  test('never counts below none', () => {
    const permits = new FlowPermits(() => 1);
    permits.release();
    expect(permits.taken).toBe(0);
    expect([permits.tryTake(), permits.tryTake()]).toEqual([true, false]);
  });
});

describe('ByteBudget', () => {
  test('takes all of the bytes or none', () => {
    let deniedCount = 0;
    const budget = new ByteBudget(
      () => 10,
      () => {
        deniedCount += 1;
      },
    );
    expect(budget.tryTake(8)).toBe(true);
    expect(budget.tryTake(3)).toBe(false);
    expect([budget.held, deniedCount]).toEqual([8, 1]);
    expect(budget.tryTake(2)).toBe(true);
    expect([budget.held, budget.watermark, deniedCount]).toEqual([10, 10, 1]);
  });

  test('takes what has come already although there is no room', () => {
    const budget = new ByteBudget(() => 10);
    budget.take(12);
    expect([budget.held, budget.watermark, budget.isFull]).toEqual([12, 12, true]);
    expect(budget.tryTake(1)).toBe(false);
    budget.release(3);
    expect([budget.isFull, budget.tryTake(1)]).toEqual([false, true]);
  });

  test('tells all who wait when there is room, once', () => {
    const budget = new ByteBudget(() => 10);
    const told: string[] = [];
    budget.take(15);
    budget.onRoom(() => told.push('a'));
    budget.onRoom(() => told.push('b'));
    budget.release(5);
    expect(told).toEqual([]);
    budget.release(1);
    expect(told).toEqual(['a', 'b']);
    budget.release(1);
    expect(told).toEqual(['a', 'b']);
  });

  test('the watermark stays when bytes are given back', () => {
    const budget = new ByteBudget(() => 10);
    budget.tryTake(7);
    budget.release(7);
    budget.tryTake(2);
    expect([budget.held, budget.watermark]).toEqual([2, 7]);
    expect(budget.tryTake(9)).toBe(false);
  });

  test('a capacity that changes counts at once', () => {
    let capacity = 1;
    const budget = new ByteBudget(() => capacity);
    expect(budget.tryTake(2)).toBe(false);
    capacity = 2;
    expect(budget.tryTake(2)).toBe(true);
  });

  test('whatever is taken and given back, it holds what is out and never more than there is', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 })), (steps) => {
        const budget = new ByteBudget(() => 100);
        let out = 0;
        for (const step of steps) {
          if (step < 0) {
            const back = Math.min(out, -step);
            budget.release(back);
            out -= back;
          } else if (budget.tryTake(step)) out += step;
          expect(budget.held).toBe(out);
          expect(budget.held).toBeLessThanOrEqual(100);
          expect(budget.watermark).toBeGreaterThanOrEqual(budget.held);
        }
        budget.release(out + 1);
        expect(budget.held).toBe(0);
      }),
    );
  });
});
