// How long a handler may take, and the signal that tells it to stop.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { parseConfig } from '../src/config/index.ts';
import { allow, block, type HandlerDecision } from '../src/handler.ts';
import { deferred, rawRequest, turn } from './engine-fixture.ts';
import { answering, outcome, rawResponse, runnerOf } from './handler-fixture.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
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
