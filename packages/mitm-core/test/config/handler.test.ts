// The deadlines of hooks, and the queue times that follow from them.
import { expect, test } from 'vitest';

import { failureModes } from '../../src/config/handler.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test.each(failureModes)('failureMode may be %s', (failureMode) => {
  expect(parseConfig({ ...minimal, handler: { failureMode } }).handler.failureMode).toBe(failureMode);
});

test.each([
  ['queue times follow the response time', { handler: { responseTimeoutMs: 700 } }, 700, 1_400],
  [
    'doubling stays within a timer',
    { handler: { responseTimeoutMs: 2 ** 31 - 1 } },
    2 ** 31 - 1,
    2 ** 31 - 1,
  ],
  [
    'given times stay',
    { flowRuntime: { dispatchQueueSendTimeoutMs: 1, dispatchCloseJoinTimeoutMs: 2 } },
    1,
    2,
  ],
])('%s', (_rule, fields, dispatchQueueSendTimeoutMs, dispatchCloseJoinTimeoutMs) => {
  const { flowRuntime } = parseConfig({ ...minimal, ...fields });
  expect(flowRuntime).toEqual({
    dispatchQueueCapacity: 128,
    dispatchOverflow: 'drop',
    dispatchQueueSendTimeoutMs,
    dispatchCloseJoinTimeoutMs,
  });
});

test.each([
  ['a decision has time', { handler: { requestTimeoutMs: 0 } }, 'handler.requestTimeoutMs: must be'],
  ['a call has time', { handler: { responseTimeoutMs: 0 } }, 'handler.responseTimeoutMs: must be'],
  [
    'the failure mode is known',
    { handler: { failureMode: 'half' } },
    'handler.failureMode: must be one of open, closed',
  ],
  [
    'there is one spelling for recovery',
    { handler: { recoverFromErrors: false } },
    'handler.recoverFromErrors: is called handler.recoverFromPanics',
  ],
  [
    'CF-11 the queue has room',
    { flowRuntime: { dispatchQueueCapacity: 0 } },
    'flowRuntime.dispatchQueueCapacity: must be',
  ],
  [
    'CF-11 a full queue waits',
    { flowRuntime: { dispatchQueueSendTimeoutMs: 0 } },
    'flowRuntime.dispatchQueueSendTimeoutMs: must be',
  ],
  [
    'CF-11 an ending flow waits',
    { flowRuntime: { dispatchCloseJoinTimeoutMs: 0 } },
    'flowRuntime.dispatchCloseJoinTimeoutMs: must be',
  ],
])('%s', (_rule, fields, problem) => {
  expect(problemsWith(fields)).toEqual([expect.stringContaining(problem)]);
});
