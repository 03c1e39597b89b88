import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { indexHeader } from '../src/index-row.ts';
import { openLogFiles } from '../src/log-files.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const key = Buffer.alloc(32, 7);

test('all files of a log are made, and a chain only with a key', async () => {
  const path = join(folder, 'log');
  for (const chainKey of [undefined, key]) {
    const { log, index, chain } = await openLogFiles({ path, chainKey });
    for (const file of [log, index, chain]) await file?.close();
    expect(await readFile(`${path}.index.tsv`, 'utf8')).toBe(`${indexHeader}\n`);
    expect(await readdir(folder)).toHaveLength(chainKey === undefined ? 2 : 3);
  }
});

test('a run without a key leaves no chain of the one before behind', async () => {
  const path = join(folder, 'log');
  for (const chainKey of [key, undefined]) {
    const { log, index, chain } = await openLogFiles({ path, chainKey });
    for (const file of [log, index, chain]) await file?.close();
  }
  expect((await readdir(folder)).toSorted()).toEqual(['log', 'log.index.tsv']);
});

test.each([
  ['the log', 'log'],
  ['the index', 'log.index.tsv'],
  ['the chain', 'log.chain.jsonl'],
])('where %s can not be made, the error names it and nothing stays open', async (_which, name) => {
  const path = join(folder, 'log');
  await mkdir(join(folder, name));
  await expect(openLogFiles({ path, chainKey: key })).rejects.toMatchObject({
    code: 'open_failed',
    message: expect.stringContaining(join(folder, name === 'log.chain.jsonl' ? 'log' : name)),
  });
});

test('index and chain can not be one file', async () => {
  const path = join(folder, 'log');
  await expect(openLogFiles({ path, indexPath: `${path}.chain.jsonl`, chainKey: key })).rejects.toMatchObject(
    {
      code: 'path_shared',
    },
  );
});
