// Runs installed programs as strangers to the project: without a proxy from the environment, with their output kept, and with an
// end that is awaited and never taken for granted.
import { spawn } from 'node:child_process';

import type { ProgramResult } from './clients.ts';
import { within } from './deadline.ts';

export interface RunOptions {
  /** What the program reads; nothing unless given. */
  readonly input?: Uint8Array;
  readonly cwd?: string;
  /** Added to the environment, from which settings of programs, such as proxies, are taken out. */
  readonly environment?: Readonly<Record<string, string>>;
  /** 20 s unless said. */
  readonly timeoutMs?: number;
}

/** Settings of the developer's own: proxies, and what programs are told to trust or to work in. */
const personalNames = /^(?:(?:https?|all|no)_proxy|GIT_.*|SSL_.*|CURL_.*|PYTHON.*|WGETRC)$/i;

function neutralEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !personalNames.test(name)));
}

/** Runs a program to its end. It is killed, and the promise rejected with what it complained of, when it takes too long. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { input = Buffer.alloc(0), cwd, environment = {}, timeoutMs = 20_000 }: RunOptions = {},
): Promise<ProgramResult> {
  const child = spawn(command, args, {
    env: { ...neutralEnvironment(), ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => {}); // a program need not read its input; its exit code tells what became of it
  child.stdin.end(input);
  const complaints = (): string => Buffer.concat(stderr).toString();
  const ended = new Promise<number | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? undefined));
  });
  try {
    const code = await within(ended, timeoutMs, () => `the end of ${command} (${complaints()})`);
    return { code, stdout: Buffer.concat(stdout), stderr: complaints() };
  } finally {
    child.kill('SIGKILL'); // no effect on one that has ended
  }
}
