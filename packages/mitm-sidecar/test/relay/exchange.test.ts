// One exchange between a client and an origin: what the handler is asked and when, what goes on, and what happens when a side
// fails. Most of it is played in memory, byte for byte.
import type { Duplex } from 'node:stream';

import { allow, block, type HandlerDecision, type InterceptHandler, type RawRequest } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { kindsOf } from '../../../../testing/lab/events.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { startHttpOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { drip, everySplit } from '../../../../testing/lab/split.ts';
import { serveConnection } from '../../src/connection.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { Wire } from '../../src/wire.ts';
import { play } from '../exchange-lab.ts';
import {
  detailsOf,
  expectInvariants,
  makeGate,
  openClient,
  reasonsOf,
  reset,
  startProxy,
} from '../proxy-lab.ts';
import { createRuntime, loopbackConnection } from '../runtime-fixture.ts';

const get = 'GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n';
const upstreamGet = 'GET / HTTP/1.1\r\nHost: o\r\n\r\n';
const noContent = 'HTTP/1.1 204 No Content\r\n\r\n';
const post = (body: string, extra = ''): string =>
  `POST http://o/ HTTP/1.1\r\nHost: o\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
const upstreamPost = (body: string): string =>
  `POST / HTTP/1.1\r\nHost: o\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** A handler that remembers what it was shown and answers so. */
function judging(
  answer: (request: RawRequest) => HandlerDecision | Promise<HandlerDecision>,
): InterceptHandler & { readonly seen: RawRequest[] } {
  const seen: RawRequest[] = [];
  return {
    seen,
    onRequest: (request) => {
      seen.push(request);
      return answer(request);
    },
  };
}

const answering: readonly [
  string,
  (decision: HandlerDecision) => HandlerDecision | Promise<HandlerDecision>,
][] = [
  ['at once', (decision) => decision],
  ['later', (decision) => new Promise((resolve) => setImmediate(() => resolve(decision)))],
];

const put = (text: string): string => text.replaceAll('POST', 'PUT');

/** The two outer ends of a served connection; nobody reads them until the test does. */
async function serveOver(beforeDial: () => Promise<void> | void = () => {}) {
  const fixture = await createRuntime();
  const { engine } = fixture;
  const [client, clientInside] = linkedPair();
  const [origin, originInside] = linkedPair();
  const pool = new UpstreamPool(
    async () => {
      await beforeDial();
      return { wire: new Wire(originInside), alpn: undefined };
    },
    () => engine.config,
  );
  const runtime = { ...fixture.runtime, pool };
  const served = serveConnection(clientInside, loopbackConnection().socketFamily, runtime, () => {});
  return { client, origin, fixture, served, pool, close: () => pool.close() };
}

describe('the decision', () => {
  test.each(answering)('allow, said %s, sends the request on', async (_when, say) => {
    const handler = judging(() => say(allow));
    const book = await play({ handler });
    const events = await book
      .client(post('hello'))
      .expectUpstream(upstreamPost('hello'))
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map(({ method, path, body }) => `${method} ${path} ${Buffer.from(body).toString()}`),
    ).toEqual(['POST / hello']);
    expect(kindsOf(events, 2)).toEqual([
      'connect_received',
      'connect_decision',
      'request_headers',
      'request_body_chunk',
      'response_headers',
      'response_body_chunk',
      'stream_closed',
    ]);
  });

  test.each(answering)('block, said %s, sends nothing on and keeps the connection', async (_when, say) => {
    const handler = judging(() => say(block(451, 'no', { reasonCode: 'law', headers: ['X-Why', 'law'] })));
    const refusal =
      'HTTP/1.1 451 Unavailable For Legal Reasons\r\nX-Why: law\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nno';
    const book = await play({ handler });
    const events = await book
      .noUpstream()
      .client(post('secret'))
      .expectClient(refusal)
      .client(get)
      .expectClient(refusal)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['blocked', 'blocked', 'mitm_http_completed']);
    expect(detailsOf(events)[0]).toBe('blocked_by_handler:law');
  });

  test('block before the body was read ends the connection', async () => {
    const book = await play({
      handler: judging(() => block(403)),
      config: { body: { bufferRequestBodies: false } },
    });
    const events = await book
      .noUpstream()
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nabc')
      .expectClient('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['blocked', 'mitm_http_completed']);
  });

  const failing: readonly [string, () => HandlerDecision | Promise<HandlerDecision>][] = [
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ];
  test.each(failing)('a handler that %s lets the request pass in failure mode open', async (_how, fail) => {
    const book = await play({ handler: judging(fail) });
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test.each(failing)('a handler that %s is answered 503 in failure mode closed', async (_how, fail) => {
    const book = await play({ handler: judging(fail), config: { handler: { failureMode: 'closed' } } });
    const text = 'the request could not be judged\n';
    const events = await book
      .noUpstream()
      .client(get)
      .expectClient(
        `HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(detailsOf(events)[0]).toBe('blocked_by_handler:handler_failed_closed');
  });

  test.each(failing)(
    'a handler that %s ends its connection where panics are not recovered',
    async (_how, fail) => {
      const book = await play({ handler: judging(fail), config: { handler: { recoverFromPanics: false } } });
      const events = await book.noUpstream().client(get).expectClientEnd().finish();
      expect(reasonsOf(events)).toEqual(['handler_error', 'handler_error']);
    },
  );

  test('monitor mode forwards at once, shows a copy, and ignores the verdict', async () => {
    const handler = judging(() => block(403));
    const book = await play({ handler, config: { interceptMode: 'monitor', body: { maxSizeBytes: 3 } } });
    await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .client('def')
      .expectUpstream('def')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map((request) => [Buffer.from(request.body).toString(), request.bodyTruncated]),
    ).toEqual([['abc', true]]);
  });
});

describe('a request body that the handler is to see', () => {
  test('goes on with its chunks and trailers after the verdict', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler });
    await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n')
      .client('3\r\ncde\r\n0\r\nDigest: q\r\n\r\n')
      .expectUpstream(
        'POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nDigest: q\r\n\r\n',
      )
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map(({ body, bodyTruncated }) => [Buffer.from(body).toString(), bodyTruncated]),
    ).toEqual([['abcde', false]]);
  });

  test('larger than maxSizeBytes is shown in part, and goes on whole, at any split', async () => {
    const body = '0123456789abcdefghij';
    const length = Buffer.from(post(body));
    const chunks = Buffer.from(
      `POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0123456\r\nd\r\n789abcdefghij\r\n0\r\n\r\n`,
    );
    await using origin = await startHttpOrigin(async (seen, response) => {
      response.end(await seen.finished);
    });
    for (const said of answering) {
      const handler = judging(() => said[1](allow));
      await using proxy = await startProxy({
        handler,
        config: {
          body: { maxSizeBytes: 8 },
          routeMode: 'reverse',
          reverseUpstream: { host: '127.0.0.1', port: origin.port },
        },
      });
      const run = async (pieces: readonly Uint8Array[]): Promise<unknown> => {
        handler.seen.length = 0;
        await using client = await openClient(proxy.port);
        await drip(client.stream, pieces);
        const answer = await client.receive(body);
        return [
          answer.endsWith(body),
          handler.seen.map((request) => [Buffer.from(request.body).toString(), request.bodyTruncated]),
        ];
      };
      for (const bytes of [length, chunks]) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, so that the handler's notes belong to one run
        expect(await run([bytes])).toEqual([true, [['01234567', true]]]);
        await everySplit(bytes, run, { maxSplits: 25 });
      }
    }
  });

  test('is decided without the rest after bufferIdleMs of silence', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler, config: { body: { bufferIdleMs: 20 } } });
    await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .client('def')
      .expectUpstream('def')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map((request) => [Buffer.from(request.body).toString(), request.bodyTruncated]),
    ).toEqual([['abc', true]]);
  });

  test('is not waited for where requests stream by nature', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler });
    const fields = 'Content-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n';
    await book
      .client(`POST http://o/ HTTP/1.1\r\nHost: o\r\n${fields}`)
      .expectUpstream(`POST / HTTP/1.1\r\nHost: o\r\n${fields}`)
      .client('1\r\nx\r\n0\r\n\r\n')
      .expectUpstream('1\r\nx\r\n0\r\n\r\n')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(handler.seen).toHaveLength(1);
  });

  test('does not stay in memory', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ handler: judging(() => allow) });
    await using client = await openClient(proxy.port);
    client.send(
      `POST ${origin.url}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`,
    );
    await client.receive('ok');
    client.stream.end();
    await proxy.settled();
    expect(proxy.engine.snapshot().inFlightBytesWatermark).toBe(100_000);
  });
});

describe('Expect: 100-continue', () => {
  const head = 'POST http://o/ HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n';
  const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';

  test('is answered here while the body is read for the handler, and nowhere else', async () => {
    const book = await play({ handler: judging(() => allow) });
    const events = await book
      .client(head)
      .expectClient(goOn)
      .client('abc')
      .expectUpstream(upstreamPost('abc'))
      .upstream(goOn + noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('is passed on otherwise, and so is the answer to it', async () => {
    const book = await play();
    const events = await book
      .client(head)
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
      .upstream(goOn)
      .expectClient(goOn)
      .client('abc')
      .expectUpstream('abc')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('a final answer instead ends the exchange without the body', async () => {
    const book = await play();
    const events = await book
      .client(head)
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
      .upstream('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
      .expectClient('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
      .expectUpstreamEnd()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });
});

describe('a used connection that turns out to be dead', () => {
  test('a GET is repeated once on a new one', async () => {
    const book = await play();
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 3 }, () => 'mitm_http_completed'));
  });

  test('the second death is told', async () => {
    const book = await play();
    const text = 'the origin closed the connection without an answer\n';
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstreamEnds(1)
      .expectClient(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_error', 'mitm_http_completed']);
  });

  test('a PUT whose body the handler has seen is repeated with it', async () => {
    const book = await play({ handler: judging(() => allow) });
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(put(post('abc')))
      .expectUpstream(put(upstreamPost('abc')))
      .upstreamEnds()
      .expectUpstream(put(upstreamPost('abc')), 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('a handler that only watches is shown a repeated request once', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler, config: { interceptMode: 'monitor' } });
    await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(handler.seen).toHaveLength(2);
  });

  test('a POST is never repeated: the client sees its connection end without an answer', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write(noContent);
        await log.until('abc');
        socket.end();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive(noContent);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc`);
    expect(await client.rest()).toBe('');
    expect(origin.connectionCount).toBe(1);
    expect(reasonsOf(await proxy.settled())).toEqual([
      'mitm_http_completed',
      'mitm_http_error',
      'mitm_http_completed',
    ]);
  });

  test('an answer that has begun is not asked for again', async () => {
    const book = await play();
    const text = 'the origin closed the connection without an answer\n';
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 2')
      .upstreamEnds()
      .expectClient(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_error', 'mitm_http_completed']);
  });
});

describe('one side before the other', () => {
  test('a final answer during the upload is passed on at once, and ends both connections', async () => {
    const book = await play();
    const events = await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nabc')
      .upstream('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
      .expectClient('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
      .expectUpstreamEnd()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('an answer may begin while the request goes on', async () => {
    const book = await play();
    const events = await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nABC')
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nABC')
      .client('def')
      .expectUpstream('def')
      .upstream('DEF')
      .expectClient('DEF')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('interim answers are passed on one by one, in their order, as they come', async () => {
    const book = await play();
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    const more = 'HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n';
    const events = await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .upstream('HTTP/1.1 102 Processing\r\n\r\n')
      .expectClient('HTTP/1.1 102 Processing\r\n\r\n')
      .upstream(hints)
      .expectClient(hints)
      .client('def')
      .expectUpstream('def')
      .upstream(`${more}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
      .expectClient(`${more}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 3 }, () => 'mitm_http_completed'));
  });

  test('an origin of HTTP/1.0 is asked once per connection, and its client stays', async () => {
    const book = await play();
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .expectUpstreamEnd()
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .client(get)
      .expectUpstream(upstreamGet, 1)
      .upstream('HTTP/1.0 200 OK\r\n\r\nto the end', 1)
      .upstreamEnds(1)
      .expectClient('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 3 }, () => 'mitm_http_completed'));
  });

  test('a client that leaves while the handler decides: nothing is dialled', async () => {
    const gate = makeGate<HandlerDecision>();
    const asked = makeGate();
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({
      handler: judging(() => {
        asked.open();
        return gate.opened;
      }),
    });
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await asked.opened;
    client.stream.end();
    expect(await client.rest()).toBe('');
    gate.open(allow);
    expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted', 'client_aborted']);
    expect(origin.connectionCount).toBe(0);
  });

  test('a client that leaves while the origin is dialled: the request is not sent, and the connection is kept', async () => {
    const gate = makeGate();
    const dialling = makeGate();
    const { client, origin, fixture, served, pool } = await serveOver(() => {
      dialling.open();
      return gate.opened;
    });
    client.resume();
    client.write(get);
    await dialling.opened;
    client.end();
    await served;
    gate.open();
    const closed = new Promise((resolve) => origin.once('end', resolve));
    const received: Buffer[] = [];
    origin.on('data', (chunk: Buffer) => received.push(chunk));
    await new Promise((resolve) => setImmediate(resolve));
    expect([pool.openCount, origin.readableEnded]).toEqual([1, false]);
    pool.empty();
    await closed;
    expect([pool.openCount, Buffer.concat(received).toString()]).toEqual([0, '']);
    pool.close();
    const events = fixture.recorder.events();
    expectInvariants(fixture.engine, events);
    expect(reasonsOf(events)).toEqual(['client_aborted', 'client_aborted']);
  });

  test('a client that resets in its answer: the origin is let go', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('half');
    reset(client);
    await origin.connections[0]?.ended();
    expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted', 'client_aborted']);
  });
});

describe('101 Switching Protocols', () => {
  const upgrade = 'Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n';
  const switched = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';
  const request = `GET http://o/attach HTTP/1.1\r\nHost: o\r\n${upgrade}`;
  const upstreamRequest = 'GET /attach HTTP/1.1\r\nHost: o\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n';

  test('to a protocol that was offered: both sides talk freely, with what they said early', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler });
    const events = await book
      .client(`${request}early client`)
      .expectUpstream(upstreamRequest)
      .upstream('HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nearly origin')
      .expectClient('HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nearly origin')
      .expectUpstream('early client')
      .client('\0ping')
      .expectUpstream('\0ping')
      .upstream('\0pong')
      .expectClient('\0pong')
      .clientEnds()
      .expectUpstreamEnd()
      .upstream('last')
      .expectClient('last')
      .upstreamEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['relay_eof', 'mitm_http_completed']);
    expect(handler.seen).toHaveLength(1);
  });

  const unasked: readonly [string, string, string][] = [
    ['to another protocol', request, upstreamRequest],
    ['without having been asked', get, upstreamGet],
  ];
  test.each(unasked)('%s is 502', async (_how, sent, upstreamSent) => {
    const book = await play();
    const text = 'the origin switched to a protocol that was not asked for\n';
    const events = await book
      .client(sent)
      .expectUpstream(upstreamSent)
      .upstream(switched.replaceAll('Upgrade: tcp', 'Upgrade: other'))
      .expectClient(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      .expectUpstreamEnd()
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)[0]).toBe('mitm_http_error');
  });

  test('an offer that the origin ignores is an ordinary exchange', async () => {
    const book = await play();
    const events = await book
      .client(request)
      .expectUpstream(upstreamRequest)
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });
});

describe('back-pressure', () => {
  const totalBytes = 20 * 1024 * 1024;
  const pieceBytes = 65_536;
  const boundBytes = 2 * 1024 * 1024;
  const turns = 300;

  /** Offers all bytes as fast as they are taken, and counts those that were. */
  function offer(stream: Duplex, taken: { bytes: number }): Promise<void> {
    const piece = Buffer.alloc(pieceBytes, 'x');
    return new Promise((resolve) => {
      const next = (left: number): void => {
        if (left === 0) {
          resolve();
          return;
        }
        stream.write(piece, () => {
          taken.bytes += piece.length;
          next(left - piece.length);
        });
      };
      next(totalBytes);
    });
  }

  async function manyTurns(): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  test('a fast origin waits for a slow client, and every byte arrives', async () => {
    const { client, origin, fixture, served, close } = await serveOver();
    client.write(get);
    await new Promise((resolve) => origin.once('data', resolve));
    origin.write(`HTTP/1.1 200 OK\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(origin, taken);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(boundBytes);
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await offered;
    await expect.poll(() => received).toBeGreaterThanOrEqual(totalBytes);
    client.end();
    await served;
    close();
    expectInvariants(fixture.engine, fixture.recorder.events());
  });

  test('a fast client waits for a slow origin, and every byte arrives', async () => {
    const { client, origin, fixture, served, close } = await serveOver();
    client.write(`POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(client, taken);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(boundBytes);
    let received = 0;
    origin.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await offered;
    await expect.poll(() => received).toBeGreaterThanOrEqual(totalBytes);
    origin.write(noContent);
    client.resume();
    client.end();
    await served;
    close();
    expectInvariants(fixture.engine, fixture.recorder.events());
  });

  test('a body that nobody decided about is not read beyond what is held', async () => {
    const gate = makeGate<HandlerDecision>();
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      handler: judging(() => gate.opened),
      config: { body: { maxSizeBytes: 1_000 } },
    });
    await using client = await openClient(proxy.port);
    client.send(`POST ${origin.url}/ HTTP/1.1\r\nHost: o\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(client.stream, taken);
    await expect.poll(() => client.stream.writableNeedDrain).toBe(true);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(totalBytes);
    gate.open(allow);
    await offered;
    await client.receive('ok');
    expect((await origin.request(0)).body).toHaveLength(totalBytes);
  });
});
