// Connections to origins are shared as far as that is safe, never beyond the limit, and every count returns to 0.
import type { Socket } from 'node:net';
import { duplexPair } from 'node:stream';

import { Failure, type Flow, type MitmConfigInput, parseConfig } from 'mitm-core';
import { parseRequestHead, type RequestHead } from 'mitm-http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { type RawOrigin, type RawScript, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import type { Outbound, ResponseReceiver } from '../../src/relay/sides.ts';
import type { AcquireRequest } from '../../src/upstream/acquire.ts';
import { dial } from '../../src/upstream/dial.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import type { UpstreamTarget } from '../../src/upstream/target.ts';
import { Wire } from '../../src/wire.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';

/** Answers each request as soon as its head is there. */
const answering: RawScript = (socket) => {
  socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  socket.on('end', () => socket.end());
};

interface Lab extends AsyncDisposable {
  readonly origin: RawOrigin;
  readonly fixture: RuntimeFixture;
  readonly pool: UpstreamPool;
  readonly target: UpstreamTarget;
  /** A flow of a client of its own. */
  client(): Flow;
  acquire(flow: Flow, given?: Partial<AcquireRequest>): Promise<Http1Outbound>;
}

async function startLab(config: Partial<MitmConfigInput> = {}, script: RawScript = answering): Promise<Lab> {
  const origin = await startRawOrigin({ onConnection: script });
  const fixture = await createRuntime({ config });
  const { pool, targets } = fixture.runtime;
  const authority = { host: '127.0.0.1', port: origin.port };
  const target = targets.of(fixture.engine.config, {
    route: fixture.openFlow(authority).route,
    isTls: false,
    skipVerify: false,
    alpn: [],
  });
  return {
    origin,
    fixture,
    pool,
    target,
    client: () => fixture.openFlow(authority),
    acquire: async (flow, given = {}) =>
      http1(await pool.acquire({ target, flow, isRepeatable: true, isFresh: false, ...given })),
    async [Symbol.asyncDispose]() {
      pool.close();
      await origin[Symbol.asyncDispose]();
    },
  };
}

function http1(outbound: Outbound): Http1Outbound {
  if (outbound instanceof Http1Outbound) return outbound;
  throw new Error('not a connection of HTTP/1');
}

const parsed = (text: string): RequestHead => parseRequestHead(Buffer.from(text), 0, text.length);
const head = parsed('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
const ntlmHead = parsed('GET / HTTP/1.1\r\nHost: here\r\nAuthorization: NTLM x\r\n\r\n');

/** Sends a request; resolves when its answer is complete, or with what went wrong. The connection is not released. */
function ask(connection: Http1Outbound, request = head): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const receiver: ResponseReceiver = {
      informational: () => {},
      responseHead: () => {},
      responseData: () => true,
      responseEnd: () => resolve(undefined),
      responseFlush: () => {},
      responseFailed: (failure) => resolve(failure),
      upstreamDrained: () => {},
    };
    connection.send(
      {
        head: request,
        framing: { kind: 'none' },
        scheme: 'http',
        authority: 'here',
        target: '/',
        keepUpgrade: false,
        dropExpect: false,
      },
      receiver,
    );
    connection.sendEnd(undefined);
    connection.flush();
  });
}

async function use(connection: Http1Outbound, request = head): Promise<Http1Outbound> {
  expect(await ask(connection, request)).toBeUndefined();
  connection.release();
  return connection;
}

async function failureOf(acquiring: Promise<unknown>): Promise<Failure> {
  const error: unknown = await acquiring.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  return error;
}

/** Dials, and hands the connection to the pool. */
async function adopted(lab: Lab): Promise<Wire> {
  const wire = new Wire(await dial(lab.target.route, { timeoutMs: 2_000 }));
  lab.pool.adopt(lab.target, { wire, alpn: undefined }, lab.client());
  return wire;
}

const one = { connectionPool: { maxConnectionsPerHost: 1 } } as const;

describe('a connection', () => {
  test('is used again, and only then says so', async () => {
    await using lab = await startLab();
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
    await using lab = await startLab();
    await use(await lab.acquire(lab.client()));
    const flow = lab.client();
    const given = lab.pool.acquire({ target: lab.target, flow, isRepeatable: true, isFresh: false });
    expect(given).toBeInstanceOf(Http1Outbound);
  });

  test('that was used last comes first', async () => {
    await using lab = await startLab();
    const [first, second] = [await lab.acquire(lab.client()), await lab.acquire(lab.client())];
    await use(first);
    await use(second);
    expect(await lab.acquire(lab.client())).toBe(second);
    expect(await lab.acquire(lab.client())).toBe(first);
  });

  test('is not shared between keys', async () => {
    await using lab = await startLab();
    await use(await lab.acquire(lab.client()));
    const other = { ...lab.target, key: `${lab.target.key} other` };
    expect(lab.pool.hasIdle(other.key)).toBe(false);
    await lab.acquire(lab.client(), { target: other });
    expect([lab.origin.connectionCount, lab.pool.openCount]).toEqual([2, 2]);
  });

  test('under TLS is found by its place, before a hello has said for which name', async () => {
    await using lab = await startLab();
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
    await using lab = await startLab();
    const first = await lab.acquire(lab.client());
    first.abort();
    first.abort();
    expect(lab.pool.openCount).toBe(0);
    expect(await lab.acquire(lab.client())).not.toBe(first);
  });

  test('that switched protocols counts no more, and outlives the pool', async () => {
    await using lab = await startLab(one);
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
    await using lab = await startLab();
    const mine = lab.client();
    const first = await use(await lab.acquire(mine));
    const flow = who === 'same' ? lab.fixture.openFlow(undefined, mine) : lab.client();
    expect((await lab.acquire(flow, given)) === first).toBe(isShared);
  });

  test('the last user counts, not the first', async () => {
    await using lab = await startLab();
    const [first, second] = [lab.client(), lab.client()];
    const connection = await use(await lab.acquire(first));
    await use(await lab.acquire(second));
    expect(await lab.acquire(first, { isRepeatable: false })).not.toBe(connection);
    expect(await lab.acquire(second, { isRepeatable: false })).toBe(connection);
  });

  test('at the limit, an idle connection that may not be used makes room', async () => {
    await using lab = await startLab(one);
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
    await using lab = await startLab({ ...one, upstream: { connectTimeoutMs: 500 } });
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
    await using lab = await startLab({ connectionPool: { maxConnectionsPerHost: 2 } });
    const [first, second] = [await lab.acquire(lab.client()), await lab.acquire(lab.client())];
    await use(first);
    await use(second);
    await lab.acquire(lab.client(), { isFresh: true });
    expect([first.isIdle, second.isIdle]).toEqual([false, true]);
  });
});

describe('at the limit', () => {
  test('requests wait, and are served in their order', async () => {
    await using lab = await startLab({ connectionPool: { maxConnectionsPerHost: 2 } });
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
    await using lab = await startLab(one);
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
      await using lab = await startLab({ ...one, upstream: { connectTimeoutMs: 2_000 } });
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
    await using lab = await startLab({ ...one, upstream: { connectTimeoutMs: 30 } });
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
    const config = parseConfig({ interception: { destinations: ['*:*'] }, ...one });
    await using lab = await startLab();
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
    await using lab = await startLab(one);
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
    await using lab = await startLab(one);
    const first = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    lab.pool.cancel(lab.target, lab.client());
    lab.pool.cancel({ ...lab.target, key: 'unknown' }, lab.client());
    await use(first);
    expect(await waiting).toBe(first);
  });

  test('leaves a new connection to anybody, since nobody has used it', async () => {
    await using lab = await startLab();
    const unused = await lab.acquire(lab.client());
    unused.release();
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([1, true]);
    expect(await lab.acquire(lab.client(), { isRepeatable: false })).toBe(unused);
    expect(lab.origin.connectionCount).toBe(1);
  });

  test('leaves a new connection to whoever waits', async () => {
    await using lab = await startLab(one);
    const unused = await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client(), { isRepeatable: false });
    unused.release();
    expect(await waiting).toBe(unused);
  });
});

describe('a connection that a client has authenticated', () => {
  test('comes back to that client alone, whatever it asks', async () => {
    await using lab = await startLab();
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
    await using lab = await startLab({}, (socket) => {
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
    await using lab = await startLab(one);
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
    await using lab = await startLab();
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
    await using lab = await startLab();
    const mine = lab.client();
    const pinned = await lab.acquire(mine);
    expect(await ask(pinned, ntlmHead)).toBeUndefined();
    lab.pool.clientGone(mine.connection);
    pinned.release();
    expect(pinned.isIdle).toBe(false);
  });

  test('that dies is replaced by an ordinary one', async () => {
    await using lab = await startLab();
    const mine = lab.client();
    const pinned = await use(await lab.acquire(mine), ntlmHead);
    pinned.wire.socket.destroy();
    await vi.waitFor(() => expect(pinned.isIdle).toBe(false));
    const next = await use(await lab.acquire(mine));
    expect([next === pinned, next.isPinned, lab.pool.openCount]).toEqual([false, false, 1]);
  });

  test('ends with the settings it was made under, and with the pool', async () => {
    await using lab = await startLab();
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
async function streaming(lab: Lab): Promise<{ connection: Http1Outbound; ended: Promise<unknown> }> {
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
  async function startStreams(limit: number): Promise<{ lab: Lab; endAll: () => void }> {
    const streams: Socket[] = [];
    const lab = await startLab({ connectionPool: { maxConnectionsPerHost: limit } }, (socket) => {
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

test('by default, 256 connections to one origin are made, and the 257th request waits for one of them', async () => {
  await using lab = await startLab();
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

describe('an idle connection', () => {
  test('that the origin ends is closed and never handed out', async () => {
    await using lab = await startLab({}, (socket) => {
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
    await using lab = await startLab({}, (socket, index, log) => {
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
    await using lab = await startLab({}, (socket, index, log) => {
      speak.push(() => void socket.write('HTTP/1.1 200 OK\r\n'));
      return answering(socket, index, log);
    });
    const first = await use(await lab.acquire(lab.client()));
    speak[0]?.();
    await expect.poll(() => lab.pool.openCount).toBe(0);
    expect(first.isIdle).toBe(false);
  });

  test('whose answer said close is not kept', async () => {
    await using lab = await startLab({}, (socket) => {
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
    await using lab = await startLab();
    const wire = await adopted(lab);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([1, true]);
    const connection = await lab.acquire(lab.client(), { isRepeatable: false });
    expect(connection.wire).toBe(wire);
    expect(lab.origin.connectionCount).toBe(1);
  });

  test('serves whoever waits', async () => {
    await using lab = await startLab(one);
    await lab.acquire(lab.client());
    const waiting = lab.acquire(lab.client());
    const wire = await adopted(lab);
    expect((await waiting).wire).toBe(wire);
  });

  test('of what is dead, or speaks unasked, leaves nothing', async () => {
    await using lab = await startLab();
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
    await using lab = await startLab();
    lab.pool.close();
    const wire = await adopted(lab);
    expect([wire.socket.destroyed, lab.pool.openCount]).toEqual([true, 0]);
  });
});

test('a new connection on which the origin speaks first is refused, and takes no place', async () => {
  await using lab = await startLab();
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
    await using lab = await startLab();
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
    await using lab = await startLab();
    const making = lab.acquire(lab.client());
    lab.pool.empty();
    await use(await making);
    expect([lab.pool.openCount, lab.pool.hasIdle(lab.target.key)]).toEqual([0, false]);
  });

  test('lets whoever waits have a new connection', async () => {
    await using lab = await startLab(one);
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
      await using lab = await startLab({ connectionPool: { maxConnectionsPerHost: 2 } }, (socket) => {
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

describe('the sweep', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('closes what was idle for longer than the limit, and then stops', async () => {
    await using lab = await startLab({ connectionPool: { idleTimeoutMs: 5_000 } });
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
    await using lab = await startLab({ connectionPool: { maxIdlePerHost: 1 } });
    const all = await Promise.all([1, 2, 3].map(() => lab.acquire(lab.client())));
    for (const connection of all) await use(connection);
    vi.advanceTimersByTime(1_000);
    expect(lab.pool.openCount).toBe(3);
    vi.advanceTimersByTime(1_000);
    expect(all.map((connection) => connection.isIdle)).toEqual([false, false, true]);
    expect(lab.pool.openCount).toBe(1);
  });

  test('closes pinned ones by the same limit, and none for being spare', async () => {
    await using lab = await startLab({ connectionPool: { idleTimeoutMs: 5_000, maxIdlePerHost: 1 } });
    const mine = [lab.client(), lab.client()];
    const pinned = await Promise.all(mine.map(async (flow) => await use(await lab.acquire(flow), ntlmHead)));
    vi.advanceTimersByTime(4_000);
    expect(pinned.map((connection) => connection.isIdle)).toEqual([true, true]);
    vi.advanceTimersByTime(2_000);
    expect(pinned.map((connection) => connection.isIdle)).toEqual([false, false]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not touch what is busy', async () => {
    await using lab = await startLab({ connectionPool: { idleTimeoutMs: 1_000 } });
    const first = await use(await lab.acquire(lab.client()));
    const busy = await lab.acquire(lab.client());
    expect(busy).toBe(first);
    vi.advanceTimersByTime(10_000);
    await use(busy);
    expect(lab.pool.openCount).toBe(1);
  });
});

test('sessions are bounded: the oldest goes', async () => {
  await using lab = await startLab();
  const { sessions } = lab.pool;
  for (let index = 0; index < 1_024; index += 1) sessions.set(`key ${index}`, Buffer.of(1));
  sessions.set('key 0', Buffer.of(2));
  sessions.set('one more', Buffer.of(3));
  expect(sessions.get('key 0')).toEqual(Buffer.of(2));
  expect(sessions.get('key 1')).toBeUndefined();
  expect(sessions.get('key 2')).toEqual(Buffer.of(1));
});

test('counts return to 0 whatever many clients do', async () => {
  await using lab = await startLab({ connectionPool: { maxConnectionsPerHost: 3 } });
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
