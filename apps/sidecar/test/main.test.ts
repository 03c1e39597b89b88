import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { helpText } from '../src/flags.ts';
import { version } from '../src/program.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

async function run(...argv: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const nodeArguments = ['--no-warnings', '--conditions=@soth/source', main, ...argv];
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, nodeArguments)) };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && 'stdout' in error && 'stderr' in error)) throw error;
    return { code: error.code, stdout: String(error.stdout), stderr: String(error.stderr) };
  }
}

test.each([
  ['no argument shows the help', [], 0, helpText(), ''],
  ['--version shows the version', ['--version'], 0, `${version()}\n`, ''],
  [
    'bad usage is one sentence on standard error',
    ['run', '--bogus'],
    20,
    '',
    "soth-mitm: unknown option '--bogus': soth-mitm --help lists the options\n",
  ],
])('%s', async (_rule, argv, code, stdout, stderr) => {
  expect(await run(...argv)).toEqual({ code, stdout, stderr });
});
