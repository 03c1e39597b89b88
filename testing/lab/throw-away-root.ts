// A throw-away root: the system's own folders and programs, in a mount namespace in which some folders are copies of themselves.
// What is written to them is gone with the last program in it, and nobody else ever sees it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { hasCommand } from './clients.ts';
import { temporaryDirectory } from './temporary.ts';

const run = promisify(execFile);

/** Why there can be no such root here, or not one with these programs; undefined where there can. */
export async function noThrowAwayRoot(...programs: readonly string[]): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'only on Linux';
  for (const program of programs) if (!(await hasCommand(program))) return `no ${program}`;
  try {
    await run('unshare', ['--mount', 'true']);
    return undefined;
  } catch {
    return 'not allowed to make a mount namespace';
  }
}

/** Runs a program with its arguments where `folders` are copies of themselves. The result is its standard output. */
export async function runInThrowAwayRoot(
  folders: readonly string[],
  command: readonly string[],
): Promise<string> {
  await using scratch = await temporaryDirectory('soth-root-');
  const script = [
    'set -e',
    'scratch=$1; shift',
    'mount -t tmpfs none "$scratch"',
    ...folders.map((folder, index) => {
      const copy = `"$scratch/${index}"`;
      return `cp -a '${folder}' ${copy}; mount --bind ${copy} '${folder}'`;
    }),
    'exec "$@"',
  ].join('\n');
  const { PATH, HOME } = process.env;
  const args = ['--mount', 'sh', '-c', script, 'sh', scratch.path, ...command];
  const { stdout } = await run('unshare', args, { env: { PATH, HOME } });
  return stdout;
}
