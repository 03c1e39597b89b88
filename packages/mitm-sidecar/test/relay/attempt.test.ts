// What may be sent twice, which failures are worth a second attempt, and when such an attempt is made.
import { createServer } from 'node:net';

import { allow, Exchange, Failure, type MitmConfigInput, planRoute } from 'mitm-core';
import { parseRequestHead } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { refusedPort } from '../../../../testing/lab/origins.ts';
import { serveConnection } from '../../src/connection.ts';
import { isPassing, isRepeatable } from '../../src/relay/attempt.ts';
import { connectTimedOut, dialFailure } from '../../src/upstream/dial.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { tlsFailure } from '../../src/upstream/tls-failure.ts';
import {
  get,
  noContent,
  ownAnswer,
  play,
  playUsed,
  post,
  upstreamGet,
  upstreamPost,
} from '../exchange-lab.ts';
import { expectInvariants, makeGate, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';
import { createRuntime, loopbackConnection } from '../runtime-fixture.ts';

const unanswered = 'the origin closed the connection without an answer\n';

const badGateway = (text: string): string => ownAnswer('502 Bad Gateway', text);

/** Retrying at once, which is a pause nevertheless. */
const retrying = { upstream: { retryOnFailure: true, retryDelayMs: 5 } } as const;

const coded = (code: string, message = code): Error => Object.assign(new Error(message), { code });

/** Fails the first dials, each in its way. */
function failing(...codes: readonly string[]): {
  readonly beforeDial: () => void;
  readonly dials: () => number;
} {
  let dials = 0;
  return {
    beforeDial: () => {
      const code = codes[dials];
      dials += 1;
      if (code === undefined) return;
      throw new Failure('upstream_connect_failed', {
        side: 'upstream',
        reply: { status: 502, body: `${code}\n` },
        cause: coded(code),
      });
    },
    dials: () => dials,
  };
}

describe('a request may be sent twice', () => {
  interface Row {
    readonly rule: string;
    readonly method?: string;
    readonly body?: string;
    readonly isHeld?: boolean;
    readonly hasEnded?: boolean;
    readonly expected: boolean;
  }
  const rows: readonly Row[] = [
    { rule: 'when its method is idempotent', expected: true },
    { rule: 'and not otherwise', method: 'POST', expected: false },
    { rule: 'nor when its method is unknown', method: 'get', expected: false },
    {
      rule: 'with a body that the handler was shown',
      method: 'PUT',
      body: 'abc',
      isHeld: true,
      expected: true,
    },
    { rule: 'but not with one that is gone', method: 'PUT', body: 'abc', expected: false },
    { rule: 'nor with more than is held', method: 'PUT', body: 'abcdefghi', isHeld: true, expected: false },
    { rule: 'nor before all of it is there', method: 'PUT', hasEnded: false, isHeld: true, expected: false },
  ];
  test.each(rows)('$rule', async ({ method = 'GET', body = '', isHeld, hasEnded = true, expected }) => {
    const fixture = await createRuntime({
      config: { body: { maxSizeBytes: 4 } },
      handler: isHeld === true ? { onRequest: () => allow } : {},
    });
    const bytes = Buffer.from(`${method} / HTTP/1.1\r\nHost: o\r\n\r\n`);
    const exchange = new Exchange(fixture.openFlow(undefined, fixture.openFlow()), {
      request: parseRequestHead(bytes, 0, bytes.length),
      scheme: 'http',
      authority: 'o',
      path: '/',
      hasBody: body !== '' || !hasEnded,
      isUpgrade: false,
    });
    if (body !== '') exchange.requestPiece(Buffer.from(body));
    expect(isRepeatable(exchange, hasEnded)).toBe(expected);
    exchange.close('mitm_http_completed', undefined);
  });
});

describe('a failure to connect that may be over in a moment', () => {
  const rows: readonly [string, (name: string) => Error, boolean][] = [
    ['ECONNREFUSED', coded, true],
    ['ECONNRESET', coded, true],
    ['EHOSTUNREACH', coded, true],
    ['EAI_AGAIN', coded, true],
    ['ENOTFOUND', coded, false],
    ['ETIMEDOUT', () => connectTimedOut(5), false],
    ['no code at all', (name) => new Error(name), false],
  ];
  test.each(rows)('%s', async (name, error, expected) => {
    const { engine } = await createRuntime();
    const route = planRoute(engine.config, { host: 'o', port: 80 });
    expect(isPassing(dialFailure(route, error(name)))).toBe(expected);
  });

  const handshakes: readonly [string, Error, boolean][] = [
    ['the end of the stream during the TLS handshake', coded('ECONNRESET', 'read ECONNRESET'), true],
    ['a certificate that is not valid', coded('CERT_HAS_EXPIRED', 'certificate has expired'), false],
  ];
  test.each(handshakes)('%s', (_name, error, expected) => {
    expect(isPassing(tlsFailure('o', error))).toBe(expected);
  });

  test('no connection that became free is none', () => {
    expect(isPassing(new Failure('upstream_connect_failed', { side: 'internal' }))).toBe(false);
    expect(isPassing(new Failure('stream_stage_timeout', { side: 'upstream' }))).toBe(false);
  });
});

describe('upstream.retryOnFailure', () => {
  test.each([
    ['GET', get, upstreamGet],
    ['POST, of which nothing has been sent,', post('abc'), upstreamPost('abc')],
  ])('a %s is tried once more where connecting failed', async (_method, sent, received) => {
    const { beforeDial, dials } = failing('ECONNREFUSED');
    const book = await play({ config: retrying, beforeDial });
    const events = await book
      .client(sent)
      .expectUpstream(received)
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(dials()).toBe(2);
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test.each<[string, Partial<MitmConfigInput>, readonly string[], number]>([
    ['is off unless asked for', {}, ['ECONNREFUSED'], 1],
    ['is for once', retrying, ['ECONNREFUSED', 'ECONNRESET'], 2],
    ['is not for what stays as it is', retrying, ['ENOTFOUND'], 1],
  ])('%s', async (_rule, config, codes, expected) => {
    const { beforeDial, dials } = failing(...codes);
    const book = await play({ config, beforeDial });
    const events = await book
      .client(get)
      .expectClient(badGateway(`${codes.at(-1)}\n`))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(dials()).toBe(expected);
    expect(reasonsOf(events)).toEqual(['upstream_connect_failed', 'mitm_http_completed']);
  });

  test('a GET whose new connection dies before an answer is sent once more', async () => {
    const book = await play({ config: retrying });
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstreamEnds(1)
      .expectClient(badGateway(unanswered))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('comes on top of the repeat that a used connection calls for', async () => {
    const book = await playUsed({ config: retrying });
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstreamEnds(1)
      .expectUpstream(upstreamGet, 2)
      .upstream(noContent, 2)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 3 }, () => 'mitm_http_completed'));
  });

  test.each([
    ['a POST that was sent', post('abc'), upstreamPost('abc'), ''],
    ['a GET whose answer has begun', get, upstreamGet, 'HTTP/1.1 2'],
  ])('%s is not sent again', async (_rule, sent, received, begun) => {
    const book = await play({ config: retrying, handler: { onRequest: () => allow } });
    const events = await book
      .client(sent)
      .expectUpstream(received)
      .upstream(begun)
      .upstreamEnds()
      .expectClient(badGateway(unanswered))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('finds an origin that is started meanwhile', async () => {
    const port = await refusedPort();
    await using proxy = await startProxy({
      config: { upstream: { retryOnFailure: true, retryDelayMs: 300 } },
    });
    await using client = await openClient(proxy.port);
    client.send(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const server = createServer((socket) => {
      socket.once('data', () => socket.end(noContent));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect(await client.receive(noContent)).toBe(noContent);
    await new Promise((resolve) => server.close(resolve));
  });

  test('a client that leaves during the pause: no second attempt, and no timer', async () => {
    const failed = makeGate();
    const { beforeDial, dials } = failing('ECONNREFUSED');
    const fixture = await createRuntime({
      config: { upstream: { retryOnFailure: true, retryDelayMs: 60_000 } },
    });
    const { engine, recorder } = fixture;
    const pool = new UpstreamPool(
      async () => {
        setImmediate(() => failed.open());
        beforeDial();
        throw new Error('a second attempt');
      },
      () => engine.config,
    );
    const [client, inside] = linkedPair();
    client.resume();
    const timersBefore = timerCount();
    const family = loopbackConnection().socketFamily;
    const served = serveConnection(inside, family, { ...fixture.runtime, pool }, () => {});
    client.write(get);
    await failed.opened;
    expect(timerCount()).toBeGreaterThan(timersBefore);
    client.end();
    await served;
    expect([dials(), timerCount()]).toEqual([1, timersBefore]);
    const events = recorder.events();
    expectInvariants(engine, events);
    expect(reasonsOf(events)).toEqual(['client_aborted', 'client_aborted']);
  });
});

/** Timers that keep the process running, as the one of a pause would. */
function timerCount(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}
