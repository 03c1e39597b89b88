// This machine: files that are whole or not there, and programs that no shell comes near.
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';

import { describe, expect, test } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { thisMachine } from '../../src/trust/machine.ts';

const isWindows = process.platform === 'win32';
const isRoot = process.getuid?.() === 0;
const machine = thisMachine();

function node(script: string, ...args: readonly string[]): { program: string; args: readonly string[] } {
  return { program: process.execPath, args: ['-e', script, ...args] };
}

test('it is this one', () => {
  expect(machine).toMatchObject({ platform: process.platform, home: homedir() });
  expect(machine.environment['PATH']).toBe(process.env['PATH']);
});

describe('a program', () => {
  test('gets its arguments as they are, its input, and the plain locale', async () => {
    const script =
      'process.stdin.on("data", (text) => process.stdout.write([process.env.LC_ALL, process.argv[1], text].join("|")))';
    expect(await machine.run({ ...node(script, '$HOME; *'), input: 'in' })).toEqual({
      code: 0,
      stdout: 'C|$HOME; *|in',
      stderr: '',
    });
  });

  test('that fails is no error, its code and words are the answer', async () => {
    expect(await machine.run(node('console.error("no"); process.exitCode = 7'))).toEqual({
      code: 7,
      stdout: '',
      stderr: 'no\n',
    });
  });

  test('that reads nothing may end before its input does', async () => {
    expect(await machine.run({ ...node('process.exit(3)'), input: 'x'.repeat(1 << 20) })).toMatchObject({
      code: 3,
    });
  });

  test('that is missing is an error', async () => {
    await expect(machine.run({ program: '/nonexistent/certutil', args: [] })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('that waits is ended on demand', async () => {
    const before = openHandles();
    const leaving = new AbortController();
    const ended = machine.run(node('setInterval(() => {}, 1000)'), leaving.signal);
    leaving.abort();
    await expect(ended).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expectNothingLeft(before);
  });
});

describe('a file', () => {
  test('that is missing has no text, and neither has one below a file', async () => {
    await using folder = await temporaryDirectory();
    const file = await folder.write('a', 'text');
    expect(await machine.readText(file)).toBe('text');
    expect(await machine.readText(folder.resolve('b'))).toBeUndefined();
    expect(await machine.readText(`${file}/c`)).toBeUndefined();
  });

  test.skipIf(isWindows)('is written for everybody to read, whatever the umask', async () => {
    await using folder = await temporaryDirectory();
    const file = folder.resolve('a.crt');
    const before = process.umask();
    await machine.writeText(file, 'text', { makesFolder: false });
    expect(process.umask()).toBe(before);
    expect((await stat(file)).mode & 0o777).toBe(0o644);
    expect(await readFile(file, 'utf8')).toBe('text');
    expect(await readdir(folder.path)).toEqual(['a.crt']);
  });

  test.skipIf(isWindows)('takes the place of a link, and never goes where that leads', async () => {
    await using folder = await temporaryDirectory();
    const far = await folder.write('far', 'untouched');
    await symlink(far, folder.resolve('near'));
    await machine.writeText(folder.resolve('near'), 'text', { makesFolder: false });
    expect(await readFile(far, 'utf8')).toBe('untouched');
    expect(await readFile(folder.resolve('near'), 'utf8')).toBe('text');
  });

  test('brings its folder only where that is asked for', async () => {
    await using folder = await temporaryDirectory();
    const file = folder.resolve('b/c/a.pem');
    await expect(machine.writeText(file, 'text', { makesFolder: false })).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await machine.writeText(file, 'text', { makesFolder: true });
    expect(await readFile(file, 'utf8')).toBe('text');
  });

  test.skipIf(isWindows || isRoot)('that could not be written leaves nothing', async () => {
    await using folder = await temporaryDirectory();
    await chmod(folder.path, 0o500);
    const written = machine.writeText(folder.resolve('a'), 'text', { makesFolder: false });
    await expect(written).rejects.toMatchObject({ code: 'EACCES' });
    await chmod(folder.path, 0o700);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('is removed, there or not', async () => {
    await using folder = await temporaryDirectory();
    const file = await folder.write('a', 'text');
    await machine.remove(file);
    await machine.remove(file);
    expect(await readdir(folder.path)).toEqual([]);
  });
});

test('a folder has its names in order, a missing one has none', async () => {
  await using folder = await temporaryDirectory();
  await Promise.all(['b', 'a'].map((name) => writeFile(folder.resolve(name), '')));
  expect(await machine.namesIn(folder.path)).toEqual(['a', 'b']);
  expect(await machine.namesIn(folder.resolve('c'))).toEqual([]);
});

test('a folder is made with those above it, or left as it is', async () => {
  await using folder = await temporaryDirectory();
  await machine.makeFolder(folder.resolve('a/b'));
  await mkdir(folder.resolve('a/b/c'));
  await machine.makeFolder(folder.resolve('a/b'));
  expect(await readdir(folder.resolve('a/b'))).toEqual(['c']);
});
