// What a handler is shown of a request, and when: before the request goes on, or beside it.
import { describe, expect, test } from 'vitest';

import type { ExchangeInit } from '../src/exchange-facts.ts';
import { allow, block, type HandlerDecision } from '../src/handler.ts';
import type { RawRequest } from '../src/messages.ts';
import {
  deferred,
  gzipped,
  inFlightLimit,
  openExchange,
  requestFacts,
  responseFacts,
  testEngine,
  turn,
} from './engine-fixture.ts';
import { answer, body, json, settled, watcher } from './exchange-fixture.ts';

function fails(): never {
  throw new Error('boom');
}

function withType(type: string): Partial<ExchangeInit> {
  return { request: requestFacts(['Content-Type', type]) };
}

describe('whether the handler waits for the body of a request', () => {
  test.each<[string, object, object, boolean]>([
    ['a body', {}, {}, true],
    ['no body', {}, { hasBody: false }, false],
    ['bufferRequestBodies false', { body: { bufferRequestBodies: false } }, {}, false],
    ['monitor mode', { interceptMode: 'monitor' }, {}, false],
    ['an upgrade', {}, { isUpgrade: true }, false],
    ['what passes unseen', {}, { isUnobserved: true }, false],
    ['JSON', {}, withType('application/json'), true],
    ['gRPC', {}, withType('application/grpc'), false],
    ['gRPC of some encoding', {}, withType('application/grpc+proto; charset=x'), false],
    ['gRPC-Web', {}, withType('application/grpc-web'), false],
    ['gRPC in capitals', {}, withType('Application/GRPC'), false],
    ['Connect, streaming', {}, withType('application/connect+json'), false],
    ['Connect, one message', {}, withType('application/proto'), true],
    ['a type that only begins so', {}, withType('application/grpcfoo'), true],
  ])('%s: %#', (_what, fields, init, wantsBody) => {
    const { engine } = testEngine(fields, { handler: watcher().handler });
    const exchange = openExchange(engine, init);
    expect(exchange.wantsBody).toBe(wantsBody);
    expect(exchange.bufferedRequest !== undefined).toBe(wantsBody);
    exchange.close('shutdown');
  });

  test('without onRequest it never does', () => {
    const { engine } = testEngine({}, { handler: { onResponse: () => {} } });
    expect(openExchange(engine)).toMatchObject({ isJudged: false, wantsBody: false });
  });
});

describe('what is judged', () => {
  test('the whole request, with what is known of its connection', () => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.requestPiece(body.subarray(0, 5));
    exchange.requestPiece(body.subarray(5));
    expect(exchange.decide(true)).toBe(allow);
    const [request] = seen.requests;
    expect(request).toMatchObject({
      method: 'POST',
      scheme: 'https',
      authority: 'api.example.test',
      path: '/v1',
      httpVersion: 'HTTP/1.1',
      bodyTruncated: false,
      encodingError: false,
      flowId: exchange.flow.id,
      connectionMeta: exchange.flow.connection.meta,
    });
    expect(Buffer.from(request?.body ?? []).toString()).toBe('hello world');
  });

  test('headers without those of one hop, on both sides', () => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const hop = [
      'Connection',
      'close, X-Hop',
      'X-Hop',
      '1',
      'Proxy-Authorization',
      'Basic c2VjcmV0',
      'TE',
      'trailers',
    ];
    const exchange = openExchange(engine, { request: requestFacts([...hop, 'X-End', '2']), hasBody: false });
    void exchange.decide(true);
    answer(exchange, ['Transfer-Encoding', 'chunked', ...hop, 'X-End', '3']);
    expect(seen.requests[0]?.headers.toJSON()).toEqual([
      ['Host', 'api.example.test'],
      ['X-End', '2'],
    ]);
    expect(seen.responses[0]?.headers.toJSON()).toEqual([['X-End', '3']]);
  });

  test('the first part of a body beyond the limit; the piece that was cut says where', () => {
    const seen = watcher();
    const { engine } = testEngine({ body: { maxSizeBytes: 8 } }, { handler: seen.handler });
    const exchange = openExchange(engine);
    expect([exchange.requestPiece(body.subarray(0, 5)), exchange.requestPiece(body.subarray(5))]).toEqual([
      5, 3,
    ]);
    void exchange.decide(false);
    expect(seen.requests[0]).toMatchObject({ bodyTruncated: true, body: body.subarray(0, 8) });
    expect(exchange.bufferedRequest?.bytes()).toEqual(body.subarray(0, 8));
    exchange.close('mitm_http_completed');
    expect(engine.budget.held).toBe(0);
  });

  test('what has arrived when the wait for the rest was given up; later pieces are not taken', () => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.requestPiece(body);
    void exchange.decide(false);
    expect(seen.requests[0]).toMatchObject({ bodyTruncated: true, body });
    expect(exchange.requestPiece(body)).toBe(0);
    expect(exchange.bufferedRequest?.length).toBe(body.length);
    expect(exchange.flow.bytesFromClient).toBe(2 * body.length);
  });

  test('as much as the proxy has room for: the budget cuts the copy and throws nothing', () => {
    const seen = watcher();
    const { engine, metrics } = testEngine(inFlightLimit(15), { handler: seen.handler });
    const [first, second] = [openExchange(engine), openExchange(engine)];
    expect([first.requestPiece(body), second.requestPiece(body)]).toEqual([11, 0]);
    void second.decide(false);
    expect(seen.requests[0]).toMatchObject({ bodyTruncated: true, body: Buffer.alloc(0) });
    expect(metrics.snapshot().inFlightBudgetDenialCount).toBe(1);
    first.close('mitm_http_completed');
    second.close('mitm_http_completed');
    expect(engine.budget.held).toBe(0);
  });

  test.each<[string, object, object]>([
    ['bufferRequestBodies false', { body: { bufferRequestBodies: false } }, {}],
    ['gRPC', {}, { request: requestFacts(['Content-Type', 'application/grpc']) }],
  ])('the head alone, marked as not all of it: %s', (_why, fields, init) => {
    const seen = watcher();
    const { engine } = testEngine(fields, { handler: seen.handler });
    const exchange = openExchange(engine, init);
    expect(exchange.decide(false)).toBe(allow);
    expect(seen.requests[0]).toMatchObject({ bodyTruncated: true, body: Buffer.alloc(0) });
    expect(exchange.requestPiece(body)).toBe(body.length);
    expect(engine.budget.watermark).toBe(0);
  });

  test('a request without a body is shown as complete', () => {
    const seen = watcher();
    const { engine } = testEngine({ body: { bufferRequestBodies: false } }, { handler: seen.handler });
    void openExchange(engine, { hasBody: false }).decide(true);
    expect(seen.requests[0]).toMatchObject({ bodyTruncated: false, body: Buffer.alloc(0) });
  });

  test('the decision is the handler’s, at once or when it comes', async () => {
    const refusal = block(403);
    const later = deferred<HandlerDecision>();
    const atOnce = openExchange(testEngine({}, { handler: { onRequest: () => refusal } }).engine);
    expect(atOnce.decide(true)).toBe(refusal);
    const promised = openExchange(testEngine({}, { handler: { onRequest: () => later.promise } }).engine);
    const decision = promised.decide(true);
    later.resolve(refusal);
    await expect(decision).resolves.toBe(refusal);
  });

  test('a handler that fails without recoverFromPanics ends the exchange', () => {
    const { engine } = testEngine(
      { handler: { recoverFromPanics: false } },
      { handler: { onRequest: fails } },
    );
    expect(() => openExchange(engine).decide(true)).toThrow(
      expect.objectContaining({ reason: 'handler_error', detail: 'onRequest: boom' }),
    );
  });
});

describe('monitor mode', () => {
  const monitor = { interceptMode: 'monitor' };

  test('asks nobody before the request goes on, and ignores what is answered', () => {
    const seen: RawRequest[] = [];
    const onRequest = (request: RawRequest): HandlerDecision => {
      seen.push(request);
      return block(403);
    };
    const { engine } = testEngine(monitor, { handler: { onRequest } });
    const exchange = openExchange(engine);
    expect([exchange.isJudged, exchange.decide(false)]).toEqual([false, allow]);
    expect(exchange.requestPiece(body)).toBe(body.length);
    expect([seen, exchange.bufferedRequest]).toEqual([[], undefined]);
    exchange.requestEnded();
    expect(seen).toEqual([expect.objectContaining({ body, bodyTruncated: false })]);
    exchange.close('mitm_http_completed');
    expect(engine.budget.held).toBe(0);
  });

  test('shows a request once, also when it was sent twice', () => {
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    const exchange = openExchange(engine, { hasBody: false });
    exchange.requestEnded();
    exchange.requestEnded();
    answer(exchange, json);
    expect(seen.order).toEqual(['request', 'response', 'end']);
  });

  test.each<[string, readonly string[]]>([
    ['an answer that streams', ['Content-Type', 'text/event-stream']],
    ['an answer that does not', json],
  ])('shows the request before %s, even if it has not ended', (_what, headers) => {
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.requestPiece(body);
    exchange.responseHead(responseFacts(headers));
    exchange.responseEnded();
    exchange.requestEnded();
    exchange.close('mitm_http_completed');
    expect(seen.order).toEqual(['request', 'response', 'end']);
    expect(seen.requests[0]).toMatchObject({ body, bodyTruncated: true });
    expect(engine.budget.held).toBe(0);
  });

  test('shows a request that found no origin, or whose client left', () => {
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    openExchange(engine, { hasBody: false }).close('upstream_connect_failed');
    const exchange = openExchange(engine);
    exchange.requestPiece(body);
    exchange.close('client_aborted');
    expect(seen.requests).toMatchObject([{ bodyTruncated: false }, { bodyTruncated: true, body }]);
    expect([seen.order, engine.budget.held]).toEqual([['request', 'end', 'request', 'end'], 0]);
  });

  test('an upgrade is shown by its head', () => {
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    const exchange = openExchange(engine, { isUpgrade: true, hasBody: false });
    exchange.requestEnded();
    expect(seen.requests[0]).toMatchObject({ body: Buffer.alloc(0), bodyTruncated: false });
  });

  test('a copy that waits behind a slow hook is still whole after the close', async () => {
    const slow = deferred();
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.flow.connection.opened = slow.promise;
    exchange.requestPiece(body);
    exchange.requestEnded();
    answer(exchange, json, body);
    await turn();
    expect([seen.order, engine.budget.held]).toEqual([[], 2 * body.length]);
    slow.resolve();
    await settled(exchange);
    expect(seen.order).toEqual(['request', 'response', 'end']);
    expect([seen.requests[0]?.body, seen.responses[0]?.body]).toEqual([body, body]);
    expect(engine.budget.held).toBe(0);
  });

  test('a body that is decoded is shown before the answer', async () => {
    const seen = watcher();
    const { engine } = testEngine(monitor, { handler: seen.handler });
    const exchange = openExchange(engine, { request: requestFacts(['Content-Encoding', 'gzip']) });
    exchange.requestPiece(gzipped);
    exchange.requestEnded();
    answer(exchange, json, body);
    await settled(exchange);
    expect(seen.order).toEqual(['request', 'response', 'end']);
    expect(Buffer.from(seen.requests[0]?.body ?? []).toString()).toBe('plain text');
  });
});
