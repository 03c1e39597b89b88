// Streams of one client connection: each is an exchange of its own, and the connection ends in good order or says what was wrong.
import { Failure } from 'mitm-core';
import { AuthorityError, h2Code, HttpError } from 'mitm-http';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import {
  endHeaders,
  endStream,
  frame,
  frameTypes,
  goawayFrame,
  headersFrame,
  settingsFrame,
} from '../../../../testing/lab/h2-frames.ts';
import type { RawPeer } from '../../../../testing/lab/h2-raw-peers.ts';
import { askHttp2, http2ThroughProxy, startHttp2Origin } from '../../../../testing/lab/http2-peers.ts';
import { frameText } from '../frame-text.ts';
import { dialled, ok, originOf, settled } from '../http2-pool-lab.ts';
import { planFor, type ServeLab, startServing } from '../http2-serve-lab.ts';
import { getFields, postFields } from '../messages.ts';
import { reasonsOf, startProxy } from '../proxy-lab.ts';

/** What came on a stream or on the connection (0), without what settles it. */
function cameOn(peer: RawPeer, streamId: number): string[] {
  return peer.frames
    .filter((seen) => seen.streamId === streamId)
    .map(frameText)
    .filter((text) => !/^(?:SETTINGS|WINDOW_UPDATE|PING)/.test(text));
}

/** Resolves with the origin when its stream has come whole. */
async function requested(lab: ServeLab, id: number): Promise<RawPeer> {
  const origin = await vi.waitFor(() => originOf(lab.pool));
  await origin.until(
    () =>
      origin.frames.some(
        ({ type, flags, streamId }) =>
          type <= frameTypes.headers && streamId === id && (flags & endStream) !== 0,
      ),
    'the request',
  );
  return origin;
}

test('H2-01 a request and its answer pass, and are reported as an exchange of their own', async () => {
  await using authority = await createLabAuthority();
  await using served = await startHttp2Origin({ authority });
  await using proxy = await startProxy({ config: { upstream: { caPaths: [await authority.caFile()] } } });
  await using client = await http2ThroughProxy({
    proxyPort: proxy.port,
    authority: served.authority,
    ca: proxy.caPem,
  });
  const answer = await askHttp2(client, { ':path': '/p?q=1', 'x-a': '1' });
  expect([answer.headers[':status'], answer.body.toString(), answer.rstCode]).toEqual([200, 'ok', 0]);
  client.close();
  const events = await proxy.settled();
  expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  expect(events.filter(({ kind }) => kind === 'request_headers')).toMatchObject([
    { context: { protocol: 'http2' }, version: 'HTTP/2', method: 'GET', http2StreamId: 1 },
  ]);
});

describe('streams', () => {
  test('are exchanges of their own, answered in any order, each named in its events', async () => {
    using lab = await startServing();
    const { client } = lab;
    client.ask(getFields());
    client.ask(getFields());
    const origin = await requested(lab, 3);
    origin.send(ok(3));
    await client.over(3);
    expect(client.stream(1).heads).toEqual([]);
    origin.send(ok(1));
    await client.over(1);
    expect(lab.closes()).toEqual(['mitm_http_completed', 'mitm_http_completed']);
    const named = lab.pool.recorder
      .events()
      .flatMap((event) => (event.kind === 'request_headers' ? [event.http2StreamId] : []));
    expect(named).toEqual([1, 3]);
  });

  const refusals: readonly [string, unknown, number, string][] = [
    [
      'a request that is malformed',
      new HttpError('invalid_header_name', 'field name has a space'),
      400,
      'mitm_http_error',
    ],
    [
      'an authority that is none',
      new AuthorityError('invalid_port', 'port 0'),
      400,
      'mitm_http_error port 0',
    ],
    [
      'a request that is not for us',
      new Failure('blocked', { side: 'client', detail: 'rule', reply: { status: 403 } }),
      403,
      'blocked rule',
    ],
    ['a failure without an answer', new Failure('blocked', { side: 'client' }), 502, 'blocked'],
    ['a fault of our own', new TypeError('a bug'), 502, 'mitm_http_error internal error: a bug'],
  ];
  describe.each(refusals)(
    '%s is answered on its stream; its neighbours go on',
    (_what, thrown, status, close) => {
      test.each(['at once', 'later'])('refused %s', async (when) => {
        using lab = await startServing({
          plan: (flow, pool) => (head) => {
            if (head.target === '/fine') return planFor(flow, pool, head.target);
            if (when === 'later') return Promise.reject(thrown);
            throw thrown;
          },
        });
        const { client } = lab;
        client.ask(getFields());
        client.ask(getFields().with(7, '/fine'));
        expect((await client.over(1)).heads[0]?.slice(0, 2)).toEqual([':status', String(status)]);
        (await requested(lab, 1)).send(ok(1));
        await client.over(3);
        expect(lab.closes()).toEqual([expect.stringMatching(new RegExp(`^${close}`)), 'mitm_http_completed']);
      });
    },
  );

  test('may be planned later', async () => {
    using lab = await startServing({
      plan: (flow, pool) => (head) => Promise.resolve(planFor(flow, pool, head.target)),
    });
    const id = lab.client.ask(postFields(), endHeaders);
    lab.client.send(frame(frameTypes.data, endStream, id, Buffer.from('abc')));
    const origin = await requested(lab, 1);
    expect(origin.stream(1).body.toString()).toBe('abc');
  });

  test('with more fields than fit get 431, and touch no other', async () => {
    using lab = await startServing({ config: { http2MaxHeaderListSize: 1_000 } });
    const { client } = lab;
    client.ask(getFields('x', 'y'.repeat(1_000)));
    client.ask(getFields('x', 'y'.repeat(1_000)), endHeaders);
    client.ask(getFields());
    await client.over(3);
    (await requested(lab, 1)).send(ok(1));
    await client.over(5);
    expect([cameOn(client, 1), cameOn(client, 3)]).toEqual([
      ['HEADERS 1 :status 431 content-length 0 END'],
      ['HEADERS 3 :status 431 content-length 0 END', 'RST_STREAM 3 NO_ERROR'],
    ]);
    const detail = 'mitm_http_error request header list larger than 1000 bytes';
    expect(lab.closes()).toEqual([detail, detail, 'mitm_http_completed']);
  });
});

describe('a client that ends', () => {
  test('with GOAWAY in good order is served to its last stream', async () => {
    using lab = await startServing();
    const { client } = lab;
    client.ask(getFields());
    const origin = await requested(lab, 1);
    client.send(goawayFrame(0, h2Code.noError));
    origin.send(ok(1));
    await client.ended();
    expect(client.stream(1).isEnded).toBe(true);
    expect(await lab.ended).toBe('mitm_http_completed');
  });

  test('with GOAWAY and a reason ends so, and so does the connection that only it has used', async () => {
    using lab = await startServing({
      upstream: (flow, { pool, target, origins }) => {
        pool.adopt(target, { wire: dialled(origins, {}), alpn: 'h2' }, flow);
        return pool.sharedFor(target, flow.connection);
      },
    });
    lab.client.ask(getFields());
    const origin = await requested(lab, 1);
    origin.send(ok(1));
    await lab.client.over(1);
    lab.client.send(goawayFrame(0, h2Code.enhanceYourCalm));
    expect(await lab.ended).toMatchObject({
      reason: 'client_aborted',
      side: 'client',
      detail: 'client sent GOAWAY ENHANCE_YOUR_CALM',
      resetCode: h2Code.enhanceYourCalm,
    });
    expect(await origin.goawayCode()).toBe(h2Code.enhanceYourCalm);
  });

  test('in the middle of an exchange aborts that, and its own connection ends', async () => {
    using lab = await startServing();
    lab.client.ask(getFields('authorization', 'NTLM x'));
    const origin = await requested(lab, 1);
    lab.client.socket.end();
    expect(await lab.ended).toBe('mitm_http_completed');
    expect(lab.closes()).toEqual(['client_aborted client closed before its answer was complete']);
    await origin.ended();
    expect(lab.pool.pool.openCount).toBe(0);
  });

  test('because it was killed closes its exchanges as a shutdown', async () => {
    using lab = await startServing();
    lab.client.ask(getFields());
    await requested(lab, 1);
    lab.session.kill();
    await lab.ended;
    expect(lab.closes()).toEqual(['shutdown']);
  });
});

describe('a client that breaks the protocol', () => {
  test('is told the code, and its connection fails', async () => {
    using lab = await startServing();
    lab.client.ask(getFields());
    await requested(lab, 1);
    lab.client.send(headersFrame(2, getFields()));
    expect(await lab.client.goawayCode()).toBe(h2Code.protocolError);
    expect(await lab.ended).toMatchObject({
      reason: 'mitm_http_error',
      side: 'client',
      detail: expect.stringMatching(/^HTTP\/2 PROTOCOL_ERROR: /),
    });
    expect(lab.closes()).toHaveLength(1);
  });

  test('to wear us out is stopped by the name of what it does', async () => {
    using lab = await startServing({ config: { http2Limits: { maxSettingsFrames: 5 } } });
    for (let count = 0; count < 10; count += 1) lab.client.send(settingsFrame());
    expect(await lab.client.goawayCode()).toBe(h2Code.enhanceYourCalm);
    expect(await lab.ended).toMatchObject({ reason: 'settings_flood', side: 'client' });
  });
});

describe('a shutdown', () => {
  test('is announced, then refuses new streams, and lets the others end', async () => {
    using lab = await startServing();
    const { client } = lab;
    client.ask(getFields());
    const origin = await requested(lab, 1);
    lab.session.drain();
    lab.session.drain();
    await client.until(() => cameOn(client, 0).length > 0, 'the notice');
    expect(cameOn(client, 0)).toEqual([`GOAWAY ${2 ** 31 - 1} NO_ERROR`]);
    client.ask(getFields());
    await requested(lab, 3);
    await client.until(() => cameOn(client, 0).length > 1, 'the end');
    expect(cameOn(client, 0)[1]).toBe('GOAWAY 3 NO_ERROR');
    client.ask(getFields());
    expect((await client.over(5)).resetCode).toBe(h2Code.refusedStream);
    origin.send(ok(1), ok(3));
    expect(await lab.ended).toBe('mitm_http_completed');
    expect([client.stream(1).isEnded, client.stream(3).isEnded]).toEqual([true, true]);
  });

  test('ends an idle connection when the client has heard of it', async () => {
    using lab = await startServing();
    lab.session.drain();
    await lab.client.ended();
    expect(cameOn(lab.client, 0)).toEqual([`GOAWAY ${2 ** 31 - 1} NO_ERROR`, 'GOAWAY 0 NO_ERROR']);
    expect(await lab.ended).toBe('mitm_http_completed');
    expect(lab.session.server).toBeUndefined();
  });
});

/** A lab whose pool has a connection, on which the origin's settings have come. */
async function connected(settings: Parameters<typeof settingsFrame>[0] = {}): Promise<ServeLab> {
  const lab = await startServing({ peer: { settings } });
  const outbound = await lab.pool.acquire(lab.flow);
  outbound.release();
  await settled(lab.pool);
  return lab;
}

describe('the origin’s connection', () => {
  test.each([
    ['that takes WebSockets over HTTP/2 makes us take them too', 1, true],
    ['that does not makes us not', 0, false],
  ])('%s', async (_rule, enableConnectProtocol, isAnnounced) => {
    using origin = await connected({ enableConnectProtocol });
    using lab = await startServing({
      upstream: () => origin.pool.pool.sharedFor(origin.pool.target, origin.flow.connection),
    });
    await lab.client.until(() => lab.client.frames.length > 0, 'the settings');
    const [first] = lab.client.frames;
    expect(first?.payload.includes(Buffer.from([0, 8, 0, 0, 0, 1]))).toBe(isAnnounced);
  });

  test('that ends with a reason ends the client’s with the same', async () => {
    using origin = await connected();
    using lab = await startServing({
      upstream: () => origin.pool.pool.sharedFor(origin.pool.target, origin.flow.connection),
    });
    await lab.client.until(() => lab.client.frames.length > 2, 'the settings');
    originOf(origin.pool).send(goawayFrame(0, h2Code.enhanceYourCalm));
    expect(await lab.client.goawayCode()).toBe(h2Code.enhanceYourCalm);
    expect(await lab.ended).toBe('mitm_http_completed');
  });
});

describe('silence', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('ends a connection without streams, and none with one', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    const config = { connectionPool: { idleTimeoutMs: 2_000 } };
    using idle = await startServing({ config });
    using busy = await startServing({ config });
    busy.client.ask(getFields());
    await requested(busy, 1);
    await idle.client.until(() => idle.client.frames.length > 2, 'the settings');
    vi.advanceTimersByTime(4_500);
    expect(await idle.ended).toBe('mitm_http_completed');
    expect(cameOn(idle.client, 0)).toEqual(['GOAWAY 0 NO_ERROR']);
    expect(cameOn(busy.client, 0)).toEqual([]);
  });

  test('in the middle of a request body ends that stream with 408', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    using lab = await startServing({ config: { upstream: { h2BodyIdleTimeoutMs: 3_000 } } });
    lab.client.ask(postFields(), endHeaders);
    const origin = await vi.waitFor(() => originOf(lab.pool));
    await origin.until(() => cameOn(origin, 1).length > 0, 'the head');
    vi.advanceTimersByTime(5_000);
    expect((await lab.client.over(1)).heads[0]?.slice(0, 2)).toEqual([':status', '408']);
    expect(lab.closes()).toEqual(['idle_watchdog_timeout idle_watchdog_timeout:http2_request_body:3000ms']);
  });
});
