import { setImmediate as nextTurn } from 'node:timers/promises';

import { describe, expect, test } from 'vitest';

import { TurnShare } from '../src/turn-share.ts';

/** Keeps the thread busy. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function fail(): never {
  throw new RangeError('no');
}

describe('TurnShare', () => {
  test('work runs at once while the share lasts', () => {
    const share = new TurnShare(1_000);
    expect([1, 2, 3].map((value) => share.run(() => value))).toEqual([1, 2, 3]);
  });

  test('what is beyond the share waits for later turns, in order', async () => {
    const share = new TurnShare(2);
    const order: number[] = [];
    const all = Array.from({ length: 9 }, async (_, index) =>
      share.run(() => {
        work(1);
        order.push(index);
      }),
    );
    const atOnce = order.length;
    await Promise.all(all);
    expect(atOnce).toBeLessThan(4);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('others have their turn in between', async () => {
    const share = new TurnShare(1);
    const heavy = Array.from({ length: 20 }, async () => share.run(() => work(1)));
    const state = { isDone: false };
    const all = Promise.all(heavy).then(() => {
      state.isDone = true;
    });
    let turns = 0;
    for (; !state.isDone; turns += 1) await nextTurn();
    await all;
    expect(turns).toBeGreaterThan(8);
  });

  test('what a piece sets off is done before the next one, and counts', async () => {
    const share = new TurnShare(3);
    void share.run(() => work(4));
    const seen: string[] = [];
    const all = Array.from({ length: 6 }, async (_, index) => {
      await share.run(() => seen.push(`begin ${index}`));
      await new Promise<void>((resolve) => {
        process.nextTick(() => {
          work(2);
          seen.push(`end ${index}`);
          resolve();
        });
      });
    });
    const state = { isDone: false };
    const done = Promise.all(all).then(() => {
      state.isDone = true;
    });
    let most = 0;
    for (let before = 0; !state.isDone; before = seen.length) {
      await nextTurn();
      most = Math.max(most, seen.length - before);
    }
    await done;
    expect(seen).toEqual(Array.from({ length: 6 }, (_, index) => [`begin ${index}`, `end ${index}`]).flat());
    // Two pieces of 2 ms and more fill a share of 3 ms.
    expect(most).toBeLessThanOrEqual(4);
  });

  test('nothing that comes later overtakes what waits', async () => {
    const share = new TurnShare(1);
    const order: string[] = [];
    void share.run(() => work(2));
    const waiting = share.run(() => order.push('first'));
    const later = share.run(() => order.push('second'));
    await Promise.all([waiting, later]);
    expect(order).toEqual(['first', 'second']);
  });

  test('a failure is its own: thrown at once, or rejected later', async () => {
    const share = new TurnShare(1);
    expect(() => share.run(fail)).toThrow(RangeError);
    void share.run(() => work(2));
    const late = share.run(fail);
    const next = share.run(() => 'goes on');
    await expect(late).rejects.toThrow(RangeError);
    expect(await next).toBe('goes on');
  });
});
