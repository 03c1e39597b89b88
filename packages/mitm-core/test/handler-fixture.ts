// Handlers of every kind in front of a runner, and what becomes of their decisions.
import { vi } from 'vitest';

import { Failure } from '../src/failure.ts';
import { isPromise } from '../src/flow-queue.ts';
import type { Flow } from '../src/flow.ts';
import type { Awaitable, HandlerContext, HandlerDecision, InterceptHandler } from '../src/handler.ts';
import type { RawResponse } from '../src/messages.ts';
import { openExchangeFlow, rawRequest, type TestEngine, testEngine, turn } from './engine-fixture.ts';

export interface Asked extends TestEngine {
  readonly flow: Flow;
  readonly runner: TestEngine['engine']['handler'];
}

export function runnerOf(handler: InterceptHandler, settings: object = {}): Asked {
  const parts = testEngine(
    { handler: { requestTimeoutMs: 10, responseTimeoutMs: 20, ...settings } },
    { handler },
  );
  return { ...parts, flow: openExchangeFlow(parts.engine), runner: parts.engine.handler };
}

/** A handler without types: it may answer anything. */
export function answering(answer: (context: HandlerContext) => unknown): InterceptHandler {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what such a handler answers is what is tested
  return { onRequest: (_request, context) => answer(context) as Awaitable<HandlerDecision> };
}

export function failed(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

/** Lets a decision become what it becomes, however long its handler may take. */
export async function outcome(asked: Asked): Promise<HandlerDecision | Failure> {
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

export function rawResponse(flow: Flow): RawResponse {
  const { headers, connectionMeta } = rawRequest(flow);
  const body = Buffer.alloc(0);
  const facts = { status: 200, bodyTruncated: false, encodingError: false, streaming: false };
  return { ...facts, headers, body, flowId: flow.id, connectionMeta };
}

export type Counter = 'handlerPanicCount' | 'handlerTimeoutCount';

export function raise(what: unknown): never {
  // oxlint-disable-next-line typescript/only-throw-error -- handlers throw anything
  throw what;
}
