import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { LogFile } from '../src/log-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-file-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('making a file makes its folders and empties what was there', async () => {
  const path = join(folder, 'a', 'b', 'log');
  for (const text of ['first run', 'second']) {
    const file = await LogFile.create(path);
    await file.append(Buffer.from(text));
    expect(file.size).toBe(text.length);
    await file.close();
    expect(await readFile(path, 'utf8')).toBe(text);
  }
});

test('restore cuts off what came after the last whole append, and the next append follows it', async () => {
  const path = join(folder, 'log');
  const file = await LogFile.create(path);
  await file.append(Buffer.from('whole\n'));
  await appendFile(path, 'half of a li');
  await file.restore();
  await file.append(Buffer.from('next\n'));
  await file.close();
  expect(await readFile(path, 'utf8')).toBe('whole\nnext\n');
  expect(file.size).toBe(11);
});

test.runIf(process.platform !== 'win32')(
  'only the owner can read it, whatever was there before',
  async () => {
    const path = join(folder, 'log');
    await writeFile(path, 'first run', { mode: 0o644 });
    for (const name of [path, join(folder, 'new')]) {
      const file = await LogFile.create(name);
      await file.close();
      const { mode } = await stat(name);
      expect(mode & 0o777).toBe(0o600);
    }
  },
);
