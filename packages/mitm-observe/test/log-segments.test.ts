import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findLeftover, furtherSegments, removeFurtherSegments, segmentPath } from '../src/log-segments.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-segments-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (names: readonly string[], content = '') =>
  Promise.all(names.map((name) => writeFile(join(folder, name), content)));

test.each([
  [0, 'log'],
  [1, 'log.part00001'],
  [99_999, 'log.part99999'],
  [100_000, 'log.part100000'],
])('segment %i is %s', (segment, path) => {
  expect(segmentPath('log', segment)).toBe(path);
});

test('only further segments and the chain of this log are removed', async () => {
  await write(['log', 'log.part00001', 'log.part100000', 'log.part1', 'log.part00001.gz', 'xlog.part00001']);
  await write(['log.chain.jsonl', 'xlog.chain.jsonl']);
  await removeFurtherSegments(join(folder, 'log'));
  const left = await readdir(folder);
  expect(left.toSorted()).toEqual([
    'log',
    'log.part00001.gz',
    'log.part1',
    'xlog.chain.jsonl',
    'xlog.part00001',
  ]);
});

test('further segments come in the order of their numbers', async () => {
  await write(['log.part100000', 'log.part00002', 'log.part99999']);
  expect(await furtherSegments(join(folder, 'log'))).toEqual([2, 99_999, 100_000]);
  expect(await furtherSegments(join(folder, 'nowhere', 'log'))).toEqual([]);
});

test('a log without content is no leftover; one with content, or a further segment, is', async () => {
  const path = join(folder, 'log');
  expect(await findLeftover(path)).toBeUndefined();
  await write(['log']);
  expect(await findLeftover(path)).toBeUndefined();
  await write(['log'], 'line\n');
  expect(await findLeftover(path)).toBe(path);
  await write(['log.part00003']);
  expect(await findLeftover(path)).toBe(`${path}.part00003`);
});
