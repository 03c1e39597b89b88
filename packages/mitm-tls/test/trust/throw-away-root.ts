// The system's own trust store and the system's own program, in a mount namespace that ends with the test: what is written to the
// folders of the store is gone with it, and nobody else ever sees it.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { hasCommand } from '../../../../testing/lab/clients.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';

const run = promisify(execFile);
const session = fileURLToPath(new URL('session.ts', import.meta.url));

/** Why there can be no such root here; undefined where there can. */
export async function noThrowAwayRoot(updateProgram: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'only on Linux';
  if (!(await hasCommand(updateProgram))) return `no ${updateProgram}`;
  if (!(await hasCommand('curl'))) return 'no curl';
  try {
    await run('unshare', ['--mount', 'true']);
    return undefined;
  } catch {
    return 'not allowed to make a mount namespace';
  }
}

/** Lets a session play with `folders` replaced by copies of themselves. */
export async function playInThrowAwayRoot(
  folders: readonly string[],
  acts: readonly string[],
): Promise<readonly unknown[]> {
  await using scratch = await temporaryDirectory('soth-root-');
  const script = [
    'set -e',
    'scratch=$1; shift',
    'mount -t tmpfs none "$scratch"',
    'number=0',
    ...folders.map((folder) =>
      [
        'number=$((number + 1))',
        `cp -a '${folder}' "$scratch/$number"`,
        `mount --bind "$scratch/$number" '${folder}'`,
      ].join('\n'),
    ),
    'exec "$@"',
  ].join('\n');
  const program = [process.execPath, '--no-warnings', '--conditions=@soth/source', session, ...acts];
  const args = ['--mount', 'sh', '-c', script, 'sh', scratch.path, ...program];
  const { stdout } = await run('unshare', args, { env: { PATH: process.env['PATH'], HOME: scratch.path } });
  const results: unknown = JSON.parse(stdout);
  if (!Array.isArray(results)) throw new TypeError(`the session printed ${stdout}`);
  return results;
}
