// What a test hears from a process that it forked.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import { within } from './deadline.ts';

const deadlineMs = 40_000;

/** The next message of a process of the test's own, whose kind the two of them have agreed on. */
export async function nextMessage<T>(child: ChildProcess, what: string): Promise<T> {
  const [given]: unknown[] = await within(once(child, 'message'), deadlineMs, what);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the test's own
  return given as T;
}
