// Counts what keeps the process alive, so that a test can show that nothing was left behind.
import { AssertionError } from 'node:assert';

import { defaultDeadlineMs } from './deadline.ts';

/** How many resources of each kind are open, e.g. `TCPSocketWrap` → 2. */
export type OpenHandles = ReadonlyMap<string, number>;

const pollIntervalMs = 5;

/** A snapshot of the process's open sockets, servers, timers and other handles, by kind. */
export function openHandles(): OpenHandles {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** The kinds of which more are open now than in `before`, each with the surplus. */
export function openedSince(before: OpenHandles): OpenHandles {
  const more = new Map<string, number>();
  for (const [kind, count] of openHandles()) {
    const surplus = count - (before.get(kind) ?? 0);
    if (surplus > 0) more.set(kind, surplus);
  }
  return more;
}

/**
 * Resolves as soon as no kind has more open handles than in `before`; throws an `AssertionError` that lists the surplus after
 * `withinMs`. Handles close a few turns after `destroy()`, hence the waiting; its own timer is not counted.
 *
 * @param unlooked kinds that are not looked at
 */
export async function expectNothingLeft(
  before: OpenHandles,
  withinMs = defaultDeadlineMs,
  unlooked: readonly string[] = [],
): Promise<void> {
  const end = performance.now() + withinMs;
  const surplus = (): OpenHandles =>
    new Map([...openedSince(before)].filter(([kind]) => !unlooked.includes(kind)));
  let left = surplus();
  while (left.size > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, pollIntervalMs));
    left = surplus();
  }
  if (left.size === 0) return;
  const listed = [...left].map(([kind, count]) => `${count} ${kind}`).join(', ');
  throw new AssertionError({ message: `still open after ${withinMs} ms: ${listed}` });
}
