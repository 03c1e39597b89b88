import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { LogFile, removeFurtherSegments, segmentPath } from '../src/log-file.ts';

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

test.each([
  [0, 'log'],
  [1, 'log.part00001'],
  [99_999, 'log.part99999'],
  [100_000, 'log.part100000'],
])('segment %i is %s', (segment, path) => {
  expect(segmentPath('log', segment)).toBe(path);
});

test('only further segments of this log are removed', async () => {
  const names = ['log', 'log.part00001', 'log.part100000', 'log.part1', 'log.part00001.gz', 'xlog.part00001'];
  await Promise.all(names.map((name) => writeFile(join(folder, name), '')));
  await removeFurtherSegments(join(folder, 'log'));
  const left = await readdir(folder);
  expect(left.toSorted()).toEqual(['log', 'log.part00001.gz', 'log.part1', 'xlog.part00001']);
});
