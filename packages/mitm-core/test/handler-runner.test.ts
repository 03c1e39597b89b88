import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { parseConfig } from '../src/config/index.ts';
import { Failure } from '../src/failure.ts';
import { isPromise } from '../src/flow-queue.ts';
import type { Flow } from '../src/flow.ts';
import {
  allow,
  type Awaitable,
  block,
  type HandlerContext,
  type HandlerDecision,
  type InterceptHandler,
} from '../src/handler.ts';
import type { RawResponse, StreamChunk } from '../src/messages.ts';
import {
  deferred,
  openExchangeFlow,
  rawRequest,
  thenable,
  type TestEngine,
  testEngine,
  turn,
} from './engine-fixture.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Asked extends TestEngine {
  readonly flow: Flow;
  readonly runner: TestEngine['engine']['handler'];
}

function runnerOf(handler: InterceptHandler, settings: object = {}): Asked {
  const parts = testEngine(
    { handler: { requestTimeoutMs: 10, responseTimeoutMs: 20, ...settings } },
    { handler },
  );
  return { ...parts, flow: openExchangeFlow(parts.engine), runner: parts.engine.handler };
}

/** A handler without types: it may answer anything. */
function answering(answer: (context: HandlerContext) => unknown): InterceptHandler {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what such a handler answers is what is tested
  return { onRequest: (_request, context) => answer(context) as Awaitable<HandlerDecision> };
}

function failed(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

/** Lets a decision become what it becomes, however long its handler may take. */
async function outcome(asked: Asked): Promise<HandlerDecision | Failure> {
  try {
    const decision = asked.runner.decide(asked.flow, rawRequest(asked.flow));
    if (!isPromise(decision)) return decision;
    const settled = decision.catch(failed);
    await turn();
    await vi.advanceTimersByTimeAsync(10);
    return await settled;
  } catch (error) {
    return failed(error);
  }
}

function rawResponse(flow: Flow): RawResponse {
  const { headers, connectionMeta } = rawRequest(flow);
  const body = Buffer.alloc(0);
  const facts = { status: 200, bodyTruncated: false, encodingError: false, streaming: false };
  return { ...facts, headers, body, flowId: flow.id, connectionMeta };
}

function streamChunk(flow: Flow): StreamChunk {
  const facts = { kind: 'ndjson_line', isPartial: false } as const;
  const ids = { connectionId: flow.connection.id, flowId: flow.id };
  const payload = Buffer.from('{}');
  return { ...ids, direction: 'server_to_client', sequence: 0, frameKind: facts.kind, payload, facts };
}

describe('a decision that is one', () => {
  const refusal = block(403, 'no', { headers: ['X-Rule', '7'] });

  test.each<[string, () => Awaitable<HandlerDecision>, HandlerDecision]>([
    ['allow', () => allow, allow],
    ['block', () => refusal, refusal],
  ])('%s is taken at once, without a promise or a timer', (_what, onRequest, decision) => {
    const { runner, flow, metrics } = runnerOf({ onRequest });
    expect(runner.decide(flow, rawRequest(flow))).toBe(decision);
    expect(vi.getTimerCount()).toBe(0);
    expect(metrics.snapshot()).toMatchObject({ handlerPanicCount: 0, handlerTimeoutCount: 0 });
  });

  test('a promised one is taken when it comes, and its timer is cleared', async () => {
    const answer = deferred<HandlerDecision>();
    const { runner, flow } = runnerOf({ onRequest: () => answer.promise });
    const decided = runner.decide(flow, rawRequest(flow));
    expect([isPromise(decided), vi.getTimerCount()]).toEqual([true, 1]);
    answer.resolve(refusal);
    await expect(decided).resolves.toBe(refusal);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('any thenable will do', async () => {
    const handler = answering(() => thenable((resolve: (value: unknown) => void) => resolve(refusal)));
    expect(await outcome(runnerOf(handler))).toBe(refusal);
  });

  test('the handler is called as a method, with the request', () => {
    const seen: unknown[] = [];
    const handler: InterceptHandler = {
      onRequest(request) {
        seen.push(this, request);
        return allow;
      },
    };
    const { runner, flow } = runnerOf(handler);
    const request = rawRequest(flow);
    void runner.decide(flow, request);
    expect(seen).toEqual([handler, request]);
  });
});

type Counter = 'handlerPanicCount' | 'handlerTimeoutCount';

/** Every way of not answering, which counter it moves, and what is told of it. */
const failures: readonly (readonly [string, () => unknown, Counter, RegExp])[] = [
  ['throws', () => raise(new Error('boom')), 'handlerPanicCount', /^onRequest: boom$/u],
  ['throws what is no error', () => raise('boom'), 'handlerPanicCount', /^onRequest: boom$/u],
  ['throws an object without text', () => raise(Object.create(null)), 'handlerPanicCount', /null prototype/u],
  ['rejects', () => Promise.reject(new Error('boom')), 'handlerPanicCount', /^onRequest: boom$/u],
  [
    'rejects with nothing',
    () => deferredRejection(undefined),
    'handlerPanicCount',
    /^onRequest: undefined$/u,
  ],
  [
    'answers with a thenable that throws',
    () => thenable(() => raise(new Error('boom'))),
    'handlerPanicCount',
    /boom/u,
  ],
  ['answers with an object whose then throws', () => hostileThen(), 'handlerPanicCount', /boom/u],
  ['answers nothing', () => undefined, 'handlerPanicCount', /invalid decision/u],
  ['answers nothing later', () => Promise.resolve(null), 'handlerPanicCount', /invalid decision/u],
  ['answers with text', () => 'allow', 'handlerPanicCount', /invalid decision/u],
  ['answers with an unknown verb', () => ({ action: 'rewrite' }), 'handlerPanicCount', /invalid decision/u],
  [
    'answers with a bare object',
    () => Object.create(null) as unknown,
    'handlerPanicCount',
    /invalid decision/u,
  ],
  ['blocks with status 99', () => ({ ...block(403), status: 99 }), 'handlerPanicCount', /invalid decision/u],
  [
    'blocks without a body',
    () => ({ action: 'block', status: 403 }),
    'handlerPanicCount',
    /invalid decision/u,
  ],
  [
    'blocks with text for bytes',
    () => ({ ...block(403), body: 'no' }),
    'handlerPanicCount',
    /invalid decision/u,
  ],
  [
    'blocks with an object of fields',
    () => ({ ...block(403), headers: { a: 'b' } }),
    'handlerPanicCount',
    /invalid/u,
  ],
  [
    'blocks with a field without value',
    () => block(403, '', { headers: ['X'] }),
    'handlerPanicCount',
    /invalid/u,
  ],
  [
    'blocks with a framing field',
    () => block(403, '', { headers: ['Connection', 'x'] }),
    'handlerPanicCount',
    /inv/u,
  ],
  [
    'blocks with a line end',
    () => block(403, '', { headers: ['X', 'a\r\nB: c'] }),
    'handlerPanicCount',
    /invalid/u,
  ],
  [
    'never answers',
    () => new Promise(() => {}),
    'handlerTimeoutCount',
    /^onRequest: no answer within 10 ms$/u,
  ],
];

function raise(what: unknown): never {
  // oxlint-disable-next-line typescript/only-throw-error -- handlers throw anything
  throw what;
}

function deferredRejection(what: unknown): Promise<never> {
  const never = deferred<never>();
  never.reject(what);
  return never.promise;
}

function hostileThen(): object {
  return new Proxy(thenable(undefined), { get: () => raise(new Error('boom')) });
}

describe('a handler that', () => {
  describe.each(failures)('%s', (_what, answer, counter, detail) => {
    test('AP-03 AP-04 lets the request pass by default, and is counted', async () => {
      const asked = runnerOf(answering(answer));
      expect(await outcome(asked)).toBe(allow);
      expect(asked.metrics.snapshot()).toMatchObject({
        handlerPanicCount: 0,
        handlerTimeoutCount: 0,
        [counter]: 1,
        handlerFailOpenCount: 1,
      });
      expect(asked.logs).toEqual([expect.objectContaining({ level: 40 })]);
      expect(vi.getTimerCount()).toBe(0);
    });

    test('is answered 503 with failureMode "closed"', async () => {
      const asked = runnerOf(answering(answer), { failureMode: 'closed' });
      expect(await outcome(asked)).toMatchObject({
        action: 'block',
        status: 503,
        reasonCode: 'handler_failed_closed',
      });
      expect(asked.metrics.snapshot()).toMatchObject({ [counter]: 1, handlerFailOpenCount: 0 });
    });

    test.each(['open', 'closed'])(
      'AP-05 ends its flow without recoverFromPanics, whatever failureMode "%s" says',
      async (failureMode) => {
        const asked = runnerOf(answering(answer), { failureMode, recoverFromPanics: false });
        const failure = await outcome(asked);
        expect(failure).toBeInstanceOf(Failure);
        expect(failure).toMatchObject({ reason: 'handler_error', side: 'internal', reply: undefined });
        expect(failure).toHaveProperty('detail', expect.stringMatching(detail));
        expect(asked.metrics.snapshot()).toMatchObject({ [counter]: 1, handlerFailOpenCount: 0 });
      },
    );
  });
});

describe('what is logged of an invalid decision', () => {
  test.each<[unknown, string]>([
    [undefined, 'received undefined'],
    [{ verdict: 'allow' }, "received { verdict: 'allow' }"],
    [{ action: 'rewrite' }, "unknown action 'rewrite'"],
    [{ action: 'block', status: 99 }, 'block needs a status from 200 to 599'],
    [{ action: 'block', status: 403, body: 'no' }, 'block needs a body of bytes'],
    [{ ...block(403), headers: { a: 'b' } }, 'block needs headers as a flat list of names and values'],
  ])('%o', (answer, fault) => {
    const { runner, flow, logs } = runnerOf(answering(() => answer));
    void runner.decide(flow, rawRequest(flow));
    expect(logs).toEqual([expect.objectContaining({ fault, flowId: flow.id })]);
  });
});

describe('the deadline', () => {
  test('an answer after it is ignored', async () => {
    const answer = deferred<HandlerDecision>();
    const asked = runnerOf({ onRequest: () => answer.promise });
    expect(await outcome(asked)).toBe(allow);
    answer.resolve(block(403));
    await turn();
    expect(asked.metrics.snapshot()).toMatchObject({ handlerTimeoutCount: 1, handlerPanicCount: 0 });
  });

  test('a rejection after it is counted, and is nobody’s unhandled one', async () => {
    const answer = deferred<HandlerDecision>();
    const asked = runnerOf({ onRequest: () => answer.promise });
    expect(await outcome(asked)).toBe(allow);
    answer.reject(new Error('late'));
    await turn();
    expect(asked.metrics.snapshot()).toMatchObject({ handlerTimeoutCount: 1, handlerPanicCount: 1 });
  });

  test('AP-03 aborts the signal of the call', async () => {
    let signal: AbortSignal | undefined;
    const asked = runnerOf(
      answering((context) => {
        ({ signal } = context);
        return new Promise(() => {});
      }),
    );
    const decided = outcome(asked);
    await vi.advanceTimersByTimeAsync(9);
    expect(signal?.aborted).toBe(false);
    await decided;
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toMatchObject({ name: 'TimeoutError' });
  });

  test('runs from the call, not from the wait for onConnectionOpen', async () => {
    const opened = deferred();
    const asked = runnerOf({
      onConnectionOpen: () => opened.promise,
      onRequest: () => new Promise(() => {}),
    });
    asked.runner.connectionOpened(asked.flow.connection, asked.flow.config);
    let isDecided = false;
    const decided = Promise.resolve(asked.runner.decide(asked.flow, rawRequest(asked.flow))).then(() => {
      isDecided = true;
    });
    await vi.advanceTimersByTimeAsync(15);
    opened.resolve();
    await vi.advanceTimersByTimeAsync(9);
    expect(isDecided).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await decided;
    expect(isDecided).toBe(true);
  });
});

/** Signals made while `call` runs. */
function controllersMadeBy(call: () => void): number {
  let madeCount = 0;
  const Original = AbortController;
  class Counted extends Original {
    constructor() {
      super();
      madeCount += 1;
    }
  }
  vi.stubGlobal('AbortController', Counted);
  call();
  vi.unstubAllGlobals();
  return madeCount;
}

describe('the signal', () => {
  test('is made only when it is read, and once', () => {
    const unread = runnerOf({ onRequest: () => allow, onResponse: () => {} });
    expect(
      controllersMadeBy(() => {
        void unread.runner.decide(unread.flow, rawRequest(unread.flow));
        void unread.runner.observeResponse(unread.flow, rawResponse(unread.flow));
      }),
    ).toBe(0);
    const read = runnerOf({ onResponse: (_response, context) => void [context.signal, context.signal] });
    expect(controllersMadeBy(() => void read.runner.observeResponse(read.flow, rawResponse(read.flow)))).toBe(
      1,
    );
  });

  test('of a decision aborts when its flow ends', async () => {
    const answer = deferred<HandlerDecision>();
    let signal: AbortSignal | undefined;
    const { runner, flow } = runnerOf(
      answering((context) => {
        ({ signal } = context);
        return answer.promise;
      }),
    );
    const decided = runner.decide(flow, rawRequest(flow));
    expect(signal?.aborted).toBe(false);
    flow.close('client_aborted');
    expect(signal?.aborted).toBe(true);
    answer.resolve(allow);
    await decided;
  });

  test('read only after its flow ended, it has aborted', () => {
    let isAborted: boolean | undefined;
    const { runner, flow } = runnerOf(
      answering((context) => {
        flow.close('client_aborted');
        isAborted = context.signal.aborted;
        return allow;
      }),
    );
    void runner.decide(flow, rawRequest(flow));
    expect(isAborted).toBe(true);
  });

  test('of a call about what has passed does not: it may run after its flow has ended', async () => {
    let signal: AbortSignal | undefined;
    const done = deferred();
    const { runner, flow } = runnerOf({
      onResponse: (_response, context) => {
        ({ signal } = context);
        return done.promise;
      },
    });
    const shown = runner.observeResponse(flow, rawResponse(flow));
    flow.close('mitm_http_completed');
    expect(signal?.aborted).toBe(false);
    done.resolve();
    await shown;
  });
});

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

test('deadlines are those of the flow, not of a later configuration', async () => {
  const { engine, runner, flow, metrics } = runnerOf({ onRequest: () => new Promise(() => {}) });
  engine.reload(parseConfig({ ...engine.config, handler: { requestTimeoutMs: 1_000 } }));
  const decided = runner.decide(flow, rawRequest(flow));
  await vi.advanceTimersByTimeAsync(10);
  await decided;
  expect(metrics.snapshot().handlerTimeoutCount).toBe(1);
});

describe('how long a hook took is measured', () => {
  test.each<[string, () => unknown]>([
    ['that answers at once', () => allow],
    ['that answers later', async () => allow],
    [
      'that throws',
      () => {
        throw new Error('x');
      },
    ],
    ['that rejects', () => Promise.reject(new Error('x'))],
    ['that never answers', () => new Promise(() => {})],
    ['that answers too late', () => new Promise((resolve) => void setTimeout(resolve, 50, allow))],
  ])('once for one %s', async (_what, answer) => {
    const asked = runnerOf(answering(answer));
    await outcome(asked);
    await vi.advanceTimersByTimeAsync(100);
    expect(asked.metrics.snapshot().durations.handler.count).toBe(1);
  });
});

function hasWay(name: string): boolean {
  return name === 'office';
}

/** A handler without types: it may answer anything. */
function choosing(answer: () => unknown): InterceptHandler {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what such a handler answers is what is tested
  return { resolveRoute: () => answer() as Awaitable<string> };
}

describe('resolveRoute', () => {
  const target = { host: 'api.test', port: 443 };

  async function chosen(asked: Asked): Promise<unknown> {
    const choice = asked.runner
      .resolveRoute(asked.flow, target, hasWay)
      .catch((error: unknown) => failed(error));
    await vi.advanceTimersByTimeAsync(100);
    return choice;
  }

  test('is asked with the target, the process and a signal, and its answer is read', async () => {
    const resolveRoute = vi.fn<NonNullable<InterceptHandler['resolveRoute']>>(() => 'office');
    const asked = runnerOf({ resolveRoute });
    expect(asked.runner.choosesRoutes).toBe(true);
    expect(await chosen(asked)).toBe('office');
    expect(resolveRoute).toHaveBeenCalledExactlyOnceWith(target, undefined, expect.anything());
    expect(resolveRoute.mock.calls[0]?.[2].signal.aborted).toBe(false);
  });

  test('is not there for a handler that has none', () => {
    expect(runnerOf({}).runner.choosesRoutes).toBe(false);
  });

  const faults: readonly [string, () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['takes too long', () => new Promise(() => {})],
    ['answers an unknown name', () => 'home'],
    ['answers nonsense', () => ({ type: 'http' })],
  ];

  test.each(faults)('a handler that %s leaves it to the configuration', async (_what, answer) => {
    const asked = runnerOf(choosing(answer));
    expect(await chosen(asked)).toBeUndefined();
    const { handlerPanicCount, handlerTimeoutCount, handlerFailOpenCount } = asked.engine.snapshot();
    expect([handlerPanicCount + handlerTimeoutCount, handlerFailOpenCount]).toEqual([1, 1]);
  });

  test.each(faults)('one that %s ends in a 503 in failure mode closed', async (_what, answer) => {
    const failure = await chosen(runnerOf(choosing(answer), { failureMode: 'closed' }));
    expect(failure).toMatchObject({
      reason: 'blocked',
      detail: 'handler_failed_closed',
      reply: { status: 503 },
    });
  });

  test('one that fails ends the flow where nothing is recovered from', async () => {
    const failure = await chosen(
      runnerOf(
        choosing(() => 'home'),
        { recoverFromPanics: false },
      ),
    );
    expect(failure).toMatchObject({ reason: 'handler_error', detail: 'resolveRoute: invalid route' });
  });
});
