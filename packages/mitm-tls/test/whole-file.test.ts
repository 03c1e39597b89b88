import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { discard, publish, removeLeftovers, requireFree, statOf, writeTemporary } from '../src/whole-file.ts';

const isWindows = process.platform === 'win32';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  path = join(folder, 'sub', 'file');
});
afterEach(() => rm(folder, { recursive: true }));

describe('a file', () => {
  test('has no name until it is published, and then all of its content', async () => {
    const file = await writeTemporary(path, 'content', 0o600);
    expect(existsSync(path)).toBe(false);
    await publish(file, false);
    await discard(file);
    expect(readFileSync(path, 'utf8')).toBe('content');
    expect(await readdir(join(folder, 'sub'))).toEqual(['file']);
  });

  test.skipIf(isWindows)('has the mode it was written with, also in the place of another', async () => {
    await mkdir(join(folder, 'sub'));
    await writeFile(path, 'old', { mode: 0o644 });
    await publish(await writeTemporary(path, 'new', 0o600), true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  test('does not take the name of another', async () => {
    await mkdir(join(folder, 'sub'));
    await writeFile(path, 'mine');
    const file = await writeTemporary(path, 'content', 0o600);
    await expect(publish(file, false)).rejects.toMatchObject({ code: 'OPERATION_FAILED', path });
    await discard(file);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(await readdir(join(folder, 'sub'))).toEqual(['file']);
  });

  test('that is given up leaves nothing', async () => {
    await discard(await writeTemporary(path, 'content', 0o600));
    expect(await readdir(join(folder, 'sub'))).toEqual([]);
  });

  test('where no folder can be is an IO error that names it', async () => {
    await writeFile(join(folder, 'sub'), '');
    await expect(writeTemporary(path, '', 0o600)).rejects.toMatchObject({ code: 'IO', path });
  });
});

describe('requireFree', () => {
  test('nothing there is free, a file only where it may be replaced', async () => {
    await requireFree(path, false);
    await mkdir(join(folder, 'sub'));
    await writeFile(path, '');
    await requireFree(path, true);
    await expect(requireFree(path, false)).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  });

  test.skipIf(isWindows)('a symbolic link is never free, wherever it leads', async () => {
    await mkdir(join(folder, 'sub'));
    await symlink(join(folder, 'nowhere'), path);
    await expect(requireFree(path, true)).rejects.toThrow(/symbolic link/);
  });
});

describe('removeLeftovers', () => {
  test('takes old temporary files of this name, and nothing else', async () => {
    await mkdir(join(folder, 'sub'));
    const entries = ['file', 'file.0123456789ab.tmp', 'file.0123456789ab.tmp.txt', 'other.0123456789ab.tmp'];
    const hourAgo = Date.now() / 1000 - 3_600;
    for (const entry of entries) {
      await writeFile(join(folder, 'sub', entry), '');
      await utimes(join(folder, 'sub', entry), hourAgo, hourAgo);
    }
    const young = await writeTemporary(path, '', 0o600);
    await removeLeftovers(path);
    expect(await statOf(young.temporary)).toBeDefined();
    await discard(young);
    expect((await readdir(join(folder, 'sub'))).toSorted()).toEqual(
      entries.filter((entry) => entry !== 'file.0123456789ab.tmp').toSorted(),
    );
  });

  test('a folder that is not there holds none', async () => {
    await removeLeftovers(path);
    expect(await statOf(path)).toBeUndefined();
  });
});
