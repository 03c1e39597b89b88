// Starts the load that stands outside, and asks how it went. `SOTH_LOAD_RATE=n` asks for n requests a second, and a test then fails where
// fewer came through; without it, 2,000 are tried and whatever the machine can do is enough.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { nextMessage } from '../lab/child-messages.ts';
import type { LoadKind, LoadOrder, LoadReady, LoadResult } from './messages.ts';

const file = fileURLToPath(new URL('generator.ts', import.meta.url));

/** What was asked for; undefined where any rate will do. */
const requiredRate =
  process.env['SOTH_LOAD_RATE'] === undefined ? undefined : Number(process.env['SOTH_LOAD_RATE']);
/** Requests a second that are tried. */
const triedRate = requiredRate ?? 2_000;
/** The first requests meet code that is not compiled yet. */
export const warmUpMs = 1_500;

export interface OutsideLoad extends LoadReady, AsyncDisposable {
  /** Begins; resolves when all clients are through. */
  run(order: Omit<LoadOrder, 'rate'>): Promise<LoadResult>;
}

export async function startOutsideLoad({ lane, origins }: LoadKind): Promise<OutsideLoad> {
  const child = fork(file, [lane, origins], {
    execArgv: ['--no-warnings'],
    env: { PATH: process.env['PATH'] },
  });
  const ended = once(child, 'exit');
  const ready = await nextMessage<LoadReady>(child, 'the origins of the load');
  return {
    ...ready,
    run: (order) => {
      const result = nextMessage<LoadResult>(child, 'the end of the load');
      child.send({ ...order, rate: triedRate } satisfies LoadOrder);
      return result;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** How many a second there are of something that is counted, from now on. */
export function rateFrom(count: () => number): () => number {
  const [beganMs, before] = [performance.now(), count()];
  return () => Math.round((count() - before) / ((performance.now() - beganMs) / 1_000));
}

/** The least that has to come through in a second: what was asked for, but for the grain of timers. */
export const leastRate = requiredRate === undefined ? 1 : 0.97 * requiredRate;
