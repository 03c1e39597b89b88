// Connections to origins are shared as far as that is safe, and every count returns to 0.
import { duplexPair } from 'node:stream';

import { Failure, parseConfig } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import { dial } from '../../src/upstream/dial.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { Wire } from '../../src/wire.ts';
import { adopted, ask, failureOf, oneEach, startPool, use } from './pool-lab.ts';

describe('a connection', () => {
  test('is used again, and only then says so', async () => {
    await using lab = await startPool();
    const first = await lab.acquire(lab.client());
    expect(first.isReused).toBe(false);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(false);
    await use(first);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(true);
    const second = await lab.acquire(lab.client());
    expect(second).toBe(first);
    void ask(second);
    expect(second.isReused).toBe(true);
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([1, 1]);
  });

  test('is given at once when it is there: no promise', async () => {
    await using lab = await startPool();
    await use(await lab.acquire(lab.client()));
    const flow = lab.client();
    const given = lab.pool.acquire({ target: lab.target, flow, isRepeatable: true, isFresh: false });
    expect(given).toBeInstanceOf(Http1Outbound);
  });

  test('that was used last comes first', async () => {
    await using lab = await startPool();
    const [first, second] = [await lab.acquire(lab.client()), await lab.acquire(lab.client())];
    await use(first);
    await use(second);
    expect(await lab.acquire(lab.client())).toBe(second);
    expect(await lab.acquire(lab.client())).toBe(first);
  });

  test('is not shared between keys', async () => {
    await using lab = await startPool();
    await use(await lab.acquire(lab.client()));
    const other = { ...lab.target, key: `${lab.target.key} other` };
    expect(lab.pool.hasIdle(other.key)).toBe(false);
    await lab.acquire(lab.client(), { target: other });
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([2, 2]);
  });

  test('under TLS is found by its place, before a hello has said for which name', async () => {
    await using lab = await startPool();
    const tls = {
      context: () => {
        throw new Error('no handshake is made here');
      },
      servername: 'localhost',
      verifyHost: 'localhost',
      isVerified: true,
      alpn: [],
      revocationMode: 'off' as const,
    };
    const target = { ...lab.target, key: `${lab.target.place} localhost`, tls };
    expect(lab.pool.hasIdleAt(target.place)).toBe(false);
    const wire = new Wire(await dial(lab.target.route, { timeoutMs: 2_000 }));
    lab.pool.adopt(target, { wire, alpn: undefined }, lab.client());
    expect(lab.pool.hasIdleAt(target.place)).toBe(true);
    lab.pool.empty();
    expect(lab.pool.hasIdleAt(target.place)).toBe(false);
  });

  test('that is given up is not used again', async () => {
    await using lab = await startPool();
    const first = await lab.acquire(lab.client());
    first.abort();
    first.abort();
    expect(lab.pool.openCount).toBe(0);
    expect(await lab.acquire(lab.client())).not.toBe(first);
  });

  test('that switched protocols counts no more, and outlives the pool', async () => {
    await using lab = await startPool(oneEach);
    const first = await lab.acquire(lab.client());
    const wire = first.takeWire();
    expect(lab.pool.openCount).toBe(0);
    await use(await lab.acquire(lab.client()));
    lab.pool.close();
    expect(wire.socket.destroyed).toBe(false);
    wire.destroy();
  });
});

describe('who may use what', () => {
  test.each([
    ['a repeatable request of another client', 'another', { isRepeatable: true }, true],
    ['an unrepeatable request of the same client', 'same', { isRepeatable: false }, true],
    ['an unrepeatable request of another client', 'another', { isRepeatable: false }, false],
    ['a second try, on a connection of its own', 'same', { isRepeatable: true, isFresh: true }, false],
  ] as const)('%s', async (_rule, who, given, isShared) => {
    await using lab = await startPool();
    const mine = lab.client();
    const first = await use(await lab.acquire(mine));
    const flow = who === 'same' ? lab.fixture.openFlow(undefined, mine) : lab.client();
    expect((await lab.acquire(flow, given)) === first).toBe(isShared);
  });

  test('the last user counts, not the first', async () => {
    await using lab = await startPool();
    const [first, second] = [lab.client(), lab.client()];
    const connection = await use(await lab.acquire(first));
    await use(await lab.acquire(second));
    expect(await lab.acquire(first, { isRepeatable: false })).not.toBe(connection);
    expect(await lab.acquire(second, { isRepeatable: false })).toBe(connection);
  });

  test('at the limit, an idle connection that may not be used makes room', async () => {
    await using lab = await startPool(oneEach);
    const first = await use(await lab.acquire(lab.client()));
    const second = await use(await lab.acquire(lab.client(), { isRepeatable: false }));
    expect(second).not.toBe(first);
    expect(lab.pool.openCount).toBe(1);
    await use(await lab.acquire(lab.client()));
    expect([lab.pool.openCount, lab.origin.connectionCount]).toEqual([1, 2]);
    lab.pool.empty();
    expect(lab.pool.openCount).toBe(0);
  });

  test('beyond the limit, as many idle connections make room as it takes', async () => {
    await using lab = await startPool({ ...oneEach, upstream: { connectTimeoutMs: 500 } });
    const owners = [lab.client(), lab.client()];
    // Handshakes of two clients at the same time: neither of them asks the pool first.
    for (let count = 0; count < 2; count += 1) await adopted(lab);
    const taken = [];
    for (const owner of owners) taken.push(await lab.acquire(owner));
    for (const connection of taken) await use(connection);
    expect(lab.pool.openCount).toBe(2);
    const other = await lab.acquire(lab.client(), { isRepeatable: false });
    expect([other.isReused, lab.pool.openCount]).toEqual([false, 1]);
    await use(other);
  });

  test('of several idle ones, the oldest makes room', async () => {
    await using lab = await startPool({ connectionPool: { maxConnectionsPerHost: 2 } });
    const [first, second] = [await lab.acquire(lab.client()), await lab.acquire(lab.client())];
    await use(first);
    await use(second);
    await lab.acquire(lab.client(), { isFresh: true });
    expect([first.isIdle, second.isIdle]).toEqual([false, true]);
  });
});

test('a new connection on which the origin speaks first is refused, and takes no place', async () => {
  await using lab = await startPool();
  const config = parseConfig({ interception: { destinations: ['*:*'] } });
  const pool = new UpstreamPool(
    () => {
      const [near] = duplexPair();
      const wire = new Wire(near);
      wire.pushBack(Buffer.from('220 hello\r\n'));
      return Promise.resolve({ wire, alpn: undefined });
    },
    () => config,
  );
  const request = { target: lab.target, flow: lab.client(), isRepeatable: true, isFresh: false };
  const failure = await failureOf((async () => pool.acquire(request))());
  expect(failure).toMatchObject({ reason: 'upstream_connect_failed', reply: { status: 502 } });
  expect(pool.openCount).toBe(0);
});

describe('empty', () => {
  test('closes what is idle at once, and what is busy when it is done', async () => {
    await using lab = await startPool();
    const busy = await lab.acquire(lab.client());
    const idle = await use(await lab.acquire(lab.client()));
    lab.pool.sessions.set('key', Buffer.from('session'));
    lab.pool.empty();
    expect([idle.isIdle, lab.pool.openCount, lab.pool.sessions.get('key')]).toEqual([false, 1, undefined]);
    await use(busy);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([0, false]);
    await use(await lab.acquire(lab.client()));
    expect(lab.pool.hasIdle(lab.target.key)).toBe(true);
  });

  test('outdates what is just being made under the old settings', async () => {
    await using lab = await startPool();
    const making = lab.acquire(lab.client());
    lab.pool.empty();
    await use(await making);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([0, false]);
  });

  test('lets whoever waits have a new connection', async () => {
    await using lab = await startPool(oneEach);
    const first = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    lab.pool.empty();
    await use(first);
    const second = await waiting;
    expect(second).not.toBe(first);
    await use(second);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(true);
  });
});

describe('close', () => {
  test('ends idle, busy, waiting and being made; the exchanges hear of it, and nothing is left', async () => {
    const before = openHandles();
    {
      await using lab = await startPool({ connectionPool: { maxConnectionsPerHost: 2 } }, (socket) => {
        socket.on('end', () => socket.end());
      });
      const busy = await lab.acquire(lab.client());
      const answer = ask(busy);
      const making = failureOf(lab.acquire(lab.client()));
      const waiting = failureOf(lab.acquire(lab.client()));
      lab.pool.close();
      lab.pool.close();
      expect((await waiting).reason).toBe('shutdown');
      expect((await making).reason).toBe('shutdown');
      expect(await answer).toBeInstanceOf(Failure);
      expect(lab.pool.openCount).toBe(0);
      expect((await failureOf(lab.acquire(lab.client()))).reply?.status).toBe(503);
    }
    await expectNothingLeft(before);
  });
});

test('sessions are bounded: the oldest goes', async () => {
  await using lab = await startPool();
  const { sessions } = lab.pool;
  for (let index = 0; index < 1_024; index += 1) sessions.set(`key ${index}`, Buffer.of(1));
  sessions.set('key 0', Buffer.of(2));
  sessions.set('one more', Buffer.of(3));
  expect(sessions.get('key 0')).toEqual(Buffer.of(2));
  expect(sessions.get('key 1')).toBeUndefined();
  expect(sessions.get('key 2')).toEqual(Buffer.of(1));
});
