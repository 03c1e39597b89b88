// The program: from a command line to an exit code. It starts the proxy, says how it is, and ends it in order when asked.
import { readFileSync } from 'node:fs';

import {
  createLogger,
  createMitmProxy,
  type MitmConfigInput,
  MitmError,
  type MitmProxyHandle,
  type TrustMachine,
} from 'soth-mitm';

import { parseArguments, type RunFlags } from './arguments.ts';
import { runCaCommand } from './ca-command.ts';
import { readConfigFile } from './config-file.ts';
import { Demo } from './demo.ts';
import { readEnvironment } from './environment.ts';
import { explainFailure } from './exit-reason.ts';
import { helpText } from './flags.ts';
import { runLogCommand } from './log-command.ts';
import { type Settings, settingsOf } from './settings.ts';
import { StatusReporter } from './status-reporter.ts';
import { authorityText, exitCodes } from './status.ts';
import type { StopRequests } from './stop-requests.ts';

/** Everything around the program. */
export interface Surroundings {
  readonly variables: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly stops: Pick<StopRequests, 'first' | 'onReload'>;
  /** What `ca` acts on; this machine when absent. */
  readonly machine?: TrustMachine;
}

/** Runs the program to its end. The result is the exit code; it never rejects. */
export async function runProgram(argv: readonly string[], around: Surroundings): Promise<number> {
  let command;
  try {
    command = parseArguments(argv);
    if (command.kind === 'ca') return exitCodes[await runCaCommand(command, around)];
    if (command.kind === 'log') return exitCodes[await runLogCommand(command, around)];
  } catch (error) {
    const { exitClass, lines } = explainFailure(error, { wasRunning: false });
    complain(around, lines);
    return exitCodes[exitClass];
  }
  if (command.kind === 'run') return new Run(command.flags, around).toEnd();
  around.writeOut(command.kind === 'help' ? helpText() : `${version()}\n`);
  return exitCodes.ok;
}

/** The version of this package. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const found = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return found ? String(manifest.version) : 'unknown';
}

function complain({ writeError }: Surroundings, lines: readonly string[]): void {
  writeError(lines.map((line, index) => `${index === 0 ? 'soth-mitm: ' : ''}${line}\n`).join(''));
}

function inOneLine([first = '', ...rest]: readonly string[]): string {
  return [first, rest.map((line) => line.trim()).join('; ')].join(' ').trim();
}

/** One `run`. */
class Run {
  readonly #flags: RunFlags;
  readonly #around: Surroundings;
  readonly #status: StatusReporter;
  #sources: ReadonlyMap<string, string>;
  #demo: Demo | undefined;
  #handle: MitmProxyHandle | undefined;
  /** The default port was taken, and the demo went to another. */
  #hasMoved: boolean;
  #reloading: Promise<void>;

  constructor(flags: RunFlags, around: Surroundings) {
    this.#flags = flags;
    this.#around = around;
    this.#status = new StatusReporter({
      path: flags.statusFile ?? readEnvironment(around.variables).statusPath,
      writeError: around.writeError,
    });
    this.#sources = new Map();
    this.#demo = undefined;
    this.#handle = undefined;
    this.#hasMoved = false;
    this.#reloading = Promise.resolve();
  }

  async toEnd(): Promise<number> {
    this.#status.report({ stage: 'startup' });
    try {
      const detail = await this.#serve();
      this.#status.report({ stage: 'exit', exitClass: 'ok', detail });
      return exitCodes.ok;
    } catch (error) {
      const { exitClass, lines } = explainFailure(error, {
        wasRunning: this.#handle !== undefined,
        sources: this.#sources,
      });
      complain(this.#around, lines);
      this.#status.report({ stage: 'exit', exitClass, detail: inOneLine(lines) });
      return exitCodes[exitClass];
    }
  }

  /** Serves until asked to stop; the result is what is worth saying about the end. */
  async #serve(): Promise<string | null> {
    const settings = await this.#settings();
    const { flags, around } = { flags: this.#flags, around: this.#around };
    if (flags.demo) {
      this.#demo = await Demo.open({ writeOut: around.writeOut, environment: around.variables });
    }
    try {
      const handle = await this.#start(settings);
      this.#handle = handle;
      around.stops.onReload(() => this.#reload(handle));
      const places = handle.addresses.map((place) =>
        place.kind === 'unix' ? place.path : authorityText(place.host, place.port),
      );
      this.#status.report({ stage: 'running', ...handle.address, places });
      return await this.#untilStopped(handle);
    } finally {
      await this.#demo?.close();
    }
  }

  async #settings(): Promise<Settings> {
    const { config } = this.#flags;
    const settings = settingsOf({
      flags: this.#flags,
      environment: readEnvironment(this.#around.variables),
      file: config === undefined ? undefined : await readConfigFile(config),
      cwd: this.#around.cwd,
    });
    this.#sources = settings.sources;
    return settings;
  }

  async #start(settings: Settings): Promise<MitmProxyHandle> {
    try {
      return await this.#open(this.#prepared(settings));
    } catch (error) {
      if (!this.#flags.demo || !settings.hasDefaultListen || !isAddressInUse(error)) throw error;
      this.#hasMoved = true;
      const handle = await this.#open(this.#prepared(settings));
      const place = authorityText(handle.address.host, handle.address.port);
      this.#around.writeOut(`Another program listens on 127.0.0.1:8080, so the demo takes ${place}.\n`);
      return handle;
    }
  }

  #open(config: MitmConfigInput): Promise<MitmProxyHandle> {
    const logger = createLogger({
      level: this.#flags.logLevel,
      destination: { write: (line: string) => this.#around.writeError(line) },
    });
    return createMitmProxy({ config, logger, handler: this.#demo?.handler }).start();
  }

  #prepared({ config, hasDefaultListen }: Settings): MitmConfigInput {
    const placed = this.#hasMoved && hasDefaultListen ? { ...config, bind: '127.0.0.1:0' } : config;
    return this.#demo?.configure(placed) ?? placed;
  }

  async #untilStopped(handle: MitmProxyHandle): Promise<string | null> {
    let failure: { readonly error: unknown } | undefined;
    let why = 'the self-check is done';
    try {
      await this.#demo?.show(handle);
      if (!this.#flags.once) {
        this.#demo?.follow(handle);
        const request = await this.#around.stops.first;
        if (request.kind === 'crash') throw request.error;
        why = request.signal;
      }
    } catch (error) {
      failure = { error };
      why = 'an error ended the run';
    }
    const detail = await this.#drain(handle, why);
    if (failure !== undefined) throw failure.error;
    return detail;
  }

  async #drain(handle: MitmProxyHandle, why: string): Promise<string | null> {
    const { graceMs } = this.#flags;
    await this.#reloading;
    this.#status.report({ stage: 'draining', detail: `${why}: up to ${graceMs} ms for what is in progress` });
    try {
      await handle.shutdown(graceMs);
      return null;
    } catch (error) {
      if (!(error instanceof MitmError) || error.code !== 'ERR_MITM_SHUTDOWN_TIMEOUT') throw error;
      complain(this.#around, [`${error.message}; --grace-ms gives them more time`]);
      return error.message;
    }
  }

  #reload(handle: MitmProxyHandle): void {
    this.#reloading = this.#reloading.then(() => this.#reloadNow(handle));
  }

  async #reloadNow(handle: MitmProxyHandle): Promise<void> {
    try {
      if (this.#flags.config === undefined) {
        const detail = 'there is no file to read again: start with --config';
        this.#status.report({ stage: 'reloaded', outcome: 'error', detail });
        return;
      }
      const changed = await handle.reload(this.#prepared(await this.#settings()));
      const detail = changed.length === 0 ? 'nothing changed' : `changed: ${changed.join(', ')}`;
      this.#status.report({ stage: 'reloaded', outcome: 'ok', detail });
    } catch (error) {
      const { lines } = explainFailure(error, { wasRunning: true, sources: this.#sources });
      complain(this.#around, [...lines, 'the configuration in force stays as it was']);
      this.#status.report({ stage: 'reloaded', outcome: 'error', detail: inOneLine(lines) });
    }
  }
}

function isAddressInUse(error: unknown): boolean {
  const cause = error instanceof MitmError ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
}
