// A connection that waits for use: how it comes to the pool, what ends it meanwhile, and for how long it is kept.
import { duplexPair } from 'node:stream';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { Wire } from '../../src/wire.ts';
import { adopted, answering, ntlmHead, oneEach, startPool, use } from './pool-lab.ts';

describe('an idle connection', () => {
  test('that the origin ends is closed and never handed out', async () => {
    await using lab = await startPool({}, (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        setImmediate(() => socket.end());
      });
    });
    const first = await use(await lab.acquire(lab.client()));
    await expect.poll(() => lab.pool.openCount).toBe(0);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(false);
    expect(await lab.acquire(lab.client())).not.toBe(first);
  });

  test('that is reset is closed and never handed out', async () => {
    const sockets: { resetAndDestroy(): unknown }[] = [];
    await using lab = await startPool({}, (socket, index, log) => {
      sockets.push(socket);
      return answering(socket, index, log);
    });
    await use(await lab.acquire(lab.client()));
    sockets[0]?.resetAndDestroy();
    await expect.poll(() => lab.pool.openCount).toBe(0);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(false);
  });

  test('on which bytes arrive that nobody asked for is closed', async () => {
    const speak: (() => void)[] = [];
    await using lab = await startPool({}, (socket, index, log) => {
      speak.push(() => void socket.write('HTTP/1.1 200 OK\r\n'));
      return answering(socket, index, log);
    });
    const first = await use(await lab.acquire(lab.client()));
    speak[0]?.();
    await expect.poll(() => lab.pool.openCount).toBe(0);
    expect(first.isIdle).toBe(false);
  });

  test('whose answer said close is not kept', async () => {
    await using lab = await startPool({}, (socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'),
      );
    });
    await use(await lab.acquire(lab.client()));
    expect(lab.pool.openCount).toBe(0);
  });
});

describe('adoption', () => {
  test('makes a connection one that waits for use, by anybody, since nobody has used it', async () => {
    await using lab = await startPool();
    const wire = await adopted(lab);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([1, true]);
    const connection = await lab.acquire(lab.client(), { isRepeatable: false });
    expect(connection.wire).toBe(wire);
    expect(lab.origin.connectionCount).toBe(1);
  });

  test('serves whoever waits', async () => {
    await using lab = await startPool(oneEach);
    await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    const wire = await adopted(lab);
    expect((await waiting).wire).toBe(wire);
  });

  test('of what is dead, or speaks unasked, leaves nothing', async () => {
    await using lab = await startPool();
    const [near] = duplexPair();
    const dead = new Wire(near);
    near.destroy();
    await vi.waitFor(() => expect(dead.isClosed).toBe(true));
    lab.pool.adopt(lab.target, { wire: dead, alpn: undefined }, lab.client());
    const [talking] = duplexPair();
    const talker = new Wire(talking);
    talker.pushBack(Buffer.from('220 hello\r\n'));
    lab.pool.adopt(lab.target, { wire: talker, alpn: undefined }, lab.client());
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key), talking.destroyed]).toEqual([
      0,
      false,
      true,
    ]);
  });

  test('by a pool that is closed ends the connection', async () => {
    await using lab = await startPool();
    lab.pool.close();
    const wire = await adopted(lab);
    expect([wire.socket.destroyed, lab.pool.openCount]).toEqual([true, 0]);
  });
});

describe('the sweep', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('closes what was idle for longer than the limit, and then stops', async () => {
    await using lab = await startPool({ connectionPool: { idleTimeoutMs: 5_000 } });
    const first = await use(await lab.acquire(lab.client()));
    vi.advanceTimersByTime(4_000);
    await use(await lab.acquire(lab.client()));
    vi.advanceTimersByTime(4_000);
    expect(first.isIdle).toBe(true);
    vi.advanceTimersByTime(2_000);
    expect([first.isIdle, lab.pool.openCount]).toEqual([false, 0]);
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
    await use(await lab.acquire(lab.client()));
    // The connection's own watch for silence, and the sweep again.
    expect(vi.getTimerCount()).toBe(2);
  });

  test('closes spare ones only when they were idle for over a second, the oldest first', async () => {
    await using lab = await startPool({ connectionPool: { maxIdlePerHost: 1 } });
    const all = await Promise.all([1, 2, 3].map(() => lab.acquire(lab.client())));
    for (const connection of all) await use(connection);
    vi.advanceTimersByTime(1_000);
    expect(lab.pool.openCount).toBe(3);
    vi.advanceTimersByTime(1_000);
    expect(all.map((connection) => connection.isIdle)).toEqual([false, false, true]);
    expect(lab.pool.openCount).toBe(1);
  });

  test('closes pinned ones by the same limit, and none for being spare', async () => {
    await using lab = await startPool({ connectionPool: { idleTimeoutMs: 5_000, maxIdlePerHost: 1 } });
    const mine = [lab.client(), lab.client()];
    const pinned = await Promise.all(mine.map(async (flow) => await use(await lab.acquire(flow), ntlmHead)));
    vi.advanceTimersByTime(4_000);
    expect(pinned.map((connection) => connection.isIdle)).toEqual([true, true]);
    vi.advanceTimersByTime(2_000);
    expect(pinned.map((connection) => connection.isIdle)).toEqual([false, false]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not touch what is busy', async () => {
    await using lab = await startPool({ connectionPool: { idleTimeoutMs: 1_000 } });
    const first = await use(await lab.acquire(lab.client()));
    const busy = await lab.acquire(lab.client());
    expect(busy).toBe(first);
    vi.advanceTimersByTime(10_000);
    await use(busy);
    expect(lab.pool.openCount).toBe(1);
  });
});
