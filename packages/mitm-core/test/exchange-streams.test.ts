// Bodies that stream are shown in chunks: which, from when on, in what order with the other hooks, and how they end.
import { gzipSync } from 'node:zlib';

import { NdjsonParser, type WebSocketAgreement } from 'mitm-http';
import { describe, expect, test, vi } from 'vitest';

import { clientFrame, frame } from '../../../testing/lab/websocket-wire.ts';
import type { Exchange } from '../src/exchange.ts';
import { allow, type InterceptHandler } from '../src/handler.ts';
import { deferred, openExchange, requestFacts, responseFacts, testEngine, turn } from './engine-fixture.ts';

const sse = ['Content-Type', 'text/event-stream; charset=utf-8'];
const plain: WebSocketAgreement = {
  protocol: undefined,
  extensions: [],
  deflate: undefined,
  hasUnknownExtension: false,
};

/** A handler that writes down its calls. */
function diary(more: InterceptHandler = {}): {
  readonly handler: InterceptHandler;
  readonly lines: string[];
} {
  const lines: string[] = [];
  const handler: InterceptHandler = {
    onRequest: () => {
      lines.push('request');
      return allow;
    },
    onResponse: ({ streaming, body }) => void lines.push(`response ${streaming} ${body.length}`),
    onWebSocketStart: ({ status }) => void lines.push(`start ${status}`),
    onStreamChunk: (chunk) =>
      void lines.push(`${chunk.sequence} ${chunk.frameKind} ${Buffer.from(chunk.payload).toString()}`),
    onStreamEnd: () => void lines.push('end'),
    ...more,
  };
  return { handler, lines };
}

function answerWith(exchange: Exchange, headers: readonly string[], ...pieces: (string | Buffer)[]): void {
  exchange.responseHead(responseFacts(headers));
  for (const piece of pieces) exchange.responsePiece(Buffer.from(piece));
  exchange.responseEnded();
  exchange.close('mitm_http_completed');
}

describe('an answer that streams', () => {
  test('is told at its head, then chunk by chunk as it passes, then ended', () => {
    const { handler, lines } = diary();
    const { engine } = testEngine({}, { handler });
    const exchange = openExchange(engine);
    void exchange.decide(true);
    exchange.responseHead(responseFacts(sse));
    expect(lines).toEqual(['request', 'response true 0']);
    exchange.responsePiece(Buffer.from('data: a\n\nda'));
    expect(lines.at(-1)).toBe('0 sse_data a');
    exchange.responsePiece(Buffer.from('ta: b\n\n'));
    exchange.responseEnded();
    exchange.close('mitm_http_completed');
    expect(lines.slice(2)).toEqual(['0 sse_data a', '1 sse_data b', 'end']);
  });

  test.each([
    ['SSE', 'text/event-stream', 'data: a\n\n', 'sse_data'],
    ['NDJSON', 'application/x-ndjson', 'a\n', 'ndjson_line'],
    ['JSON values in a row', 'application/json-seq', '\u001e"a"\n', 'json_value'],
  ])('%s is known by its media type', (_name, type, body, kind) => {
    const { handler, lines } = diary();
    const { engine } = testEngine({}, { handler });
    answerWith(openExchange(engine), ['Content-Type', type], body);
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(new RegExp(`^0 ${kind} "?a`));
  });

  test('without onStreamChunk is told at its head, and nothing is cut', () => {
    const { handler, lines } = diary();
    delete handler.onStreamChunk;
    const { engine } = testEngine({}, { handler, isUnheard: true });
    answerWith(openExchange(engine), sse, 'data: a\n\n');
    expect(lines).toEqual(['response true 0', 'end']);
  });

  test('changes the protocol of its flow to sse', () => {
    const { engine, recorder } = testEngine();
    answerWith(openExchange(engine), sse, 'data: a\n\n');
    const protocols = recorder.events().map(({ kind, context }) => [kind, context.protocol]);
    expect(protocols).toEqual([
      ['request_headers', 'http1'],
      ['response_headers', 'http1'],
      ['response_body_chunk', 'sse'],
      ['sse_event', 'sse'],
      ['stream_closed', 'sse'],
    ]);
  });

  test('that is compressed closes behind its last chunk', async () => {
    const { handler, lines } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const exchange = openExchange(engine);
    answerWith(exchange, [...sse, 'Content-Encoding', 'gzip'], gzipSync('data: a\n\ndata: b\n\n'));
    expect(recorder.kinds()).not.toContain('stream_closed');
    await exchange.flow.connection.settled();
    expect(lines).toEqual(['response true 0', '0 sse_data a', '1 sse_data b', 'end']);
    expect(recorder.kinds().filter((kind) => /^(?:sse|stream)_/.test(kind))).toEqual([
      'sse_event',
      'sse_event',
      'stream_closed',
    ]);
  });

  test('that is compressed and breaks off closes at once', () => {
    const { handler } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const exchange = openExchange(engine);
    exchange.responseHead(responseFacts([...sse, 'Content-Encoding', 'gzip']));
    exchange.responsePiece(gzipSync('data: a\n\n').subarray(0, 12));
    exchange.close('mitm_http_error', 'upstream: gone');
    expect(recorder.events().at(-1)).toMatchObject({ kind: 'stream_closed', reasonCode: 'mitm_http_error' });
  });

  test('whose client left: what waits is dropped and counted, a running call ends', async () => {
    const gate = deferred();
    const onStreamChunk = vi.fn<NonNullable<InterceptHandler['onStreamChunk']>>(() => gate.promise);
    const { handler, lines } = diary({ onStreamChunk });
    const { engine, metrics } = testEngine({}, { handler });
    const exchange = openExchange(engine);
    exchange.responseHead(responseFacts(sse));
    exchange.responsePiece(Buffer.from('data: a\n\ndata: b\n\ndata: c\n\n'));
    exchange.close('client_aborted');
    await turn();
    expect(lines).not.toContain('end');
    gate.resolve();
    await exchange.flow.connection.settled();
    expect([onStreamChunk.mock.calls.length, metrics.snapshot().droppedDispatchWorkCount]).toEqual([1, 2]);
    expect([lines.at(-1), engine.budget.held]).toEqual(['end', 0]);
  });

  test('passes unseen where the exchange does', () => {
    const { handler, lines } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const exchange = openExchange(engine, { isUnobserved: true });
    answerWith(exchange, sse, 'data: a\n\n');
    expect(lines).toEqual(['end']);
    expect(recorder.kinds()).toEqual(['stream_closed']);
  });
});

describe('a request that streams', () => {
  const grpc = requestFacts(['Content-Type', 'application/grpc'], { version: 'HTTP/2' });
  const message = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from('hi')]);

  test('is decided at its head and shown message by message', () => {
    const { handler, lines } = diary();
    const { engine } = testEngine({}, { handler });
    const exchange = openExchange(engine, { request: grpc });
    expect(exchange.wantsBody).toBe(false);
    void exchange.decide(false);
    exchange.requestPiece(Buffer.concat([message, message.subarray(0, 3)]));
    exchange.requestPiece(message.subarray(3));
    exchange.requestEnded();
    answerWith(exchange, ['Content-Type', 'application/grpc'], message);
    expect(lines).toEqual([
      'request',
      '0 grpc_message hi',
      '1 grpc_message hi',
      'response true 0',
      '2 grpc_message hi',
      'end',
    ]);
  });

  test('that ends inside a message is one event', () => {
    const { handler } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const exchange = openExchange(engine, { request: grpc });
    exchange.requestPiece(message.subarray(0, 6));
    exchange.requestEnded();
    expect(recorder.events().find(({ kind }) => kind === 'decoder_failed')).toMatchObject({
      decoder: 'grpc_message',
      decoderErrorCode: 'length_mismatch',
      direction: 'client_to_server',
    });
    exchange.close('mitm_http_completed');
  });
});

describe('a WebSocket', () => {
  test('has its head, its start, its chunks and its end, in this order, and nothing of bodies', () => {
    const { handler, lines } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const exchange = openExchange(engine, { isUpgrade: true, hasBody: false });
    const head = responseFacts(['Upgrade', 'websocket'], 101);
    exchange.responseHead(head);
    exchange.responseEnded();
    exchange.openWebSocket(head, plain);
    exchange.requestPiece(clientFrame({ payload: 'hello' }));
    exchange.responsePiece(frame({ payload: 'world' }));
    exchange.close('websocket_completed');
    exchange.close('websocket_error');
    expect(lines).toEqual([
      'response true 0',
      'start 101',
      '0 websocket_text hello',
      '1 websocket_text world',
      'end',
    ]);
    expect(recorder.kinds().filter((kind) => kind.includes('body_chunk'))).toEqual([]);
    expect(recorder.events().at(-2)).toMatchObject({ kind: 'websocket_closed', bytesFromClient: 11 });
    expect(recorder.events().at(-1)).toMatchObject({
      kind: 'stream_closed',
      reasonCode: 'websocket_completed',
      bytesFromClient: 11,
      bytesFromServer: 7,
      context: { protocol: 'websocket' },
    });
  });

  test.each([
    ['mitm_http_completed', 'websocket_completed', 'eof'],
    ['mitm_http_error', 'websocket_error', 'error'],
    ['websocket_error', 'websocket_error', 'error'],
    ['idle_watchdog_timeout', 'idle_watchdog_timeout', 'error'],
    ['shutdown', 'shutdown', 'error'],
  ] as const)('that ends as %s closes as %s', (given, reasonCode, closeReason) => {
    const { engine, recorder } = testEngine();
    const exchange = openExchange(engine, { isUpgrade: true, hasBody: false });
    const head = responseFacts(['Upgrade', 'websocket'], 101);
    exchange.responseHead(head);
    exchange.openWebSocket(head, plain);
    exchange.close(given, 'why');
    expect(recorder.events().slice(-2)).toMatchObject([
      { kind: 'websocket_closed', closeReason, reasonDetail: 'why' },
      { kind: 'stream_closed', reasonCode, reasonDetail: 'why' },
    ]);
  });

  test('is not told where the exchange passes unseen, or is over', () => {
    const { handler, lines } = diary();
    const { engine, recorder } = testEngine({}, { handler });
    const head = responseFacts(['Upgrade', 'websocket'], 101);
    const unseen = openExchange(engine, { isUnobserved: true });
    unseen.openWebSocket(head, plain);
    unseen.close('websocket_completed');
    const over = openExchange(engine);
    over.close('client_aborted');
    over.openWebSocket(head, plain);
    expect([lines, recorder.kinds()]).toEqual([
      ['end', 'end'],
      ['stream_closed', 'request_headers', 'stream_closed'],
    ]);
  });
});

test('a handler that is behind holds the exchange back, and is told when it has caught up', async () => {
  const gate = deferred();
  const { handler } = diary({ onStreamChunk: () => gate.promise });
  const flowRuntime = { dispatchQueueCapacity: 1, dispatchOverflow: 'backpressure' };
  const { engine } = testEngine({ flowRuntime }, { handler });
  const exchange = openExchange(engine);
  const relieved = vi.fn<() => void>();
  exchange.onRelieved(relieved);
  expect(exchange.isBehind).toBe(false);
  exchange.responseHead(responseFacts(sse));
  exchange.responsePiece(Buffer.from('data: a\n\ndata: b\n\n'));
  expect(exchange.isBehind).toBe(true);
  gate.resolve();
  await turn();
  expect([exchange.isBehind, relieved.mock.calls.length]).toEqual([false, 1]);
  exchange.close('mitm_http_completed');
  await exchange.flow.connection.settled();
});

test('while the connection has not been told, the exchange is held back and loses nothing', async () => {
  const told = deferred();
  const { handler, lines } = diary();
  const { engine } = testEngine({ flowRuntime: { dispatchQueueCapacity: 1 } }, { handler });
  const exchange = openExchange(engine);
  exchange.flow.connection.opened = told.promise;
  exchange.responseHead(responseFacts(sse));
  exchange.responsePiece(Buffer.from('data: a\n\ndata: b\n\ndata: c\n\n'));
  expect([exchange.isBehind, lines]).toEqual([true, []]);
  exchange.flow.connection.opened = undefined;
  told.resolve();
  await turn();
  expect(exchange.isBehind).toBe(false);
  exchange.close('mitm_http_completed');
  await exchange.flow.connection.settled();
  expect(lines.filter((line) => line.includes('sse_data'))).toHaveLength(3);
});

describe('a framer of the user', () => {
  test('decides how bodies of its media type are cut', () => {
    const { handler, lines } = diary();
    const { engine } = testEngine({}, { handler });
    engine.framers.register('application/x-lines', () => new NdjsonParser(100));
    answerWith(openExchange(engine), ['Content-Type', 'application/x-lines'], 'a\n');
    expect(lines).toEqual(['response true 0', '0 ndjson_line a', 'end']);
  });

  // `FramerRegistry.select` throws what the factory throws, and nobody catches it.
  test('whose factory throws breaks no traffic: the body is not cut', () => {
    const { handler, lines } = diary();
    const { engine } = testEngine({}, { handler });
    engine.framers.register('application/x-lines', () => {
      throw new Error('mine');
    });
    answerWith(openExchange(engine), ['Content-Type', 'application/x-lines'], 'a\n');
    expect(lines.at(-1)).toBe('end');
  });
});
