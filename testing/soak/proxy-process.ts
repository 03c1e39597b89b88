// Starts the proxy of the soak, and ends it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { ProxyMetrics } from 'soth-mitm';

import { within } from '../lab/deadline.ts';
import type { SoakResult, SoakStart } from './messages.ts';

const file = fileURLToPath(new URL('proxy.ts', import.meta.url));
const deadlineMs = 40_000;

export interface SoakProxy extends SoakStart, AsyncDisposable {
  readonly pid: number;
  /** Shuts it down in good order, and answers its last counts. */
  stop(): Promise<ProxyMetrics>;
}

async function message<T>(child: ChildProcess, what: string): Promise<T> {
  const [given]: unknown[] = await within(once(child, 'message'), deadlineMs, what);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the soak's own
  return given as T;
}

/** @param originCaFile what the proxy trusts; @param nodeFlags for Node itself, such as bounds of the heap */
export async function startSoakProxy(originCaFile: string, nodeFlags: readonly string[]): Promise<SoakProxy> {
  const child = fork(file, [originCaFile], {
    execArgv: ['--no-warnings', ...nodeFlags],
    env: { PATH: process.env['PATH'] },
  });
  const ended = once(child, 'exit');
  const start = await message<SoakStart>(child, 'the start of the proxy');
  return {
    ...start,
    pid: child.pid ?? 0,
    stop: async () => {
      child.send('stop');
      const result = await message<SoakResult>(child, 'the end of the proxy');
      if ('error' in result) throw new Error(result.error);
      return result.metrics;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
