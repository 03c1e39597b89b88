// Runs an installed server as a stranger to the project: started in the foreground, used once its port answers, and ended with
// its scope.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { refusedPort } from './raw-origins.ts';

const patienceMs = 20_000;
const pollMs = 25;

export interface ServedProgram extends AsyncDisposable {
  readonly port: number;
  /** What it has written to its output and its error output so far. */
  readonly output: string;
}

/** Starts a server on a loopback port that was free a moment ago. @param args told the port */
export async function serveProgram(
  command: string,
  args: (port: number) => readonly string[] | Promise<readonly string[]>,
): Promise<ServedProgram> {
  const port = await refusedPort();
  const child = spawn(command, await args(port), { stdio: ['ignore', 'pipe', 'pipe'] });
  const pieces: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => pieces.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => pieces.push(chunk));
  child.on('error', (error) => pieces.push(Buffer.from(error.message)));
  const output = (): string => Buffer.concat(pieces).toString();
  try {
    await answering(port, child, output);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    port,
    get output() {
      return output();
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function answering(port: number, child: ChildProcess, output: () => string): Promise<void> {
  const end = performance.now() + patienceMs;
  while (performance.now() < end) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended at once: ${output()}`);
    if (await isAnswering(port)) return;
    await pause(pollMs);
  }
  throw new Error(`${child.spawnfile} did not listen in time: ${output()}`);
}

function isAnswering(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
