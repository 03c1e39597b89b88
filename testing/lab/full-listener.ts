// A port on which somebody listens and nobody accepts, with no room left to wait: a connection to it is neither made nor refused.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { within } from './deadline.ts';

/** Only there does a full listener leave callers waiting. */
export const hasFullListeners = process.platform === 'linux';

const script = `
const server = require('node:net').createServer();
server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => console.log(server.address().port));
`;
/** More than fit. */
const fillerCount = 4;

export interface FullListener extends AsyncDisposable {
  readonly port: number;
}

async function printedPort(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error('the listener has no output');
  const [line]: unknown[] = await once(child.stdout, 'data');
  return Number(String(line));
}

/** Starts one in a process of its own, which is then stopped. */
export async function startFullListener(): Promise<FullListener> {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const port = await within(printedPort(child), 10_000, 'the start of a listener');
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  for (let index = 0; index < fillerCount; index += 1) {
    const filler = connect({ host: '127.0.0.1', port });
    filler.on('error', () => {});
    fillers.push(filler);
    await Promise.race([once(filler, 'connect'), new Promise((resolve) => setTimeout(resolve, 100))]);
  }
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
      await ended;
    },
  };
}
