// Programs are run without a shell, and killed when nobody wants their output.
import { expect, test } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { runCommand } from '../../src/process/command.ts';
import { unhurried } from './fake-proc.ts';

function runNode(script: string, ...args: readonly string[]): Promise<string> {
  return runCommand(process.execPath, ['-e', script, ...args], unhurried());
}

test('the output is given, in the plain locale', async () => {
  expect(await runNode('process.stdout.write(process.env.LC_ALL + " ü")')).toBe('C ü');
});

test('arguments are not expanded', async () => {
  expect(await runNode('process.stdout.write(process.argv.slice(1).join())', '$HOME', '*; id')).toBe(
    '$HOME,*; id',
  );
});

test('a program that ends with an error still has output', async () => {
  expect(await runNode('process.stdout.write("some"); process.exitCode = 1')).toBe('some');
});

test('a program that is missing is an error', async () => {
  await expect(runCommand('/nonexistent/lsof', [], unhurried())).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a program that is not wanted any more is killed', async () => {
  const before = openHandles();
  const leaving = new AbortController();
  const output = runCommand(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], leaving.signal);
  leaving.abort();
  await expect(output).rejects.toMatchObject({ code: 'ABORT_ERR' });
  await expectNothingLeft(before);
});
