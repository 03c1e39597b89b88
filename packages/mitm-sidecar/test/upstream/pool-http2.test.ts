// Connections of HTTP/2 are shared by all clients, as far as their origins have room for streams.
import { Failure } from 'mitm-core';
import { h2Code } from 'mitm-http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { frameTypes, goawayFrame, settingsFrame } from '../../../../testing/lab/h2-frames.ts';
import type { RawPeer } from '../../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import { Http2Outbound } from '../../src/http2/outbound.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { Wire } from '../../src/wire.ts';
import { dialled, failureOf, ok, originOf, send, settled, startHttp2Pool } from '../http2-pool-lab.ts';

const one = { config: { connectionPool: { maxConnectionsPerHost: 1 } } } as const;
const single = { peer: { settings: { maxConcurrentStreams: 1 } } } as const;

describe('a connection', () => {
  test('carries the exchanges of all clients, given at once, and says what the origin speaks', async () => {
    using lab = await startHttp2Pool();
    const { pool, target } = lab;
    expect([pool.protocolOf(target.key), pool.hasIdle(target.key)]).toEqual([undefined, false]);
    const first = await lab.acquire(lab.client());
    const flow = lab.client();
    const second = pool.acquire({ target, flow, isRepeatable: true, isFresh: false });
    expect(second).toBeInstanceOf(Http2Outbound);
    expect([first.isReused, lab.origins.length, pool.openCount]).toEqual([false, 1, 1]);
    expect([pool.protocolOf(target.key), pool.hasIdle(target.key)]).toEqual(['h2', true]);
    expect(pool.sharedFor(target, flow.connection)?.isIdle).toBe(false);
  });

  test('is not shared between keys', async () => {
    using lab = await startHttp2Pool();
    await lab.acquire(lab.client());
    await lab.acquire(lab.client(), { target: { ...lab.target, key: 'another' } });
    expect([lab.origins.length, lab.pool.openCount]).toEqual([2, 2]);
  });

  test('is joined by another one where its origin has no room for more streams', async () => {
    using lab = await startHttp2Pool(single);
    const first = await lab.acquire(lab.client());
    await settled(lab);
    const second = await lab.acquire(lab.client());
    await settled(lab, 1);
    expect([lab.origins.length, lab.pool.openCount]).toEqual([2, 2]);
    first.abort();
    second.abort();
    await lab.acquire(lab.client());
    await lab.acquire(lab.client());
    expect(lab.origins.length).toBe(2);
  });

  test('that was made by a handshake serves whoever comes', async () => {
    using lab = await startHttp2Pool();
    const { pool, target } = lab;
    pool.adopt(target, { wire: dialled(lab.origins, {}), alpn: 'h2' }, lab.client());
    expect([pool.openCount, pool.protocolOf(target.key)]).toEqual([1, 'h2']);
    await lab.acquire(lab.client(), { isRepeatable: false });
    expect(lab.origins.length).toBe(1);
  });

  test('that is over takes its place with it', async () => {
    using lab = await startHttp2Pool();
    const receiver = send(await lab.acquire(lab.client()));
    originOf(lab).socket.destroy();
    await vi.waitFor(() => expect(receiver.told).toEqual(['failed']));
    expect([lab.pool.openCount, lab.pool.protocolOf(lab.target.key)]).toEqual([0, undefined]);
    await lab.acquire(lab.client());
    expect(lab.origins.length).toBe(2);
  });

  test('that its origin leaves takes no new streams, and its own end', async () => {
    using lab = await startHttp2Pool();
    const outbound = await lab.acquire(lab.client());
    const receiver = send(outbound);
    const origin = originOf(lab);
    await origin.until(() => origin.stream(1).isEnded, 'the request');
    origin.send(goawayFrame(1, h2Code.noError));
    await vi.waitFor(() => expect(lab.pool.protocolOf(lab.target.key)).toBeUndefined());
    await lab.acquire(lab.client());
    expect([lab.origins.length, lab.pool.openCount]).toEqual([2, 2]);
    origin.send(ok(1));
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    outbound.release();
    expect(lab.pool.openCount).toBe(1);
  });
});

describe('the first dial', () => {
  test('is made once for all who come meanwhile', async () => {
    using lab = await startHttp2Pool();
    const all = await Promise.all([1, 2, 3].map(() => lab.acquire(lab.client())));
    expect(all.every((outbound) => outbound instanceof Http2Outbound)).toBe(true);
    expect(lab.origins.length).toBe(1);
  });

  test('fails for all who joined, and is made anew by the next', async () => {
    using lab = await startHttp2Pool();
    const refused = new Failure('upstream_connect_failed', { side: 'upstream', detail: 'refused' });
    lab.beforeDial = () => {
      throw refused;
    };
    const failures = await Promise.all([1, 2, 3].map(() => failureOf(lab.acquire(lab.client()))));
    expect(failures).toEqual([refused, refused, refused]);
    expect(lab.pool.openCount).toBe(0);
    lab.beforeDial = () => {};
    await lab.acquire(lab.client());
    expect(lab.pool.openCount).toBe(1);
  });

  test('that ends in a dead connection fails, and takes no place', async () => {
    using lab = await startHttp2Pool();
    const [near] = linkedPair();
    near.destroy();
    await vi.waitFor(() => expect(near.closed).toBe(true));
    const pool = new UpstreamPool(
      () => Promise.resolve({ wire: new Wire(near), alpn: 'h2' }),
      () => lab.client().config,
    );
    const request = { target: lab.target, flow: lab.client(), isRepeatable: true, isFresh: false };
    const failure = await failureOf((async () => pool.acquire(request))());
    expect(failure).toMatchObject({ reason: 'upstream_connect_failed', reply: { status: 502 } });
    expect(pool.openCount).toBe(0);
  });

  test('of an origin that chooses HTTP/1 gives connections of their own', async () => {
    using lab = await startHttp2Pool();
    lab.alpn = 'http/1.1';
    const target = { ...lab.target, http2: 'negotiated' } as const;
    const all = await Promise.all([1, 2].map(() => lab.acquire(lab.client(), { target })));
    expect(all.every((outbound) => outbound instanceof Http1Outbound)).toBe(true);
    expect([lab.origins.length, lab.pool.protocolOf(target.key)]).toEqual([2, undefined]);
    all[0]?.release();
    expect(lab.pool.protocolOf(target.key)).toBe('http/1.1');
  });

  test('is not awaited where the origin is known to speak HTTP/1', async () => {
    using lab = await startHttp2Pool();
    lab.alpn = 'http/1.1';
    const target = { ...lab.target, http2: 'negotiated' } as const;
    await lab.acquire(lab.client(), { target });
    const dials = { now: 0, most: 0 };
    lab.beforeDial = async () => {
      dials.now += 1;
      dials.most = Math.max(dials.most, dials.now);
      await new Promise((resolve) => setImmediate(resolve));
      dials.now -= 1;
    };
    await Promise.all([1, 2, 3].map(() => lab.acquire(lab.client(), { target })));
    expect(dials.most).toBe(3);
  });
});

describe('a full origin', () => {
  const full = { ...one, ...single };

  test('serves those who wait in their order, as streams end', async () => {
    using lab = await startHttp2Pool(full);
    const first = await lab.acquire(lab.client());
    await settled(lab);
    const served: string[] = [];
    const waiting = ['a', 'b'].map(async (name) => {
      const outbound = await lab.acquire(lab.client());
      served.push(name);
      return outbound;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(served).toEqual([]);
    first.abort();
    const second = await waiting[0];
    expect(served).toEqual(['a']);
    second?.abort();
    await waiting[1];
    expect([served, lab.origins.length]).toEqual([['a', 'b'], 1]);
  });

  test('serves them as soon as it announces more room', async () => {
    using lab = await startHttp2Pool(full);
    await lab.acquire(lab.client());
    await settled(lab);
    const waiting = Promise.all([lab.acquire(lab.client()), lab.acquire(lab.client())]);
    originOf(lab).send(settingsFrame({ maxConcurrentStreams: 3 }));
    expect(await waiting).toHaveLength(2);
  });

  test('is not awaited for longer than a connection may take, nor by a client that left', async () => {
    using lab = await startHttp2Pool({
      ...full,
      config: { ...one.config, upstream: { connectTimeoutMs: 60 } },
    });
    await lab.acquire(lab.client());
    await settled(lab);
    const flow = lab.client();
    const [late, left] = [failureOf(lab.acquire(lab.client())), failureOf(lab.acquire(flow))];
    lab.pool.cancel(lab.target, flow);
    expect((await left).reason).toBe('client_aborted');
    expect(await late).toMatchObject({ reason: 'upstream_connect_failed', reply: { status: 504 } });
  });

  test('that leaves with its answer fails whoever waited, as not begun', async () => {
    using lab = await startHttp2Pool(full);
    const first = await lab.acquire(lab.client());
    await settled(lab);
    const receiver = send(first);
    receiver.responseEnd = () => first.release();
    const waiting = lab.acquire(lab.client()).then(send);
    originOf(lab).send(ok(1), goawayFrame(1, h2Code.noError));
    const second = await waiting;
    await new Promise((resolve) => setImmediate(resolve));
    expect(second.failure).toMatchObject({ isUnprocessed: true });
  });
});

const pings = (origin: RawPeer): number =>
  origin.frames.filter(({ type }) => type === frameTypes.ping).length;

describe('a connection that was silent', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('shows that it lives before it gets what can’t be repeated, and is trusted with the rest', async () => {
    using lab = await startHttp2Pool();
    await lab.acquire(lab.client());
    await settled(lab);
    vi.advanceTimersByTime(2_000);
    await lab.acquire(lab.client());
    expect(pings(originOf(lab))).toBe(0);
    await lab.acquire(lab.client(), { isRepeatable: false });
    await lab.acquire(lab.client(), { isRepeatable: false });
    expect([pings(originOf(lab)), lab.origins.length]).toEqual([1, 1]);
  });

  test('and is dead gives way to another one', async () => {
    using lab = await startHttp2Pool({ peer: { isSilent: true } });
    await lab.acquire(lab.client());
    await settled(lab);
    vi.useRealTimers();
    vi.useFakeTimers({
      toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance'],
    });
    vi.advanceTimersByTime(2_000);
    const given = lab.acquire(lab.client(), { isRepeatable: false });
    await vi.advanceTimersByTimeAsync(2_000);
    expect((await given).isReused).toBe(false);
    expect([lab.origins.length, lab.pool.openCount]).toEqual([2, 1]);
  });
});
