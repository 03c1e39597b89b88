// Configuration of how the user's handler is called: deadlines, what its failure means, and the queues before it.
import { z } from 'zod';

import { count, maxTimerMs, milliseconds } from './field.ts';

/** What a failed or late decision of the handler means: let pass, or refuse. */
export const failureModes = ['open', 'closed'] as const;
export type FailureMode = (typeof failureModes)[number];

const handlerSchema = z
  .strictObject({
    requestTimeoutMs: milliseconds()
      .default(5_000)
      .describe('Time for one call of `onRequest`, `shouldInterceptTls` or `onTlsFailure`, in milliseconds.'),
    responseTimeoutMs: milliseconds()
      .default(5_000)
      .describe('Time for one call of any other hook, in milliseconds.'),
    recoverFromPanics: z
      .boolean()
      .default(true)
      .describe(
        'A hook that throws or rejects is counted and `failureMode` decides. With false, its flow ends as `handler_error`.',
      ),
    failureMode: z
      .enum(failureModes)
      .default('open')
      .describe(
        'What a failed or late decision means: `open` lets the request pass and the connection be tunnelled, `closed` answers 503 and refuses.',
      ),
  })
  .prefault({})
  .describe("Calls of the handler's hooks.");

/** What becomes of the chunks of a stream that is faster than its handler. */
export const dispatchOverflows = ['drop', 'backpressure'] as const;
export type DispatchOverflow = (typeof dispatchOverflows)[number];

export const flowRuntimeSchema = z
  .strictObject({
    dispatchQueueCapacity: count('calls', 1_000_000)
      .default(128)
      .describe('Most calls about one flow that may wait for the handler.'),
    dispatchOverflow: z
      .enum(dispatchOverflows)
      .default('drop')
      .describe(
        'What a handler that is too slow for the chunks of a stream does to it. `drop` leaves out chunks that do not fit into the queue or into `maxInFlightBytes`, which are counted and missing in the sequence; the traffic never waits. `backpressure` holds the traffic back for up to `dispatchQueueSendTimeoutMs` before it drops.',
      ),
    dispatchQueueSendTimeoutMs: milliseconds()
      .optional()
      .describe(
        'Longest time that a full queue, or a full `maxInFlightBytes`, holds traffic back before a call is dropped, in milliseconds. Without it, `handler.responseTimeoutMs`.',
      ),
    dispatchCloseJoinTimeoutMs: milliseconds()
      .optional()
      .describe(
        'Time for the waiting calls to be made when a flow ends, in milliseconds. Without it, twice `handler.responseTimeoutMs`.',
      ),
  })
  .prefault({})
  .describe('The queue of calls that each flow has.');

export const handlerFields = { handler: handlerSchema, flowRuntime: flowRuntimeSchema };

/** The queue times that were left out follow from the time of one call. */
export function resolveFlowRuntime(
  flowRuntime: z.output<typeof flowRuntimeSchema>,
  responseTimeoutMs: number,
): {
  dispatchQueueCapacity: number;
  dispatchOverflow: DispatchOverflow;
  dispatchQueueSendTimeoutMs: number;
  dispatchCloseJoinTimeoutMs: number;
} {
  return {
    dispatchQueueCapacity: flowRuntime.dispatchQueueCapacity,
    dispatchOverflow: flowRuntime.dispatchOverflow,
    dispatchQueueSendTimeoutMs: flowRuntime.dispatchQueueSendTimeoutMs ?? responseTimeoutMs,
    dispatchCloseJoinTimeoutMs:
      flowRuntime.dispatchCloseJoinTimeoutMs ?? Math.min(2 * responseTimeoutMs, maxTimerMs),
  };
}
