// A decision is taken as it is given, and a handler that fails to give one takes nothing down.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { Failure } from '../src/failure.ts';
import { isPromise } from '../src/flow-queue.ts';
import { allow, type Awaitable, block, type HandlerDecision, type InterceptHandler } from '../src/handler.ts';
import { deferred, rawRequest, thenable } from './engine-fixture.ts';
import { answering, type Counter, outcome, raise, runnerOf } from './handler-fixture.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

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
