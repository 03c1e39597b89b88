// A plan becomes an exchange: what its flow tells, where it goes, and what the pool is asked for.
import { Failure, type Flow, type MitmConfigInput } from 'mitm-core';
import { describe, expect, test, vi } from 'vitest';

import { endHeaders, endStream, headersFrame } from '../../../../testing/lab/h2-frames.ts';
import { beginExchange, type ExchangePlan } from '../../src/relay/plan.ts';
import { type Asked, asked } from '../http2-asked.ts';
import { type Http2PoolLab, ok, originOf, send, settled, startHttp2Pool } from '../http2-pool-lab.ts';
import { getFields, postFields } from '../messages.ts';

function planned(flow: Flow, changes: Partial<ExchangePlan> & Pick<ExchangePlan, 'upstream'>): ExchangePlan {
  return { flow, scheme: 'http', authority: 'o.test', path: '/p', target: '/p', ...changes };
}

/** Begins a complete request as planned. */
function begin(lab: Http2PoolLab, { inbound }: Asked, changes: Partial<ExchangePlan> = {}) {
  return beginExchange(inbound, planned(lab.client(), { upstream: lab.target, ...changes }), lab.runtime);
}

const get = (...more: readonly string[]): Asked => asked(getFields(...more), { isEnded: true });

/** Resolves when the nth request of a connection has come. */
async function requested(lab: Http2PoolLab, id: number, index = 0): Promise<void> {
  await vi.waitFor(() => originOf(lab, index));
  const origin = originOf(lab, index);
  await origin.until(() => origin.frames.some(({ type, streamId }) => type === 1 && streamId === id), 'it');
}

test('an exchange goes to the origin and back, and ends', async () => {
  using lab = await startHttp2Pool();
  const client = get();
  const { exchange, ending } = begin(lab, client);
  await requested(lab, 1);
  originOf(lab).send(ok(1));
  expect(await ending).toMatchObject({
    reason: 'mitm_http_completed',
    isReusable: true,
    upgraded: undefined,
  });
  expect(client.client.seen()).toEqual(['HEADERS 1 :status 200 END']);
  exchange.close('mitm_http_completed');
  expect(lab.recorder.events()).toMatchObject([
    { kind: 'request_headers', scheme: 'http', authority: 'o.test', target: '/p' },
    { kind: 'response_headers', statusCode: 200 },
    { kind: 'stream_closed' },
  ]);
});

test('where it goes nowhere, the failure answers', async () => {
  using lab = await startHttp2Pool();
  const client = get();
  const upstream = new Failure('blocked', {
    side: 'client',
    detail: 'rule 1',
    reply: { status: 403, body: 'no' },
  });
  const { ending } = begin(lab, client, { upstream });
  expect(await ending).toMatchObject({ reason: 'blocked', detail: 'rule 1' });
  expect(client.client.seen().at(-1)).toBe('DATA 1 no END');
  expect(lab.origins).toEqual([]);
});

test.each([
  ['are taken out of an answer', { altSvc: 'strip' }, false, 'HEADERS 1 :status 200 END'],
  [
    'stay where the configuration keeps them',
    { altSvc: 'keep' },
    false,
    'HEADERS 1 :status 200 alt-svc h3=":1" END',
  ],
  ['stay in what passes unseen', { altSvc: 'strip' }, true, 'HEADERS 1 :status 200 alt-svc h3=":1" END'],
] as const)('alternatives over QUIC %s', async (_rule, config, isUnobserved, seen) => {
  using lab = await startHttp2Pool({ config });
  const client = get();
  const { ending } = begin(lab, client, { isUnobserved });
  await requested(lab, 1);
  originOf(lab).send(headersFrame(1, [':status', '200', 'alt-svc', 'h3=":1"'], endHeaders | endStream));
  await ending;
  expect(client.client.seen()).toEqual([seen]);
});

test('what is to pass unseen does', async () => {
  using lab = await startHttp2Pool();
  const { ending } = begin(lab, get(), { isUnobserved: true });
  await requested(lab, 1);
  originOf(lab).send(ok(1));
  await ending;
  expect(lab.recorder.events()).toEqual([]);
});

describe('the pool', () => {
  test('is told of a request that authenticates its connection', async () => {
    using lab = await startHttp2Pool();
    const flow = lab.client();
    void beginExchange(
      get('authorization', 'NTLM x').inbound,
      planned(flow, { upstream: lab.target }),
      lab.runtime,
    );
    await requested(lab, 1);
    expect(lab.pool.sharedFor(lab.target, flow.connection)?.soleUser).toBe(flow.connection);
  });

  const full: { readonly config: Partial<MitmConfigInput>; readonly peer: object } = {
    config: { connectionPool: { maxConnectionsPerHost: 1 } },
    peer: { settings: { maxConcurrentStreams: 1 } },
  };

  test('is told of a client that waits no longer', async () => {
    using lab = await startHttp2Pool(full);
    const busy = await lab.acquire(lab.client());
    await settled(lab);
    const leaving = get();
    const { ending } = begin(lab, leaving);
    const staying = lab.acquire(lab.client());
    leaving.session.end();
    expect(await ending).toMatchObject({ reason: 'client_aborted' });
    busy.abort();
    send(await staying);
    await requested(lab, 1);
  });

  test('gives another connection to a second attempt, where one is granted', async () => {
    using lab = await startHttp2Pool({ config: { upstream: { retryOnFailure: true, retryDelayMs: 1 } } });
    const dials = { count: 0 };
    lab.beforeDial = () => {
      dials.count += 1;
      if (dials.count > 1) return;
      const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      throw new Failure('upstream_connect_failed', { side: 'upstream', reply: { status: 502 }, cause });
    };
    const { ending } = begin(lab, get());
    await requested(lab, 1);
    originOf(lab).send(ok(1));
    expect([(await ending).reason, dials.count]).toEqual(['mitm_http_completed', 2]);
  });

  test('is told that a request whose body is not there any more can’t be repeated', async () => {
    using lab = await startHttp2Pool();
    const client = asked(postFields());
    const { ending } = begin(lab, client);
    await requested(lab, 1);
    originOf(lab).socket.destroy();
    expect(await ending).toMatchObject({ reason: 'mitm_http_error', detail: 'upstream connection closed' });
    expect(lab.origins).toHaveLength(1);
  });
});
