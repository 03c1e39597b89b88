// The machine whose trust is changed, as far as that needs it: a few files, and programs run without a shell. Tests bring a
// machine of their own.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname } from 'node:path';

const maxOutputBytes = 16 * 1024 * 1024;

/** A program with its arguments. No shell reads them. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** What the program reads; nothing when absent. */
  readonly input?: string;
  /** What to install where the program is missing. */
  readonly comesWith?: string;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  /** The user's home folder. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Runs a program to its end, in the plain locale. Rejects only when it can't be started, or was killed. */
  run(command: Command, signal?: AbortSignal): Promise<CommandResult>;
  /** The text of a file; undefined where there is none. */
  readText(path: string): Promise<string | undefined>;
  /** Writes a file that everybody can read, complete from the moment it has its name; its folder only where that is asked for. */
  writeText(path: string, text: string, options: { readonly makesFolder: boolean }): Promise<void>;
  /** Makes a folder and those above it; one that is there is left as it is. */
  makeFolder(path: string): Promise<void>;
  /** Removes a file; one that is missing is fine. */
  remove(path: string): Promise<void>;
  /** The names in a folder, in order; none where there is no such folder. */
  namesIn(path: string): Promise<readonly string[]>;
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: process.platform,
    home: homedir(),
    environment: process.env,
    run,
    readText: (path) => orWhenMissing(readFile(path, 'utf8'), undefined),
    writeText,
    makeFolder,
    remove: (path) => rm(path, { force: true }),
    namesIn: async (path) => {
      const names = await orWhenMissing(readdir(path), []);
      return names.toSorted((a, b) => (a < b ? -1 : 1));
    },
  };
}

function run(command: Command, signal?: AbortSignal): Promise<CommandResult> {
  const { program, args, input } = command;
  return new Promise((resolve, reject) => {
    const options = {
      signal,
      encoding: 'utf8',
      maxBuffer: maxOutputBytes,
      windowsHide: true,
      env: { ...process.env, LC_ALL: 'C', PATH: searchPath() },
    } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
      else reject(error);
    });
    // A program need not read its input; its exit code tells what became of it.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** The programs of the administrator are not on every user's path. */
function searchPath(): string {
  const known = process.env['PATH'] ?? '';
  return process.platform === 'win32' ? known : [known, '/usr/sbin', '/sbin'].join(delimiter);
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

async function writeText(
  path: string,
  text: string,
  { makesFolder }: { readonly makesFolder: boolean },
): Promise<void> {
  if (makesFolder) await makeFolder(dirname(path));
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, text, { flag: 'wx' });
    // Whatever the umask: what is trusted is public, and useless to programs that can't read it.
    await chmod(temporary, 0o644);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function orWhenMissing<T, Fallback>(found: Promise<T>, fallback: Fallback): Promise<T | Fallback> {
  try {
    return await found;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return fallback;
    throw error;
  }
}
