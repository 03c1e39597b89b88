// A machine that exists on paper: files in memory, and for every command line the answer that the real program was seen to give.
import type { Command, CommandResult, Machine } from '../../src/trust/machine.ts';
import type { TrustSubject } from '../../src/trust/place.ts';

/** A certificate of which only the names matter. */
export const subject: TrustSubject = {
  pem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  fingerprint: 'f0'.repeat(32),
  thumbprint: 'ab'.repeat(20),
};

export type Answer = Partial<CommandResult> | Error;

export interface RecordedMachineOptions {
  readonly platform: NodeJS.Platform;
  readonly home?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** What programs answer; a command line that is not foreseen fails the test. */
  readonly answer?: (line: string, command: Command) => Answer | undefined;
  /** What the system says to a change of a file, where it does not let it happen. */
  readonly refuse?: (path: string) => string | undefined;
}

/** The machine, and what was done on it, in order. */
export class RecordedMachine implements Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly files: Map<string, string>;
  readonly lines: string[] = [];
  readonly #options: RecordedMachineOptions;

  constructor(options: RecordedMachineOptions) {
    this.platform = options.platform;
    this.home = options.home ?? '/h';
    this.environment = options.environment ?? {};
    this.files = new Map(Object.entries(options.files ?? {}));
    this.#options = options;
  }

  run(command: Command): Promise<CommandResult> {
    const line = [command.program, ...command.args].join(' ');
    this.lines.push(line);
    const answer = this.#options.answer?.(line, command);
    if (answer === undefined) return Promise.reject(new Error(`nothing is recorded for: ${line}`));
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve({ code: 0, stdout: '', stderr: '', ...answer });
  }

  readText(path: string): Promise<string | undefined> {
    return Promise.resolve(this.files.get(path));
  }

  writeText(path: string, text: string, { makesFolder }: { readonly makesFolder: boolean }): Promise<void> {
    return this.#change(`write ${makesFolder ? 'with folder ' : ''}${path}`, path, () => {
      this.files.set(path, text);
    });
  }

  makeFolder(path: string): Promise<void> {
    return this.#change(`make folder ${path}`, path, () => {});
  }

  remove(path: string): Promise<void> {
    return this.#change(`remove ${path}`, path, () => {
      this.files.delete(path);
    });
  }

  namesIn(path: string): Promise<readonly string[]> {
    const names = [...this.files.keys()]
      .filter((file) => file.startsWith(`${path}/`))
      .map((file) => file.slice(path.length + 1).split('/')[0] ?? '');
    return Promise.resolve([...new Set(names)].toSorted());
  }

  #change(line: string, path: string, change: () => void): Promise<void> {
    this.lines.push(line);
    const code = this.#options.refuse?.(path);
    if (code !== undefined) return Promise.reject(systemError(code));
    change();
    return Promise.resolve();
  }
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says it`), { code });
}
