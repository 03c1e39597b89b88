// What a handler is shown of an answer, and when; and bodies as it is shown them, in both directions.
import { randomBytes } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { isPromise } from '../src/flow-queue.ts';
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
