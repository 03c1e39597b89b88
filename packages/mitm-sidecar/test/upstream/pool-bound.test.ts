// Connections that are not like the others: a client has authenticated them, or a stream holds them.
import type { Socket } from 'node:net';

import { Failure } from 'mitm-core';
import { describe, expect, test, vi } from 'vitest';

import { Http1Outbound } from '../../src/http1/outbound.ts';
import { ask, ntlmHead, oneEach, type PoolLab, startPool, use } from './pool-lab.ts';

describe('a connection that a client has authenticated', () => {
  test('comes back to that client alone, whatever it asks', async () => {
    await using lab = await startPool();
    const [mine, other] = [lab.client(), lab.client()];
    const pinned = await use(await lab.acquire(mine), ntlmHead);
    expect(pinned.isPinned).toBe(true);
    expect(lab.pool.hasIdle(lab.target.key)).toBe(false);
    const others = await use(await lab.acquire(other));
    expect(others).not.toBe(pinned);
    for (const isRepeatable of [true, false]) {
      const flow = lab.fixture.openFlow(undefined, mine);
      expect(await use(await lab.acquire(flow, { isRepeatable }))).toBe(pinned);
    }
    expect(pinned.isBound).toBe(true);
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([2, 1]);
  });

  test('is asked by the origin to: a 401 does it as well', async () => {
    await using lab = await startPool({}, (socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n'),
      );
    });
    const mine = lab.client();
    const pinned = await use(await lab.acquire(mine));
    expect([pinned.isPinned, pinned.isBound]).toEqual([true, false]);
    expect(await lab.acquire(lab.client())).not.toBe(pinned);
    expect(await lab.acquire(mine)).toBe(pinned);
  });

  test('does not count, and its place goes to whoever waits', async () => {
    await using lab = await startPool(oneEach);
    const mine = lab.client();
    const first = await lab.acquire(mine);
    const waiting = lab.acquire(lab.client());
    await use(first, ntlmHead);
    const second = await waiting;
    expect(second).not.toBe(first);
    expect(lab.pool.openCount).toBe(1);
    expect(await use(await lab.acquire(mine))).toBe(first);
    await use(second);
    lab.pool.clientGone(mine.connection);
    expect([first.isIdle, second.isIdle, lab.pool.openCount]).toEqual([false, true, 1]);
  });

  test('is closed with its client, and with no other', async () => {
    await using lab = await startPool();
    const [mine, other] = [lab.client(), lab.client()];
    const pinned = await use(await lab.acquire(mine), ntlmHead);
    const theirs = await use(await lab.acquire(other), ntlmHead);
    lab.pool.clientGone(mine.connection);
    lab.pool.clientGone(mine.connection);
    expect([pinned.isIdle, theirs.isIdle]).toEqual([false, true]);
    await expect.poll(() => lab.origin.connections[0]?.hasEnded).toBe(true);
    expect(lab.origin.connections[1]?.hasEnded).toBe(false);
  });

  test('is not kept when its exchange outlives the client', async () => {
    await using lab = await startPool();
    const mine = lab.client();
    const pinned = await lab.acquire(mine);
    expect(await ask(pinned, ntlmHead)).toBeUndefined();
    lab.pool.clientGone(mine.connection);
    pinned.release();
    expect(pinned.isIdle).toBe(false);
  });

  test('that dies is replaced by an ordinary one', async () => {
    await using lab = await startPool();
    const mine = lab.client();
    const pinned = await use(await lab.acquire(mine), ntlmHead);
    pinned.wire.socket.destroy();
    await vi.waitFor(() => expect(pinned.isIdle).toBe(false));
    const next = await use(await lab.acquire(mine));
    expect([next === pinned, next.isPinned, lab.pool.openCount]).toEqual([false, false, 1]);
  });

  test('ends with the settings it was made under, and with the pool', async () => {
    await using lab = await startPool();
    const mine = lab.client();
    const idle = await use(await lab.acquire(mine), ntlmHead);
    const busy = await lab.acquire(lab.client());
    const answer = ask(busy, ntlmHead);
    lab.pool.empty();
    expect(idle.isIdle).toBe(false);
    await answer;
    busy.release();
    expect(busy.isIdle).toBe(false);
    const last = await lab.acquire(mine);
    expect(await ask(last, ntlmHead)).toBeUndefined();
    lab.pool.close();
    expect(last.wire.socket.destroyed).toBe(true);
  });
});

/** Begins a request, and resolves with the connection when its stream has begun. */
async function streaming(lab: PoolLab): Promise<{ connection: Http1Outbound; ended: Promise<unknown> }> {
  const connection = await lab.acquire(lab.client());
  const ended = ask(connection);
  await vi.waitFor(() => expect(connection.isStreaming).toBe(true));
  return { connection, ended };
}

describe('a connection that carries a stream', () => {
  const eventsHead =
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
  const event = '8\r\ndata: 1\n\r\n';

  /** Answers the first request of each connection with a stream, and the others at once. */
  async function startStreams(limit: number): Promise<{ lab: PoolLab; endAll: () => void }> {
    const streams: Socket[] = [];
    const lab = await startPool({ connectionPool: { maxConnectionsPerHost: limit } }, (socket) => {
      let count = 0;
      socket.on('data', () => {
        count += 1;
        if (count > 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        else {
          streams.push(socket);
          socket.write(eventsHead + event);
        }
      });
    });
    return { lab, endAll: () => streams.forEach((socket) => socket.write('0\r\n\r\n')) };
  }

  test('takes no place from others, however many there are', async () => {
    const streams = await startStreams(1);
    await using lab = streams.lab;
    const begun = [await streaming(lab), await streaming(lab), await streaming(lab)];
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([3, 0]);
    streams.endAll();
    await Promise.all(begun.map(({ ended }) => ended));
    for (const { connection } of begun) connection.release();
    // As many are kept as there may be.
    expect(begun.map(({ connection }) => connection.isIdle)).toEqual([true, false, false]);
    expect(lab.pool.openCount).toBe(1);
  });

  test('serves whoever waits as soon as the stream begins', async () => {
    const streams = await startStreams(1);
    await using lab = streams.lab;
    const first = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    void ask(first);
    expect(await waiting).not.toBe(first);
  });

  test('is used again when the stream has ended, and counts again', async () => {
    const streams = await startStreams(2);
    await using lab = streams.lab;
    const { connection, ended } = await streaming(lab);
    streams.endAll();
    await ended;
    connection.release();
    expect([connection.isStreaming, lab.pool.openCount]).toEqual([false, 1]);
    expect(await use(await lab.acquire(lab.client()))).toBe(connection);
  });

  test('leaves nothing behind when it breaks', async () => {
    const streams = await startStreams(1);
    await using lab = streams.lab;
    const { connection, ended } = await streaming(lab);
    connection.wire.socket.destroy();
    expect(await ended).toBeInstanceOf(Failure);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([0, false]);
    expect((await streaming(lab)).connection).not.toBe(connection);
  });
});
