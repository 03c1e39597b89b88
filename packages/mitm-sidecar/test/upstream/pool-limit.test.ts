// No more connections to one origin than there may be: who waits for one, in which order, and what makes room.
import { Failure, parseConfig } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import type { Outbound } from '../../src/relay/sides.ts';
import { dial } from '../../src/upstream/dial.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { Wire } from '../../src/wire.ts';
import { failureOf, oneEach, startPool, use } from './pool-lab.ts';

describe('at the limit', () => {
  test('requests wait, and are served in their order', async () => {
    await using lab = await startPool({ connectionPool: { maxConnectionsPerHost: 2 } });
    const busy = [await lab.acquire(lab.client()), await lab.acquire(lab.client())];
    const served: number[] = [];
    const waiting = [0, 1, 2, 3].map(async (index) => {
      const connection = await lab.acquire(lab.client());
      served.push(index);
      await use(connection);
    });
    for (const connection of busy) await use(connection);
    await Promise.all(waiting);
    expect(served).toEqual([0, 1, 2, 3]);
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([2, 2]);
  });

  test('a connection that is lost is replaced for whoever waits first', async () => {
    await using lab = await startPool(oneEach);
    const first = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    first.abort();
    expect(await waiting).not.toBe(first);
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([2, 1]);
  });

  test.each([
    ['unrepeatable', { isRepeatable: false }],
    ['on its second try', { isFresh: true }],
  ])(
    'a request that is %s is not passed over for others that could use any connection',
    async (_rule, given) => {
      await using lab = await startPool({ ...oneEach, upstream: { connectTimeoutMs: 2_000 } });
      const first = await lab.acquire(lab.client());
      const served: string[] = [];
      const particular = lab.acquire(lab.client(), given).then((connection) => {
        served.push('particular');
        return connection;
      });
      const any = lab.acquire(lab.client()).then((connection) => {
        served.push('any');
        return connection;
      });
      await use(first);
      const second = await particular;
      expect(second).not.toBe(first);
      await use(second);
      expect(await any).toBe(second);
      expect(served).toEqual(['particular', 'any']);
      expect(lab.pool.openCount).toBe(1);
    },
  );

  test('whoever waits too long gets a 504, and its place goes to the next', async () => {
    await using lab = await startPool({ ...oneEach, upstream: { connectTimeoutMs: 30 } });
    const first = await lab.acquire(lab.client());
    const failure = await failureOf(lab.acquire(lab.client()));
    expect(failure).toMatchObject({
      reason: 'upstream_connect_failed',
      reply: { status: 504, body: 'all connections to 127.0.0.1 are in use\n' },
    });
    const next = lab.acquire(lab.client());
    await use(first);
    expect(await next).toBe(first);
  });

  test('a connection that cannot be made is no place taken, and the next one tries', async () => {
    const config = parseConfig({ interception: { destinations: ['*:*'] }, ...oneEach });
    await using lab = await startPool();
    let attempts = 0;
    const pool = new UpstreamPool(
      async (target) => {
        attempts += 1;
        if (attempts <= 2) throw new Failure('upstream_connect_failed', { side: 'upstream' });
        return { wire: new Wire(await dial(target.route, { timeoutMs: 2_000 })), alpn: undefined };
      },
      () => config,
    );
    const request = (): Promise<Outbound> =>
      (async () =>
        pool.acquire({ target: lab.target, flow: lab.client(), isRepeatable: true, isFresh: false }))();
    const outcomes = await Promise.allSettled([request(), request(), request()]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(pool.openCount).toBe(1);
    pool.close();
    await expect.poll(() => pool.openCount).toBe(0);
  });
});

describe('whoever leaves', () => {
  test('while waiting gives up the place, and the next in line is served', async () => {
    await using lab = await startPool(oneEach);
    const first = await lab.acquire(lab.client());
    const leaver = lab.client();
    const left = failureOf(lab.acquire(leaver));
    const next = lab.acquire(lab.client());
    lab.pool.cancel(lab.target, leaver);
    expect((await left).reason).toBe('client_aborted');
    await use(first);
    expect(await next).toBe(first);
  });

  test('and waited for nothing takes no place from others', async () => {
    await using lab = await startPool(oneEach);
    const first = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    lab.pool.cancel(lab.target, lab.client());
    lab.pool.cancel({ ...lab.target, key: 'unknown' }, lab.client());
    await use(first);
    expect(await waiting).toBe(first);
  });

  test('leaves a new connection to anybody, since nobody has used it', async () => {
    await using lab = await startPool();
    const unused = await lab.acquire(lab.client());
    unused.release();
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([1, true]);
    expect(await lab.acquire(lab.client(), { isRepeatable: false })).toBe(unused);
    expect(lab.origin.connectionCount).toBe(1);
  });

  test('leaves a new connection to whoever waits', async () => {
    await using lab = await startPool(oneEach);
    const unused = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client(), { isRepeatable: false });
    unused.release();
    expect(await waiting).toBe(unused);
  });
});

test('by default, 256 connections to one origin are made, and the 257th request waits for one of them', async () => {
  await using lab = await startPool();
  const busy = await Promise.all(Array.from({ length: 256 }, () => lab.acquire(lab.client())));
  const served: number[] = [];
  const waiting = Array.from({ length: 44 }, async (_, index) => {
    const connection = await lab.acquire(lab.client());
    served.push(index);
    return connection;
  });
  expect([lab.pool.openCount, served]).toEqual([256, []]);
  const [first, ...others] = busy;
  if (first === undefined) throw new Error('none was made');
  await use(first);
  expect(await waiting[0]).toBe(first);
  expect(served).toEqual([0]);
  for (const connection of others.slice(0, 43)) connection.release();
  await Promise.all(waiting);
  expect(served).toEqual(Array.from({ length: 44 }, (_, index) => index));
  expect(lab.pool.openCount).toBe(256);
  await expect.poll(() => lab.origin.connectionCount).toBe(256);
});

test('counts return to 0 whatever many clients do', async () => {
  await using lab = await startPool({ connectionPool: { maxConnectionsPerHost: 3 } });
  let most = 0;
  await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const connection = await lab.acquire(lab.client(), {
        isRepeatable: index % 3 !== 0,
        isFresh: index % 7 === 0,
      });
      most = Math.max(most, lab.pool.openCount);
      if (index % 5 === 0) connection.abort();
      else await use(connection);
    }),
  );
  expect(most).toBe(3);
  expect(lab.pool.openCount).toBeLessThanOrEqual(3);
  lab.pool.empty();
  expect(lab.pool.openCount).toBe(0);
});
