import { randomBytes } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import type { ExchangeInit } from '../src/exchange-facts.ts';
import type { Exchange } from '../src/exchange.ts';
import { isPromise } from '../src/flow-queue.ts';
import { allow, block, type HandlerDecision, type InterceptHandler } from '../src/handler.ts';
import type { RawRequest, RawResponse } from '../src/messages.ts';
import {
  deferred,
  gzipped,
  inFlightLimit,
  openExchange,
  openExchangeFlow,
  requestFacts,
  responseFacts,
  testEngine,
  turn,
} from './engine-fixture.ts';

afterEach(() => {
  vi.useRealTimers();
});

const body = Buffer.from('hello world');
const json = ['Content-Type', 'application/json'];

interface Seen {
  readonly requests: RawRequest[];
  readonly responses: RawResponse[];
  /** The names of the hooks, in the order in which they were called. */
  readonly order: string[];
  readonly handler: InterceptHandler;
}

/** A handler that remembers what it is shown and allows everything. */
function watcher(): Seen {
  const requests: RawRequest[] = [];
  const responses: RawResponse[] = [];
  const order: string[] = [];
  const handler: InterceptHandler = {
    onRequest: (request) => {
      order.push('request');
      requests.push(request);
      return allow;
    },
    onResponse: (response) => {
      order.push('response');
      responses.push(response);
    },
    onStreamEnd: () => void order.push('end'),
  };
  return { requests, responses, order, handler };
}

/** Relays an answer whole: head, the pieces of its body, end, close. */
function answer(exchange: Exchange, headers: readonly string[], ...pieces: readonly Buffer[]): void {
  exchange.responseHead(responseFacts(headers));
  for (const piece of pieces) exchange.responsePiece(piece);
  exchange.responseEnded();
  exchange.close('mitm_http_completed');
}

function fails(): never {
  throw new Error('boom');
}

const settled = (exchange: Exchange): Promise<void> => exchange.flow.connection.settled();

describe('what is reported', () => {
  test('AP-10 an exchange from its head to its close, in its natural order', () => {
    const { engine, recorder, metrics } = testEngine();
    const exchange = openExchange(engine);
    exchange.requestPiece(body);
    exchange.requestEnded();
    answer(exchange, json, body, body);
    expect(recorder.events()).toMatchObject([
      {
        kind: 'request_headers',
        method: 'POST',
        target: '/v1',
        version: 'HTTP/1.1',
        headerCount: 1,
        scheme: 'https',
        authority: 'api.example.test',
        parentFlowId: 1,
      },
      { kind: 'request_body_chunk', bytes: 11 },
      { kind: 'response_headers', statusCode: 200, reasonPhrase: 'OK', headerCount: 1 },
      { kind: 'response_body_chunk', bytes: 11 },
      { kind: 'response_body_chunk', bytes: 11 },
      { kind: 'stream_closed', reasonCode: 'mitm_http_completed', bytesFromClient: 11, bytesFromServer: 22 },
    ]);
    expect(metrics.snapshot().invalidTransitionCount).toBe(0);
  });

  test('unseen, only the end with its bytes, and no hook but onStreamEnd', () => {
    const seen = watcher();
    const { engine, recorder } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { isUnobserved: true });
    expect([exchange.isObserved, exchange.isJudged, exchange.wantsBody]).toEqual([false, false, false]);
    expect(exchange.requestPiece(body)).toBe(body.length);
    expect(exchange.decide(true)).toBe(allow);
    exchange.requestEnded();
    answer(exchange, json, body);
    expect(recorder.events()).toMatchObject([
      { kind: 'stream_closed', bytesFromClient: 11, bytesFromServer: 11 },
    ]);
    expect([seen.order, engine.budget.held]).toEqual([['end'], 0]);
  });

  test('without hooks nothing is judged, copied, promised or timed', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { engine } = testEngine();
    const exchange = openExchange(engine);
    expect([exchange.isJudged, exchange.wantsBody, exchange.bufferedRequest]).toEqual([
      false,
      false,
      undefined,
    ]);
    expect(exchange.requestPiece(body)).toBe(body.length);
    expect(exchange.decide(true)).toBe(allow);
    exchange.responseHead(responseFacts(json));
    exchange.responsePiece(body);
    exchange.responseEnded();
    exchange.close('mitm_http_completed');
    expect([engine.budget.watermark, vi.getTimerCount()]).toEqual([0, 0]);
  });
});

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

describe('content codings', () => {
  const text = Buffer.from('plain text');
  const long = randomBytes(3_000);
  test.each<[string, string, Buffer, Buffer, object]>([
    ['gzip', 'gzip', gzipped, text, { encodingError: false, bodyTruncated: false }],
    ['brotli', 'br', brotliCompressSync(text), text, { encodingError: false, bodyTruncated: false }],
    ['two of them', 'gzip, br', brotliCompressSync(gzipped), text, { encodingError: false }],
    ['unknown: as received', 'zip', gzipped, gzipped, { encodingError: true, bodyTruncated: false }],
    ['broken: as received', 'gzip', text, text, { encodingError: true, bodyTruncated: false }],
    ['none: as received', 'identity', text, text, { encodingError: false, bodyTruncated: false }],
    [
      'more than is wanted: what it begins with',
      'gzip',
      gzipSync(Buffer.alloc(9_000)),
      Buffer.alloc(4_000),
      { encodingError: false, bodyTruncated: true },
    ],
    ['cut at the limit: what it begins with', 'gzip', gzipSync(long), long, { bodyTruncated: true }],
  ])('%s', async (rule, coding, encoded, decoded, marks) => {
    const seen = watcher();
    const isCut = rule.startsWith('cut');
    const maxSizeBytes = isCut ? 2_900 : 4_000;
    const { engine } = testEngine({ body: { maxSizeBytes } }, { handler: seen.handler });
    const request = requestFacts(['Content-Encoding', coding]);
    const exchange = openExchange(engine, { request });
    exchange.requestPiece(encoded);
    await exchange.decide(true);
    answer(exchange, ['Content-Encoding', coding], encoded);
    await settled(exchange);
    for (const shown of [seen.requests[0], seen.responses[0]]) {
      expect(shown).toMatchObject(marks);
      const bytes = Buffer.from(shown?.body ?? []);
      expect(bytes).toEqual(isCut ? decoded.subarray(0, bytes.length) : decoded);
      expect(bytes.length).toBeGreaterThan(isCut ? 2_000 : 9);
    }
    // What is relayed stays as it came.
    expect(exchange.bufferedRequest?.length).toBe(Math.min(encoded.length, maxSizeBytes));
    expect([seen.order, engine.budget.held]).toEqual([['request', 'response', 'end'], 0]);
  });

  test('an empty body is not decoded', () => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { request: requestFacts(['Content-Encoding', 'gzip']) });
    expect(isPromise(exchange.decide(true))).toBe(false);
    answer(exchange, ['Content-Encoding', 'gzip']);
    expect(seen.responses[0]).toMatchObject({ encodingError: false, body: Buffer.alloc(0) });
  });
});

describe('onResponse', () => {
  test('comes once, after the body, with all of it', () => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { hasBody: false });
    exchange.responseHead(responseFacts(json, 404));
    exchange.responsePiece(body);
    expect(seen.responses).toEqual([]);
    exchange.responseEnded();
    exchange.responseEnded();
    expect(seen.responses).toEqual([
      expect.objectContaining({
        status: 404,
        body,
        bodyTruncated: false,
        encodingError: false,
        streaming: false,
        flowId: exchange.flow.id,
        connectionMeta: exchange.flow.connection.meta,
      }),
    ]);
  });

  test('sees the first part of a body beyond the limit', () => {
    const seen = watcher();
    const { engine } = testEngine({ body: { maxSizeBytes: 8 } }, { handler: seen.handler });
    answer(openExchange(engine, { hasBody: false }), json, body, body);
    expect(seen.responses[0]).toMatchObject({ bodyTruncated: true, body: body.subarray(0, 8) });
    expect(engine.budget.held).toBe(0);
  });

  test('sees as much as the proxy has room for', () => {
    const seen = watcher();
    const { engine } = testEngine(inFlightLimit(15), { handler: seen.handler });
    answer(openExchange(engine, { hasBody: false }), json, body, body);
    expect(seen.responses[0]).toMatchObject({ bodyTruncated: true, body });
    expect(engine.budget.held).toBe(0);
  });

  test.each([
    ['text/event-stream', 200, true],
    ['Text/Event-Stream; charset=utf-8', 200, true],
    ['application/x-ndjson', 200, true],
    ['application/jsonl', 200, true],
    ['application/grpc', 200, true],
    ['application/grpc-web+proto', 200, true],
    ['application/json', 200, false],
    ['', 101, true],
  ])('type "%s" with status %i: streaming is %s', (type, status, streaming) => {
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { hasBody: false });
    exchange.responseHead(responseFacts(type === '' ? [] : ['Content-Type', type], status));
    expect(seen.responses).toHaveLength(streaming ? 1 : 0);
    exchange.responsePiece(body);
    exchange.responseEnded();
    exchange.close('mitm_http_completed');
    expect(seen.responses).toHaveLength(1);
    expect(seen.responses[0]).toMatchObject({
      streaming,
      body: streaming ? Buffer.alloc(0) : body,
      bodyTruncated: false,
    });
    expect(engine.budget.watermark).toBe(streaming ? 0 : body.length);
  });

  test('AP-06 a slow one holds nobody: the flow closes at once', async () => {
    const slow = deferred();
    const seen = watcher();
    const { engine, recorder } = testEngine(
      {},
      { handler: { ...seen.handler, onResponse: () => slow.promise } },
    );
    const exchange = openExchange(engine, { hasBody: false });
    answer(exchange, json, body);
    expect([recorder.kinds().at(-1), seen.order]).toEqual(['stream_closed', []]);
    slow.resolve();
    await settled(exchange);
    expect(seen.order).toEqual(['end']);
  });

  test('the copy counts against the budget until the handler is done with it', async () => {
    const slow = deferred();
    const { engine } = testEngine({}, { handler: { onResponse: () => slow.promise } });
    const exchange = openExchange(engine, { hasBody: false });
    answer(exchange, json, body);
    await turn();
    expect(engine.budget.held).toBe(body.length);
    slow.resolve();
    await settled(exchange);
    expect(engine.budget.held).toBe(0);
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

describe('a stream of HTTP/2', () => {
  test('is named in every event of its exchange, and in none of an exchange of HTTP/1', () => {
    const { engine, recorder } = testEngine();
    const flow = openExchangeFlow(engine);
    flow.http2StreamId = 7;
    const exchange = openExchange(engine, { request: requestFacts([], { version: 'HTTP/2' }) }, flow);
    exchange.requestPiece(body);
    answer(exchange, json, body);
    const other = openExchange(engine);
    other.requestPiece(body);
    answer(other, json, body);
    const named = recorder
      .events()
      .map((event) => [event.kind, 'http2StreamId' in event ? event.http2StreamId : undefined]);
    const kinds = ['request_headers', 'request_body_chunk', 'response_headers', 'response_body_chunk'];
    expect(named).toEqual([
      ...kinds.map((kind) => [kind, 7]),
      ['stream_closed', undefined],
      ...kinds.map((kind) => [kind, undefined]),
      ['stream_closed', undefined],
    ]);
  });
});

describe('the most bytes that an answer may have', () => {
  const strict = { upstream: { h2ResponseOverflowMode: 'strict_fail' }, body: { maxSizeBytes: 20 } };
  const http2 = { ...responseFacts(json), version: 'HTTP/2' };
  test.each([
    ['are those of a body in the strict mode', strict, http2, {}, [false, true]],
    ['are not limited otherwise', { body: { maxSizeBytes: 20 } }, http2, {}, [false, false]],
    ['are not limited for an origin of HTTP/1', strict, responseFacts(json), {}, [false, false]],
    ['are not limited for what passes unseen', strict, http2, { isUnobserved: true }, [false, false]],
  ])('%s', (_rule, fields, head, init, [exactly, oneMore]) => {
    const { engine } = testEngine(fields);
    const exchange = openExchange(engine, init);
    expect(exchange.overflowsWith(1_000)).toBe(false);
    exchange.responseHead(head);
    exchange.responsePiece(body);
    expect([exchange.overflowsWith(20 - body.length), exchange.overflowsWith(21 - body.length)]).toEqual([
      exactly,
      oneMore,
    ]);
  });
});

describe('close', () => {
  test('AP-08 AP-10 ends the stream once, however often it is called', () => {
    const seen = watcher();
    const { engine, recorder } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.close('client_aborted', 'gone');
    exchange.close('mitm_http_completed');
    expect(seen.order).toEqual(['end']);
    expect(recorder.events().at(-1)).toMatchObject({ reasonCode: 'client_aborted', reasonDetail: 'gone' });
    expectClosedOnce(recorder.events());
  });

  test('onStreamEnd also follows where something else had closed the flow', () => {
    const seen = watcher();
    const { engine, recorder } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine);
    exchange.flow.close('shutdown');
    exchange.close('mitm_http_completed');
    expect([seen.order, recorder.events().at(-1)]).toMatchObject([['end'], { reasonCode: 'shutdown' }]);
    expectClosedOnce(recorder.events());
  });

  test('AP-11 what is told afterwards is dropped, counted and takes no bytes', async () => {
    const seen = watcher();
    const { engine, recorder, metrics } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { hasBody: false });
    exchange.responseHead(responseFacts(json));
    exchange.close('client_aborted');
    exchange.responseEnded();
    exchange.responseHead(responseFacts(['Content-Type', 'text/event-stream']));
    exchange.responsePiece(body);
    exchange.requestPiece(body);
    exchange.requestEnded();
    await turn();
    expect(seen.order).toEqual(['end']);
    expect([metrics.snapshot().droppedDispatchWorkCount, engine.budget.held]).toEqual([1, 0]);
    expectClosedOnce(recorder.events());
  });

  test('hooks that answer at once need neither promise nor timer', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const seen = watcher();
    const { engine } = testEngine({}, { handler: seen.handler });
    const exchange = openExchange(engine, { hasBody: false });
    void exchange.decide(true);
    answer(exchange, json, body);
    expect([seen.order, vi.getTimerCount()]).toEqual([['request', 'response', 'end'], 0]);
  });

  test('AP-08 onStreamEnd waits for the hooks before it, and its connection for onStreamEnd', async () => {
    const [response, end] = [deferred(), deferred()];
    const order: string[] = [];
    const { engine } = testEngine(
      {},
      {
        handler: {
          onResponse: () => response.promise.then(() => void order.push('response')),
          onStreamEnd: () => end.promise.then(() => void order.push('end')),
        },
      },
    );
    const exchange = openExchange(engine, { hasBody: false });
    answer(exchange, json, body);
    const isOver = settled(exchange).then(() => order.push('settled'));
    end.resolve();
    await turn();
    expect(order).toEqual([]);
    response.resolve();
    await isOver;
    expect(order).toEqual(['response', 'end', 'settled']);
  });

  test('waits no longer than dispatchCloseJoinTimeoutMs; what has not begun is dropped and counted', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const seen = watcher();
    const { engine, metrics } = testEngine(
      { interceptMode: 'monitor', flowRuntime: { dispatchCloseJoinTimeoutMs: 50 } },
      { handler: { ...seen.handler, onRequest: () => new Promise(() => {}) } },
    );
    const exchange = openExchange(engine);
    exchange.requestPiece(body);
    exchange.requestEnded();
    answer(exchange, json, body);
    await vi.advanceTimersByTimeAsync(49);
    expect([seen.order, engine.budget.held]).toEqual([[], 2 * body.length]);
    await vi.advanceTimersByTimeAsync(1);
    await settled(exchange);
    expect(seen.order).toEqual(['end']);
    expect([metrics.snapshot().droppedDispatchWorkCount, engine.budget.held]).toEqual([1, 0]);
  });

  test('a full queue drops the newest call, counts it, and gives its bytes back in the end', async () => {
    const slow = deferred();
    const seen = watcher();
    const { engine, metrics } = testEngine(
      { interceptMode: 'monitor', flowRuntime: { dispatchQueueCapacity: 1 } },
      { handler: seen.handler },
    );
    const exchange = openExchange(engine);
    exchange.flow.connection.opened = slow.promise;
    exchange.requestPiece(body);
    // The first call runs, that is, waits for the connection's opening; the second waits for it; the third is too many.
    exchange.responseHead(responseFacts(['Content-Type', 'text/event-stream']));
    exchange.responseHead(responseFacts(json));
    exchange.responsePiece(body);
    exchange.responseEnded();
    expect(metrics.snapshot().droppedDispatchWorkCount).toBe(1);
    exchange.close('mitm_http_completed');
    slow.resolve();
    await settled(exchange);
    expect(seen.order).toEqual(['request', 'response', 'end']);
    expect(engine.budget.held).toBe(0);
  });

  test.each<[string, (exchange: Exchange) => void]>([
    ['right after the head', () => {}],
    ['within the request body', (exchange) => void exchange.requestPiece(body)],
    ['after the verdict', (exchange) => void [exchange.requestPiece(body), exchange.decide(true)]],
    ['after the answer’s head', (exchange) => exchange.responseHead(responseFacts(json))],
    [
      'within the answer’s body',
      (exchange) => {
        exchange.responseHead(responseFacts(json));
        exchange.responsePiece(body);
      },
    ],
  ])('%s gives every byte back', (_when, begin) => {
    for (const interceptMode of ['enforce', 'monitor']) {
      const { engine } = testEngine({ interceptMode }, { handler: watcher().handler });
      const exchange = openExchange(engine);
      begin(exchange);
      exchange.close('client_aborted');
      expect(engine.budget.held).toBe(0);
    }
  });
});

test('whatever happens in whatever order: one close, one onStreamEnd, last of all hooks, and no byte kept', async () => {
  const step = fc.constantFrom(
    'piece',
    'gzip',
    'decide',
    'request_end',
    'head',
    'stream',
    'answer_piece',
    'end',
    'turn',
  );
  const fields = fc.record({
    interceptMode: fc.constantFrom('enforce', 'monitor'),
    body: fc.record({ maxSizeBytes: fc.constantFrom(8, 4_000), bufferRequestBodies: fc.boolean() }),
    flowRuntime: fc.record({ dispatchQueueCapacity: fc.constantFrom(1, 128) }),
  });
  await fc.assert(
    fc.asyncProperty(
      fields,
      fc.boolean(),
      fc.array(step, { maxLength: 12 }),
      async (config, isSlow, steps) => {
        const seen = watcher();
        const onResponse = async (): Promise<void> => {
          if (isSlow) await turn();
          seen.order.push('response');
        };
        const { engine, recorder } = testEngine(
          { ...config, ...inFlightLimit(40), body: { ...config.body, maxDecoderBytes: 8 } },
          { handler: { ...seen.handler, onResponse } },
        );
        const exchange = openExchange(engine, { request: requestFacts(['Content-Encoding', 'gzip']) });
        for (const one of steps) {
          if (one === 'piece') exchange.requestPiece(body);
          else if (one === 'gzip') exchange.requestPiece(gzipped);
          else if (one === 'decide') await exchange.decide(false);
          else if (one === 'request_end') exchange.requestEnded();
          else if (one === 'head') exchange.responseHead(responseFacts(json));
          else if (one === 'stream')
            exchange.responseHead(responseFacts(['Content-Type', 'text/event-stream']));
          else if (one === 'answer_piece') exchange.responsePiece(body);
          else if (one === 'end') exchange.responseEnded();
          else await turn();
        }
        exchange.close('client_aborted');
        exchange.close('mitm_http_completed');
        await settled(exchange);
        expect(seen.order.filter((hook) => hook === 'end')).toEqual(['end']);
        expect(seen.order.at(-1)).toBe('end');
        expect(engine.budget.held).toBe(0);
        expectOrdered(recorder.events());
        expectClosedOnce(recorder.events());
      },
    ),
  );
});

test('exchanges of one connection share its flow’s target and their parent, and nothing else', () => {
  const { engine, recorder } = testEngine();
  const first = openExchange(engine);
  const second = openExchange(engine, {}, openExchangeFlow(engine, first.flow.connection));
  first.close('mitm_http_completed');
  second.requestPiece(body);
  second.close('mitm_http_completed');
  const closes = recorder.events().filter(({ kind }) => kind === 'stream_closed');
  expect(closes).toHaveLength(2);
  expect(closes[0]).toHaveProperty('bytesFromClient', undefined);
  expect(closes[1]).toHaveProperty('bytesFromClient', body.length);
});
