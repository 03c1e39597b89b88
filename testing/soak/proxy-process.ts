// Starts the proxy of the soak, and ends it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { ProxyMetrics } from 'soth-mitm';

import { nextMessage } from '../lab/child-messages.ts';
import type { SoakResult, SoakStart } from './messages.ts';

const file = fileURLToPath(new URL('proxy.ts', import.meta.url));

export interface SoakProxy extends SoakStart, AsyncDisposable {
  readonly pid: number;
  /** Shuts it down in good order, and answers its last counts. */
  stop(): Promise<ProxyMetrics>;
}

/** @param originCaFile what the proxy trusts; @param nodeFlags for Node itself, such as bounds of the heap */
export async function startSoakProxy(originCaFile: string, nodeFlags: readonly string[]): Promise<SoakProxy> {
  const child = fork(file, [originCaFile], {
    execArgv: ['--no-warnings', ...nodeFlags],
    env: { PATH: process.env['PATH'] },
  });
  const ended = once(child, 'exit');
  const start = await nextMessage<SoakStart>(child, 'the start of the proxy');
  return {
    ...start,
    pid: child.pid ?? 0,
    stop: async () => {
      child.send('stop');
      const result = await nextMessage<SoakResult>(child, 'the end of the proxy');
      if ('error' in result) throw new Error(result.error);
      return result.metrics;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
