// A handler that chooses the way to an origin, and what holds when it fails to.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Awaitable, InterceptHandler } from '../src/handler.ts';
import { type Asked, failed, runnerOf } from './handler-fixture.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
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
