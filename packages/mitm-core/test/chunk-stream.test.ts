// Chunks are numbered as they were seen and delivered in that order; a handler that is too slow loses some, or holds the traffic back.
import { gzipSync } from 'node:zlib';

import { NdjsonParser, SseParser, type WebSocketAgreement } from 'mitm-http';
import type { Metrics } from 'mitm-observe';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { clientFrame, frame } from '../../../testing/lab/websocket-wire.ts';
import { ChunkStream } from '../src/chunk-stream.ts';
import { FlowQueue } from '../src/flow-queue.ts';
import type { InterceptHandler } from '../src/handler.ts';
import type { StreamChunk } from '../src/messages.ts';
import { deferred, inFlightLimit, openExchangeFlow, testEngine, turn } from './engine-fixture.ts';

const plain: WebSocketAgreement = {
  protocol: undefined,
  extensions: [],
  deflate: undefined,
  hasUnknownExtension: false,
};

function setUp(handler: InterceptHandler, fields: object = {}, isUnheard = false) {
  const fixture = testEngine(fields, { handler, isUnheard });
  const flow = openExchangeFlow(fixture.engine);
  const queue = new FlowQueue(flow.config.flowRuntime.dispatchQueueCapacity);
  const relieved = vi.fn<() => void>();
  const stream = new ChunkStream(flow, () => queue, relieved);
  const watchLines = (contentEncoding = ''): void =>
    stream.watch({ direction: 'server_to_client', parser: new NdjsonParser(1_000), contentEncoding });
  const say = (text: string): void => stream.push('server_to_client', Buffer.from(text));
  return { ...fixture, flow, queue, relieved, stream, watchLines, say };
}

/** A handler that waits for the test at each chunk. */
function slowHandler() {
  const seen: StreamChunk[] = [];
  const gates: (() => void)[] = [];
  const handler: InterceptHandler = {
    onStreamChunk: async (chunk) => {
      seen.push(chunk);
      const gate = deferred();
      gates.push(() => gate.resolve());
      await gate.promise;
    },
  };
  const next = async (): Promise<void> => {
    gates.shift()?.();
    await turn();
  };
  return { handler, seen, next, words: () => seen.map(textOf), numbers: () => seen.map((c) => c.sequence) };
}

function textOf(chunk: StreamChunk): string {
  return Buffer.from(chunk.payload).toString();
}

afterEach(() => {
  vi.useRealTimers();
});

describe('chunks', () => {
  test('carry both ids, their direction and what is known of them, and are copies', () => {
    const seen: StreamChunk[] = [];
    const { stream, flow, watchLines } = setUp({ onStreamChunk: (chunk) => void seen.push(chunk) });
    watchLines();
    const bytes = Buffer.from('one\n');
    stream.push('server_to_client', bytes);
    bytes.fill(0);
    expect(seen).toEqual([
      {
        connectionId: flow.connection.id,
        flowId: flow.id,
        direction: 'server_to_client',
        sequence: 0,
        frameKind: 'ndjson_line',
        payload: Buffer.from('one'),
        facts: { kind: 'ndjson_line', isPartial: false },
      },
    ]);
  });

  test('of both directions are counted together, from 0', () => {
    const seen: string[] = [];
    const { stream, watchLines, say } = setUp({
      onStreamChunk: (chunk) => void seen.push(`${chunk.sequence} ${chunk.direction} ${textOf(chunk)}`),
    });
    watchLines();
    stream.watch({ direction: 'client_to_server', parser: new NdjsonParser(1_000), contentEncoding: '' });
    say('a\n');
    stream.push('client_to_server', Buffer.from('b\nc'));
    say('d\n');
    stream.end('client_to_server');
    expect(seen).toEqual([
      '0 server_to_client a',
      '1 client_to_server b',
      '2 server_to_client d',
      '3 client_to_server c',
    ]);
    expect(stream.ending).toBeUndefined();
  });

  test('of a body that nobody watches are none', () => {
    const onStreamChunk = vi.fn<NonNullable<InterceptHandler['onStreamChunk']>>();
    const { stream } = setUp({ onStreamChunk });
    stream.push('client_to_server', Buffer.from('a\n'));
    stream.end('client_to_server');
    stream.cancel();
    expect(onStreamChunk).not.toHaveBeenCalled();
    expect([stream.isWebSocket, stream.isBehind]).toEqual([false, false]);
  });

  test('of compressed bodies are all in the queue when ending resolves, those of both directions', async () => {
    const seen: string[] = [];
    const { stream, watchLines } = setUp({ onStreamChunk: (chunk) => void seen.push(textOf(chunk)) });
    watchLines('gzip');
    stream.watch({ direction: 'client_to_server', parser: new NdjsonParser(1_000), contentEncoding: 'gzip' });
    stream.push('client_to_server', gzipSync('up'));
    stream.end('client_to_server');
    stream.push('server_to_client', gzipSync('down'));
    stream.end('server_to_client');
    await stream.ending;
    expect(seen.toSorted()).toEqual(['down', 'up']);
  });
});

describe('sse_event', () => {
  const sse = 'event: greeting\nid: 7\nretry: 50\ndata: hello\ndata: world\n\ndata: ü\n\n';
  test.each([
    ['with a handler', { onStreamChunk: () => {} }],
    ['without one', {}],
  ])('tells what an event says, numbered from 1, %s', (_how, handler) => {
    const { stream, recorder } = setUp(handler);
    stream.watch({ direction: 'server_to_client', parser: new SseParser(1_000), contentEncoding: '' });
    stream.push('server_to_client', Buffer.from(sse));
    const [first, second] = recorder.events().filter(({ kind }) => kind === 'sse_event');
    expect(first).toMatchObject({
      sequenceNo: 1,
      dataLineCount: 2,
      dataLen: 11,
      data: 'hello\nworld',
      event: 'greeting',
      id: '7',
      retryMs: 50,
    });
    expect(second).toMatchObject({ sequenceNo: 2, dataLineCount: 1, dataLen: 2, data: 'ü' });
  });

  test('is not made where nobody listens; chunks are', () => {
    const seen: string[] = [];
    const { stream, metrics } = setUp({ onStreamChunk: (chunk) => void seen.push(textOf(chunk)) }, {}, true);
    stream.watch({ direction: 'server_to_client', parser: new SseParser(1_000), contentEncoding: '' });
    stream.push('server_to_client', Buffer.from(sse));
    expect(seen).toEqual(['hello\nworld', 'ü']);
    expect(droppedCount(metrics)).toBe(0);
  });
});

describe('a handler that is too slow, with dispatchOverflow drop', () => {
  test('loses the newest chunks, which are counted and leave a gap; the traffic never waits', async () => {
    const { handler, next, words, numbers } = slowHandler();
    const { say, watchLines, stream, metrics, engine } = setUp(handler, {
      flowRuntime: { dispatchQueueCapacity: 2 },
    });
    watchLines();
    say('a\nb\nc\nd\ne\n');
    expect(stream.isBehind).toBe(false);
    expect(droppedCount(metrics)).toBe(2);
    await next();
    await next();
    say('f\n');
    await next();
    await next();
    expect([words(), numbers()]).toEqual([
      ['a', 'b', 'c', 'f'],
      [0, 1, 2, 5],
    ]);
    await next();
    expect(engine.budget.held).toBe(0);
  });
});

describe('a handler that is too slow, with dispatchOverflow backpressure', () => {
  const fields = {
    flowRuntime: {
      dispatchQueueCapacity: 2,
      dispatchOverflow: 'backpressure',
      dispatchQueueSendTimeoutMs: 400,
    },
  };

  test('loses nothing of what had been read, and holds the traffic back until half of its queue is free', async () => {
    const { handler, next, words } = slowHandler();
    const { say, watchLines, stream, relieved, metrics } = setUp(handler, fields);
    watchLines();
    say('a\nb\n');
    expect(stream.isBehind).toBe(false);
    say('c\nd\ne\n');
    expect(stream.isBehind).toBe(true);
    for (const _ of ['a', 'b']) {
      await next();
      expect(relieved).not.toHaveBeenCalled();
    }
    await next();
    expect([stream.isBehind, relieved.mock.calls.length]).toEqual([false, 1]);
    await next();
    await next();
    expect(words()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(droppedCount(metrics)).toBe(0);
  });

  test('drops after dispatchQueueSendTimeoutMs, until there is room again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { handler, next, words, numbers } = slowHandler();
    const { say, watchLines, stream, relieved, metrics } = setUp(handler, fields);
    watchLines();
    say('a\nb\nc\n');
    expect(stream.isBehind).toBe(true);
    vi.advanceTimersByTime(400);
    expect([stream.isBehind, relieved.mock.calls.length]).toEqual([false, 1]);
    say('d\n');
    expect([stream.isBehind, droppedCount(metrics)]).toEqual([false, 1]);
    await next();
    await next();
    say('e\nf\ng\n');
    expect(stream.isBehind).toBe(true);
    for (const _ of 'cefg') await next();
    expect([words(), numbers()]).toEqual([
      ['a', 'b', 'c', 'e', 'f', 'g'],
      [0, 1, 2, 4, 5, 6],
    ]);
  });

  test('holds back no more, and leaves no timer, when the exchange is over', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { handler } = slowHandler();
    const { say, watchLines, stream, relieved } = setUp(handler, fields);
    watchLines();
    say('a\nb\nc\n');
    // The call of the handler has a deadline of its own.
    const calls = vi.getTimerCount();
    stream.cancel();
    expect(vi.getTimerCount()).toBe(calls - 1);
    vi.advanceTimersByTime(400);
    expect(relieved).not.toHaveBeenCalled();
  });
});

describe('bytes in flight', () => {
  test('are held from the queue to the call, and a chunk for which there is no room is dropped and counted', async () => {
    const { handler, next, words } = slowHandler();
    const { say, watchLines, engine, metrics } = setUp(handler, inFlightLimit(10));
    watchLines();
    say('running\n1234567890\nno room\n');
    expect([engine.budget.held, droppedCount(metrics)]).toEqual([10, 1]);
    await next();
    expect([engine.budget.held, words()]).toEqual([0, ['running', '1234567890']]);
    await next();
  });

  test('with dispatchOverflow backpressure a chunk for which there is no room waits, and so does the traffic', async () => {
    const { handler, next, words } = slowHandler();
    const { say, watchLines, engine, metrics, stream, relieved } = setUp(handler, {
      ...inFlightLimit(10),
      flowRuntime: { dispatchOverflow: 'backpressure' },
    });
    watchLines();
    say('running\n1234567890\n');
    expect(stream.isBehind).toBe(false);
    say('no room\n');
    expect([stream.isBehind, engine.budget.held]).toEqual([true, 17]);
    await next();
    expect([stream.isBehind, relieved.mock.calls.length, engine.budget.held]).toEqual([false, 1, 7]);
    await next();
    await next();
    expect(words()).toEqual(['running', '1234567890', 'no room']);
    expect([engine.budget.held, droppedCount(metrics)]).toEqual([0, 0]);
  });

  test('with dispatchOverflow backpressure chunks are dropped once the traffic has waited long enough', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { handler } = slowHandler();
    const { say, watchLines, engine, metrics, stream } = setUp(handler, {
      ...inFlightLimit(10),
      flowRuntime: { dispatchOverflow: 'backpressure', dispatchQueueSendTimeoutMs: 400 },
    });
    // Somebody else has it all, and keeps it.
    engine.budget.take(10);
    watchLines();
    say('running\nwaits\n');
    expect(stream.isBehind).toBe(true);
    vi.advanceTimersByTime(400);
    say('dropped\n');
    expect([stream.isBehind, droppedCount(metrics)]).toEqual([false, 1]);
    engine.budget.release(10);
    say('taken\n');
    expect(droppedCount(metrics)).toBe(1);
  });

  test('of calls that will never be made are given back', () => {
    const { handler } = slowHandler();
    const { say, watchLines, engine, queue } = setUp(handler);
    watchLines();
    say('running\n12345\n67890\n');
    expect(engine.budget.held).toBe(10);
    expect(queue.abandon()).toBe(2);
    expect(engine.budget.held).toBe(0);
  });

  test('are not held by a queue that is closed', () => {
    const { handler } = slowHandler();
    const { say, watchLines, engine, queue, metrics } = setUp(handler);
    queue.abandon();
    watchLines();
    say('late\n');
    expect([engine.budget.held, droppedCount(metrics)]).toEqual([0, 1]);
  });
});

describe('a WebSocket', () => {
  test('takes the place of the bodies: its messages of both directions are the chunks', () => {
    const seen: string[] = [];
    const { stream, recorder } = setUp({
      onStreamChunk: (chunk) => void seen.push(`${chunk.sequence} ${chunk.frameKind} ${textOf(chunk)}`),
    });
    stream.openWebSocket(plain);
    expect(stream.isWebSocket).toBe(true);
    stream.push('client_to_server', clientFrame({ payload: 'hello' }));
    stream.push('server_to_client', frame({ payload: 'world', opcode: 2 }));
    expect(seen).toEqual(['0 websocket_text hello', '1 websocket_binary world']);
    stream.closeWebSocket(false, undefined);
    expect(stream.isWebSocket).toBe(false);
    expect(recorder.events().at(-1)).toMatchObject({ kind: 'websocket_closed', closeReason: 'eof' });
  });

  test('without a handler for chunks is told in events all the same', () => {
    const { stream, recorder } = setUp({});
    stream.openWebSocket(plain);
    stream.push('client_to_server', clientFrame({ payload: 'hello' }));
    stream.closeWebSocket(true, 'why');
    const kinds = recorder.events().map(({ kind }) => kind);
    expect(kinds).toEqual([
      'websocket_opened',
      'websocket_frame',
      'websocket_turn_started',
      'websocket_turn_completed',
      'websocket_closed',
    ]);
    expect(recorder.events().at(-1)).toMatchObject({ closeReason: 'error', reasonDetail: 'why' });
    stream.closeWebSocket(true, 'again');
    expect(recorder.events()).toHaveLength(kinds.length);
  });
});

function droppedCount(metrics: Metrics): number {
  return metrics.snapshot().droppedDispatchWorkCount;
}
