// The built program as a process of its own, in a folder of its own: its status lines, its output and its end, each awaited with
// a deadline and never with a pause.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { within } from '../lab/deadline.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';

const main = fileURLToPath(new URL('../../apps/sidecar/dist/main.js', import.meta.url));
const prefix = 'SOTH_MITM_STATUS\t';
const deadlineMs = 20_000;

/** A status line as whoever automates the program reads it. */
export interface StatusLine {
  readonly schema: string;
  readonly stage: string;
  readonly outcome: string;
  readonly exit_code: number;
  readonly exit_class: string;
  readonly unix_ms: number;
  readonly detail: string | null;
  readonly listen_addr?: string;
  readonly listen_port?: number;
}

export interface ProgramOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** A command that starts the program in turn, with its arguments. */
  readonly startedBy?: readonly [string, ...string[]];
}

/** The program while it runs. Disposing of it ends it, whatever it does, and removes its folder. */
export class ProgramProcess implements AsyncDisposable {
  readonly folder: TemporaryDirectory;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  readonly #lookers = new Set<() => void>();
  #out = '';
  #error = '';

  private constructor(folder: TemporaryDirectory, child: ChildProcess) {
    this.folder = folder;
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
      this.#look();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#error += text;
      this.#look();
    });
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (code === null) reject(new Error(`the program was killed by ${signal}: ${this.#error}`));
        else resolve(code);
      });
    });
    // Whoever does not ask how it ended need not hear of it.
    this.#ended.catch(() => {});
  }

  /** Starts the program in a new folder; `files` makes what has to be there first and tells the arguments. */
  static async start(
    argumentsIn: (folder: TemporaryDirectory) => readonly string[] | Promise<readonly string[]>,
    { environment = {}, startedBy }: ProgramOptions = {},
  ): Promise<ProgramProcess> {
    const folder = await temporaryDirectory('soth-program-');
    const [command, ...before] = [...(startedBy ?? []), process.execPath];
    const child = spawn(command ?? process.execPath, [...before, main, ...(await argumentsIn(folder))], {
      cwd: folder.path,
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new ProgramProcess(folder, child);
  }

  /** Standard output so far. */
  get out(): string {
    return this.#out;
  }

  /** Standard error so far, without the status lines. */
  get complaints(): readonly string[] {
    return this.#error.split('\n').filter((line) => line !== '' && !line.startsWith(prefix));
  }

  get statuses(): readonly StatusLine[] {
    return this.#error
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith(prefix))
      .map((line): StatusLine => JSON.parse(line.slice(prefix.length)));
  }

  /** The nth status line (from 0) of a stage. */
  status(stage: string, index = 0): Promise<StatusLine> {
    return this.#until(`status ${stage}`, () => this.statuses.filter((line) => line.stage === stage)[index]);
  }

  /** The part of standard output that matches. */
  async output(pattern: RegExp): Promise<string> {
    return this.#until(`output like ${pattern}`, () => pattern.exec(this.#out)?.[0]);
  }

  /** The part of standard error that matches. */
  async complaint(pattern: RegExp): Promise<string> {
    return this.#until(`complaint like ${pattern}`, () => pattern.exec(this.#error)?.[0]);
  }

  /** The port it listens on. */
  async port(): Promise<number> {
    const { listen_port: port } = await this.status('running');
    if (port === undefined) throw new Error('the running status names no port');
    return port;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The exit code, once it has ended by itself. */
  end(): Promise<number> {
    return within(this.#ended, deadlineMs, () => `the program's end (${this.#error})`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    await this.#ended.catch(() => {});
    await this.folder[Symbol.asyncDispose]();
  }

  #look(): void {
    for (const look of this.#lookers) look();
  }

  async #until<T>(what: string, find: () => T | undefined): Promise<T> {
    let look: (() => void) | undefined;
    const found = new Promise<T>((resolve) => {
      look = () => {
        const value = find();
        if (value !== undefined) resolve(value);
      };
      this.#lookers.add(look);
      look();
    });
    try {
      return await within(found, deadlineMs, () => `${what} (${this.#out}${this.#error})`);
    } finally {
      if (look) this.#lookers.delete(look);
    }
  }
}
