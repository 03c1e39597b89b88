// What a client has authenticated is its alone, and no connection outlives the settings or the pool that it belongs to.
import { h2Code } from 'mitm-http';
import { describe, expect, test, vi } from 'vitest';

import { endHeaders, endStream, headersFrame } from '../../../../testing/lab/h2-frames.ts';
import { dialled, failureOf, ok, originOf, send, settled, startHttp2Pool } from '../http2-pool-lab.ts';

const authenticating = { isAuthenticating: true } as const;
const one = { config: { connectionPool: { maxConnectionsPerHost: 1 } } } as const;

describe('a client that authenticates its connection', () => {
  test('gets one that no other client ever was on, and never is', async () => {
    using lab = await startHttp2Pool();
    const [alice, bob] = [lab.client(), lab.client()];
    const shared = await lab.acquire(bob);
    const own = await lab.acquire(alice, authenticating);
    expect([lab.origins.length, shared.isBound, own.isBound]).toEqual([2, false, true]);
    shared.abort();
    await lab.acquire(bob);
    await lab.acquire(lab.client());
    await settled(lab, 1);
    expect(originOf(lab, 1).frames.filter(({ type }) => type === 1)).toHaveLength(0);
    expect(lab.pool.sharedFor(lab.target, alice.connection)?.soleUser).toBe(alice.connection);
  });

  test('stays on it with whatever it asks next', async () => {
    using lab = await startHttp2Pool();
    const alice = lab.client();
    await lab.acquire(lab.client());
    await lab.acquire(alice, authenticating);
    expect((await lab.acquire(alice)).isBound).toBe(true);
    expect((await lab.acquire(alice, authenticating)).isBound).toBe(true);
    expect(lab.origins.length).toBe(2);
  });

  test('takes over the one that only it has used', async () => {
    using lab = await startHttp2Pool();
    const alice = lab.client();
    await lab.acquire(alice);
    expect((await lab.acquire(alice, authenticating)).isBound).toBe(true);
    await lab.acquire(lab.client());
    expect(lab.origins.length).toBe(2);
  });

  test('has one made of its own where another one’s is just being made', async () => {
    using lab = await startHttp2Pool();
    const [theirs, own] = await Promise.all([
      lab.acquire(lab.client()),
      lab.acquire(lab.client(), authenticating),
    ]);
    expect([theirs.isBound, own.isBound, lab.origins.length]).toEqual([false, true, 2]);
  });

  test('hides the protocol of the origin from nobody: a connection of one client tells others nothing', async () => {
    using lab = await startHttp2Pool();
    await lab.acquire(lab.client(), authenticating);
    expect([lab.pool.hasIdle(lab.target.key), lab.pool.protocolOf(lab.target.key)]).toEqual([
      false,
      undefined,
    ]);
  });

  test('takes it along when it leaves, and no other one', async () => {
    using lab = await startHttp2Pool();
    const [alice, bob] = [lab.client(), lab.client()];
    const receiver = send(await lab.acquire(alice, authenticating));
    const other = send(await lab.acquire(bob, authenticating));
    lab.pool.clientGone(alice.connection);
    expect([receiver.told, other.told, lab.pool.openCount]).toEqual([['failed'], [], 1]);
    await originOf(lab, 0).ended();
  });

  test('does not come to others’ connection by waiting for it', async () => {
    using lab = await startHttp2Pool({
      config: { connectionPool: { maxConnectionsPerHost: 1 }, upstream: { connectTimeoutMs: 200 } },
      peer: { settings: { maxConcurrentStreams: 1 } },
    });
    const shared = await lab.acquire(lab.client());
    await settled(lab);
    const waiting = lab.acquire(lab.client(), authenticating).then(
      (outbound) => outbound.isBound,
      () => true,
    );
    shared.abort();
    expect(await waiting).toBe(true);
  });

  test('has room made for it where others’ connection is idle and there may be no other', async () => {
    using lab = await startHttp2Pool({
      config: { connectionPool: { maxConnectionsPerHost: 1 }, upstream: { connectTimeoutMs: 200 } },
    });
    const shared = await lab.acquire(lab.client());
    await settled(lab);
    shared.release();
    expect((await lab.acquire(lab.client(), authenticating)).isBound).toBe(true);
  });

  test('that was told to by a 401 leaves without those who were there before', async () => {
    using lab = await startHttp2Pool();
    const [alice, bob] = [lab.client(), lab.client()];
    const first = await lab.acquire(alice);
    await settled(lab);
    const asked = send(first);
    const other = send(await lab.acquire(bob));
    const origin = originOf(lab);
    await origin.until(() => origin.stream(3).isEnded, 'both requests');
    origin.send(headersFrame(1, [':status', '401', 'www-authenticate', 'NTLM'], endHeaders | endStream));
    await vi.waitFor(() => expect(asked.told).toContain('end'));
    lab.pool.clientGone(alice.connection);
    expect(other.told).toEqual([]);
  });
});

describe('empty', () => {
  test('closes what is idle at once, and what is busy when it is done', async () => {
    using lab = await startHttp2Pool();
    const idle = await lab.acquire(lab.client());
    idle.release();
    lab.pool.empty();
    expect(lab.pool.openCount).toBe(0);
    const busy = await lab.acquire(lab.client());
    const receiver = send(busy);
    lab.pool.empty();
    expect([lab.pool.openCount, lab.pool.protocolOf(lab.target.key)]).toEqual([1, undefined]);
    await lab.acquire(lab.client());
    expect(lab.origins.length).toBe(3);
    const origin = originOf(lab, 1);
    await origin.until(() => origin.stream(1).isEnded, 'the request');
    origin.send(ok(1));
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    busy.release();
    await origin.ended();
    expect(lab.pool.openCount).toBe(1);
  });

  test('outdates what is just being made: it serves whoever waits for it, and nobody else', async () => {
    using lab = await startHttp2Pool();
    const making = lab.acquire(lab.client());
    lab.pool.empty();
    await making;
    expect(lab.pool.protocolOf(lab.target.key)).toBeUndefined();
    await lab.acquire(lab.client());
    expect(lab.origins.length).toBe(2);
  });

  test('outdates what is just being made: it is closed when that is done', async () => {
    using lab = await startHttp2Pool();
    const making = lab.acquire(lab.client());
    lab.pool.empty();
    (await making).release();
    expect(lab.pool.openCount).toBe(0);
  });
});

describe('close', () => {
  test('ends busy, waiting and being made; the exchanges hear of it', async () => {
    using lab = await startHttp2Pool({ ...one, peer: { settings: { maxConcurrentStreams: 1 } } });
    const receiver = send(await lab.acquire(lab.client()));
    await settled(lab);
    const waiting = failureOf(lab.acquire(lab.client()));
    const making = failureOf(lab.acquire(lab.client(), { target: { ...lab.target, key: 'another' } }));
    lab.pool.close();
    lab.pool.close();
    expect([(await waiting).reason, (await making).reason]).toEqual(['shutdown', 'shutdown']);
    expect(receiver.failure).toMatchObject({ detail: 'the proxy is shutting down' });
    expect(lab.pool.openCount).toBe(0);
    expect((await failureOf(lab.acquire(lab.client()))).reply?.status).toBe(503);
  });

  test('is for good: what was made meanwhile is closed', async () => {
    using lab = await startHttp2Pool();
    lab.pool.close();
    const wire = dialled(lab.origins, {});
    lab.pool.adopt(lab.target, { wire, alpn: 'h2' }, lab.client());
    expect([wire.socket.destroyed, lab.pool.openCount]).toEqual([true, 0]);
  });
});

test('counts return to 0 whatever many clients do', async () => {
  using lab = await startHttp2Pool({
    config: { connectionPool: { maxConnectionsPerHost: 3 } },
    peer: { settings: { maxConcurrentStreams: 4 } },
  });
  await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const outbound = await lab.acquire(lab.client(), { isRepeatable: index % 3 !== 0 });
      if (index % 5 !== 0) send(outbound);
      await new Promise((resolve) => setImmediate(resolve));
      outbound.abort(index % 7 === 0 ? h2Code.noError : undefined);
    }),
  );
  expect(lab.origins.length).toBeLessThanOrEqual(3);
  lab.pool.empty();
  expect(lab.pool.openCount).toBe(0);
});
