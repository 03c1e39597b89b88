// The hooks beside the decision: in which order they run, what they are told, and that their failures disturb nobody.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Flow } from '../src/flow.ts';
import { allow, type Awaitable, type InterceptHandler } from '../src/handler.ts';
import type { StreamChunk } from '../src/messages.ts';
import { deferred, rawRequest, thenable, turn } from './engine-fixture.ts';
import { type Asked, type Counter, raise, rawResponse, runnerOf } from './handler-fixture.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function streamChunk(flow: Flow): StreamChunk {
  const facts = { kind: 'ndjson_line', isPartial: false } as const;
  const ids = { connectionId: flow.connection.id, flowId: flow.id };
  const payload = Buffer.from('{}');
  return { ...ids, direction: 'server_to_client', sequence: 0, frameKind: facts.kind, payload, facts };
}

describe('onConnectionOpen', () => {
  test('delays every later hook of its connection, in the order they came', async () => {
    const opened = deferred();
    const order: string[] = [];
    const note =
      <T>(name: string, value: T) =>
      (): T => {
        order.push(name);
        return value;
      };
    const { runner, flow } = runnerOf({
      onConnectionOpen: () => opened.promise.then(note('open', undefined)),
      shouldInterceptTls: note('tls', true),
      onTlsFailure: note('failure', undefined),
      onRequest: note('request', allow),
      onResponse: note('response', undefined),
      onStreamEnd: note('end', undefined),
      onConnectionClose: note('close', undefined),
    });
    const { connection, config } = flow;
    runner.connectionOpened(connection, config);
    runner.tlsFailed(flow, 'a.test', 'why');
    const calls = [
      runner.shouldInterceptTls(flow, 'a.test'),
      runner.decide(flow, rawRequest(flow)),
      runner.observeRequest(flow, rawRequest(flow)),
      runner.observeResponse(flow, rawResponse(flow)),
      runner.streamEnded(flow),
      runner.connectionClosed(connection, config),
    ];
    await turn();
    expect(order).toEqual([]);
    opened.resolve();
    for (const call of calls) await call;
    await connection.settled();
    expect(order).toEqual(['open', 'failure', 'tls', 'request', 'request', 'response', 'end', 'close']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('gives nobody anything to wait for when it returns without a promise, or is not there', () => {
    for (const handler of [
      {},
      { onConnectionOpen: () => {} },
      { onConnectionOpen: () => raise(new Error('x')) },
    ]) {
      const { runner, flow } = runnerOf({ ...handler, onRequest: () => allow });
      runner.connectionOpened(flow.connection, flow.config);
      expect(flow.connection.opened).toBeUndefined();
      expect(runner.decide(flow, rawRequest(flow))).toBe(allow);
    }
  });

  test('a path without hooks does not wait for it', () => {
    const { runner, flow } = runnerOf({ onConnectionOpen: () => new Promise(() => {}) });
    runner.connectionOpened(flow.connection, flow.config);
    runner.tlsFailed(flow, 'a.test', 'why');
    expect(runner.streamEnded(flow)).toBeUndefined();
    expect(runner.connectionClosed(flow.connection, flow.config)).toBeUndefined();
  });

  test('one that never ends or fails holds the others up to its deadline only', async () => {
    const asked = runnerOf({ onConnectionOpen: () => new Promise(() => {}), onRequest: () => allow });
    asked.runner.connectionOpened(asked.flow.connection, asked.flow.config);
    const decided = asked.runner.decide(asked.flow, rawRequest(asked.flow));
    await vi.advanceTimersByTimeAsync(20);
    await expect(decided).resolves.toBe(allow);
    expect(asked.metrics.snapshot()).toMatchObject({ handlerTimeoutCount: 1, handlerFailOpenCount: 0 });
  });

  test('gets the facts of the connection', () => {
    const seen: unknown[] = [];
    const { runner, flow } = runnerOf({ onConnectionOpen: (meta) => void seen.push(meta) });
    runner.connectionOpened(flow.connection, flow.config);
    expect(seen).toEqual([flow.connection.meta]);
  });
});

/** What a handler without types may answer where a word is expected. */
function nothing(): boolean {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it lies about its type on purpose
  return undefined as unknown as boolean;
}

describe('shouldInterceptTls', () => {
  test.each<[string, InterceptHandler, string]>([
    ['no hook', {}, 'intercept'],
    ['true', { shouldInterceptTls: () => true }, 'intercept'],
    ['false', { shouldInterceptTls: () => false }, 'decline'],
    ['a promise of false', { shouldInterceptTls: () => Promise.resolve(false) }, 'decline'],
    ['nothing', { shouldInterceptTls: () => nothing() }, 'intercept'],
  ])('%s', async (_what, handler, answer) => {
    const { runner, flow } = runnerOf(handler);
    await expect(runner.shouldInterceptTls(flow, 'a.test')).resolves.toBe(answer);
  });

  test('gets the host and the process', async () => {
    const seen: unknown[] = [];
    const { runner, flow } = runnerOf({
      shouldInterceptTls: (...facts) => {
        seen.push(...facts);
        return true;
      },
    });
    flow.connection.processInfo = { pid: 7 };
    await runner.shouldInterceptTls(flow, 'a.test');
    expect(seen).toEqual(['a.test', { pid: 7 }]);
  });

  describe.each<[string, () => Awaitable<boolean>, Counter]>([
    ['throws', () => raise(new Error('boom')), 'handlerPanicCount'],
    ['rejects', () => Promise.reject(new Error('boom')), 'handlerPanicCount'],
    ['takes too long', () => new Promise(() => {}), 'handlerTimeoutCount'],
  ])('that %s', (_what, shouldInterceptTls, counter) => {
    test.each([
      ['open', 'decline', 1],
      ['closed', 'fail_closed', 0],
    ])('with failureMode "%s": %s', async (failureMode, answer, failOpenCount) => {
      const { runner, flow, metrics } = runnerOf({ shouldInterceptTls }, { failureMode });
      const asked = runner.shouldInterceptTls(flow, 'a.test');
      await vi.advanceTimersByTimeAsync(10);
      await expect(asked).resolves.toBe(answer);
      expect(metrics.snapshot()).toMatchObject({ [counter]: 1, handlerFailOpenCount: failOpenCount });
    });

    test('ends its flow without recoverFromPanics', async () => {
      const { runner, flow, metrics } = runnerOf({ shouldInterceptTls }, { recoverFromPanics: false });
      const refused = runner.shouldInterceptTls(flow, 'a.test').catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(10);
      expect(await refused).toMatchObject({
        reason: 'handler_error',
        detail: expect.stringMatching(/^shouldInterceptTls: /u) as unknown,
      });
      expect(metrics.snapshot()).toMatchObject({ [counter]: 1, handlerFailOpenCount: 0 });
    });
  });
});

/** How each observing hook is called, and in which time it must be done. */
const observers: readonly (readonly [keyof InterceptHandler, number, (asked: Asked) => Awaitable<void>])[] = [
  ['onRequest', 10, ({ runner, flow }) => runner.observeRequest(flow, rawRequest(flow))],
  ['onResponse', 20, ({ runner, flow }) => runner.observeResponse(flow, rawResponse(flow))],
  ['onWebSocketStart', 20, ({ runner, flow }) => runner.observeWebSocketStart(flow, rawResponse(flow))],
  ['onStreamChunk', 20, ({ runner, flow }) => runner.observeChunk(flow, streamChunk(flow))],
  ['onStreamEnd', 20, ({ runner, flow }) => runner.streamEnded(flow)],
  ['onConnectionClose', 20, ({ runner, flow }) => runner.connectionClosed(flow.connection, flow.config)],
  [
    'onConnectionOpen',
    20,
    ({ runner, flow }) => told(flow, () => runner.connectionOpened(flow.connection, flow.config)),
  ],
  ['onTlsFailure', 10, ({ runner, flow }) => told(flow, () => runner.tlsFailed(flow, 'a.test', 'why'))],
];

function told({ connection }: Flow, tell: () => void): Awaitable<void> {
  tell();
  const isWaiting = connection.opened !== undefined;
  return isWaiting ? connection.opened : connection.settled();
}

describe.each(observers)('%s as an observer', (hook, timeoutMs, call) => {
  const settings = { recoverFromPanics: false, failureMode: 'closed' };

  test.each<[string, () => unknown]>([
    ['throws', () => raise(new Error('boom'))],
    ['throws what is no error', () => raise(Symbol('boom'))],
    ['rejects', () => Promise.reject(new Error('boom'))],
    ['answers with a thenable that throws', () => thenable(() => raise(new Error('boom')))],
  ])('that %s is counted and disturbs nobody', async (_what, answer) => {
    const asked = runnerOf({ [hook]: answer }, settings);
    await call(asked);
    expect(asked.metrics.snapshot()).toMatchObject({ handlerPanicCount: 1, handlerFailOpenCount: 0 });
    expect(asked.logs).toEqual([expect.objectContaining({ hook, msg: 'handler failed' })]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test(`AP-07 AP-09 is given ${timeoutMs} ms, its own deadline`, async () => {
    const asked = runnerOf({ [hook]: () => new Promise(() => {}) }, settings);
    const done = call(asked);
    await vi.advanceTimersByTimeAsync(timeoutMs - 1);
    expect(asked.metrics.snapshot().handlerTimeoutCount).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    await done;
    expect(asked.metrics.snapshot().handlerTimeoutCount).toBe(1);
    expect(asked.logs).toEqual([expect.objectContaining({ hook, timeoutMs })]);
  });

  test('that returns at once starts no timer', () => {
    const asked = runnerOf({ [hook]: () => {} });
    void call(asked);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('onConnectionClose can wait for an onTlsFailure that still runs', async () => {
  const failure = deferred();
  const { runner, flow } = runnerOf({ onTlsFailure: () => failure.promise });
  runner.tlsFailed(flow, 'a.test', 'why');
  let isSettled = false;
  const settled = flow.connection.settled().then(() => {
    isSettled = true;
  });
  await turn();
  expect(isSettled).toBe(false);
  failure.resolve();
  await settled;
});

test('the ends of flow and connection are told by their ids', () => {
  const seen: unknown[] = [];
  const { runner, flow } = runnerOf({
    onStreamEnd: (...ids) => void seen.push(ids),
    onConnectionClose: (...ids) => void seen.push(ids),
  });
  void runner.streamEnded(flow);
  void runner.connectionClosed(flow.connection, flow.config);
  expect(seen).toEqual([[flow.connection.id, flow.id], [flow.connection.id]]);
});
