// One exchange in the engine: what is reported of it, and that it is closed once, whatever happens.
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import type { Exchange } from '../src/exchange.ts';
import { allow } from '../src/handler.ts';
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
import { answer, body, json, settled, watcher } from './exchange-fixture.ts';

afterEach(() => {
  vi.useRealTimers();
});

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
