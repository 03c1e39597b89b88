import { describe, expect, test, vi } from 'vitest';

import { FlowQueue, isPromise, isThenable } from '../src/flow-queue.ts';
import { type Deferred, deferred, thenable, turn } from './engine-fixture.ts';

/** A queue whose calls wait for the test, and what has begun so far. */
function slowQueue(capacity: number): {
  queue: FlowQueue;
  begun: string[];
  push: (name: string) => boolean;
  finish: (name: string) => Promise<void>;
} {
  const queue = new FlowQueue(capacity);
  const begun: string[] = [];
  const calls = new Map<string, Deferred<void>>();
  const push = (name: string): boolean =>
    queue.push(() => {
      begun.push(name);
      const call = deferred();
      calls.set(name, call);
      return call.promise;
    });
  const finish = async (name: string): Promise<void> => {
    calls.get(name)?.resolve();
    await turn();
  };
  return { queue, begun, push, finish };
}

describe('order', () => {
  test('an idle queue calls at once, and stays idle when no promise comes back', () => {
    const queue = new FlowQueue(1);
    const begun: number[] = [];
    for (const n of [1, 2, 3]) expect(queue.push(() => void begun.push(n))).toBe(true);
    expect(begun).toEqual([1, 2, 3]);
    expect([queue.isIdle, queue.depth]).toEqual([true, 0]);
  });

  test('one call at a time, in the order they came', async () => {
    const { queue, begun, push, finish } = slowQueue(8);
    for (const name of ['a', 'b', 'c']) push(name);
    expect([begun, queue.depth, queue.isIdle]).toEqual([['a'], 2, false]);
    await finish('a');
    expect([begun, queue.depth]).toEqual([['a', 'b'], 1]);
    await finish('b');
    await finish('c');
    expect([begun, queue.isIdle]).toEqual([['a', 'b', 'c'], true]);
  });

  test('a quick call waits for the slow one before it', async () => {
    const { queue, begun, push, finish } = slowQueue(8);
    push('slow');
    queue.push(() => void begun.push('quick'));
    expect(begun).toEqual(['slow']);
    await finish('slow');
    expect(begun).toEqual(['slow', 'quick']);
  });

  test('a queue that ran empty takes calls again', async () => {
    const { begun, push, finish } = slowQueue(1);
    push('a');
    await finish('a');
    expect(push('b')).toBe(true);
    expect(begun).toEqual(['a', 'b']);
  });
});

test('capacity counts what waits: the newest call beyond it is refused', async () => {
  const { begun, push, finish } = slowQueue(2);
  expect(['a', 'b', 'c', 'd'].map(push)).toEqual([true, true, true, false]);
  await finish('a');
  expect(push('e')).toBe(true);
  for (const name of ['b', 'c', 'e']) await finish(name);
  expect(begun).toEqual(['a', 'b', 'c', 'e']);
});

describe('a full queue', () => {
  test('says so, and takes a call by force: whoever forces it stops what feeds it', async () => {
    const { queue, begun, push, finish } = slowQueue(1);
    push('a');
    expect(queue.isFull).toBe(false);
    push('b');
    expect(queue.isFull).toBe(true);
    expect(queue.push(() => void begun.push('forced'), undefined, true)).toBe(true);
    expect([queue.isFull, queue.depth]).toEqual([true, 2]);
    await finish('a');
    await finish('b');
    expect(begun).toEqual(['a', 'b', 'forced']);
  });

  test('tells of room once half of its places are free, and only once', async () => {
    const { queue, begun, push, finish } = slowQueue(4);
    for (const name of ['a', 'b', 'c', 'd', 'e']) push(name);
    const told: string[][] = [];
    queue.onRoom(() => told.push([...begun]));
    await finish('a');
    expect(told).toEqual([]);
    await finish('b');
    // Of four places two are free, and the third call is about to begin.
    expect(told).toEqual([['a', 'b']]);
    for (const name of ['c', 'd', 'e']) await finish(name);
    expect(told).toHaveLength(1);
  });

  test('tells of room when it runs empty, and when it is abandoned', async () => {
    const room = vi.fn<() => void>();
    const empty = slowQueue(0);
    empty.push('a');
    empty.queue.onRoom(room);
    await empty.finish('a');
    expect(room).toHaveBeenCalledTimes(1);
    const left = slowQueue(8);
    for (const name of ['a', 'b', 'c']) left.push(name);
    left.queue.onRoom(room);
    left.queue.abandon();
    expect(room).toHaveBeenCalledTimes(2);
  });

  test('a call that was taken and will never run is told, one that was refused is not', async () => {
    const { queue, push, finish } = slowQueue(2);
    push('a');
    const dropped: string[] = [];
    for (const name of ['b', 'c', 'd']) {
      queue.push(
        () => {},
        () => dropped.push(name),
      );
    }
    queue.abandon();
    expect(dropped).toEqual(['b', 'c']);
    await finish('a');
    expect(dropped).toEqual(['b', 'c']);
  });

  test('a closed one takes nothing, by force neither', async () => {
    const { queue } = slowQueue(2);
    await queue.drain();
    expect(queue.push(() => {}, undefined, true)).toBe(false);
  });
});

describe('the end', () => {
  test('drain takes no more and waits for all that were taken', async () => {
    const { queue, begun, push, finish } = slowQueue(8);
    push('a');
    push('b');
    let isDrained = false;
    const drained = queue.drain().then(() => {
      isDrained = true;
    });
    expect(push('late')).toBe(false);
    await finish('a');
    expect(isDrained).toBe(false);
    await finish('b');
    await drained;
    expect(begun).toEqual(['a', 'b']);
  });

  test('draining an idle queue is done at once', async () => {
    await expect(new FlowQueue(1).drain()).resolves.toBeUndefined();
  });

  test('abandon drops what has not begun, says how many, and lets the running call finish', async () => {
    const { queue, begun, push, finish } = slowQueue(8);
    for (const name of ['a', 'b', 'c']) push(name);
    expect(queue.abandon()).toBe(2);
    expect(push('late')).toBe(false);
    await finish('a');
    expect([begun, queue.isIdle, queue.depth]).toEqual([['a'], true, 0]);
    expect(queue.abandon()).toBe(0);
  });
});

test.each<[string, unknown, boolean, boolean]>([
  ['a promise', Promise.resolve(), true, true],
  ['a thenable', thenable(() => {}), true, false],
  ['nothing', undefined, false, false],
  ['null', null, false, false],
  ['a value', { action: 'allow' }, false, false],
  ['a then that is no function', thenable(1), false, false],
  ['a function', () => {}, false, false],
])('can be awaited, and is a promise of our own: %s', (_what, value, canBeAwaited, isOwn) => {
  expect([isThenable(value), isPromise(value)]).toEqual([canBeAwaited, isOwn]);
});
