// One exchange between a client and an origin: what the handler is asked, what goes on, and what happens when one side is before the
// other. Most of it is played in memory, byte for byte.
import { allow, block, type HandlerDecision } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { kindsOf } from '../../../../testing/lab/events.ts';
import { startRawOrigin } from '../../../../testing/lab/origins.ts';
import { get, noContent, ownAnswer, play, post, upstreamGet, upstreamPost } from '../exchange-lab.ts';
import {
  detailsOf,
  expectInvariants,
  makeGate,
  openClient,
  reasonsOf,
  reset,
  startProxy,
} from '../proxy-lab.ts';
import { answering, judging, serveOver } from './exchange-fixture.ts';

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
      .expectClient(ownAnswer('503 Service Unavailable', text))
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
      .expectClient(ownAnswer('502 Bad Gateway', text))
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
