// The rows of a log wait, are written together, and can move with what is written.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { indexHeader } from '../src/index-row.ts';
import { LogIndex } from '../src/log-index.ts';

const text = (...rows: readonly string[]): string => [indexHeader, ...rows, ''].join('\n');

test('rows wait until they are written', async () => {
  await using folder = await temporaryDirectory();
  const path = folder.resolve('i');
  const index = await LogIndex.create(path);
  expect([index.path, index.hasRows, await readFile(path, 'utf8')]).toEqual([path, false, text()]);
  index.add('one\n');
  index.add('two\n');
  expect([index.hasRows, await readFile(path, 'utf8')]).toEqual([true, text()]);
  await index.write();
  expect([index.hasRows, index.isDue, await readFile(path, 'utf8')]).toEqual([
    false,
    false,
    text('one', 'two'),
  ]);
  index.add(`${'x'.repeat(70_000)}\n`);
  expect(index.isDue).toBe(true);
  await index.close();
});

test('it moves with what is written; rows that come meanwhile follow', async () => {
  await using folder = await temporaryDirectory();
  const [path, other] = [folder.resolve('i'), folder.resolve('folder', 'j')];
  const index = await LogIndex.create(path);
  const many = Array.from({ length: 40_000 }, (_, number) => `row ${number}`);
  index.add(`${many.join('\n')}\n`);
  const change = await index.prepareMove(other);
  index.add('late\n');
  expect(index.hasRows).toBe(false);
  await index.write();
  expect(await readFile(path, 'utf8')).toBe(text(...many));
  await change.apply();
  expect([index.path, index.hasRows]).toEqual([other, true]);
  await index.write();
  await index.close();
  expect(await readFile(other, 'utf8')).toBe(text(...many, 'late'));
  expect(await readdir(folder.resolve())).toEqual(['folder']);
});

test('a move that is not made leaves nothing', async () => {
  await using folder = await temporaryDirectory();
  const [path, other] = [folder.resolve('i'), folder.resolve('j')];
  const index = await LogIndex.create(path);
  index.add('one\n');
  const change = await index.prepareMove(other);
  index.add('two\n');
  await change.discard();
  await index.write();
  await index.close();
  expect(await readFile(path, 'utf8')).toBe(text('one', 'two'));
  expect(await readdir(folder.resolve())).toEqual(['i']);
});

test('a move that can not be made says why, and changes nothing', async () => {
  await using folder = await temporaryDirectory();
  const [path, other] = [folder.resolve('i'), folder.resolve('j')];
  const index = await LogIndex.create(path);
  await mkdir(folder.resolve('d'));
  await expect(index.prepareMove(folder.resolve('d'))).rejects.toMatchObject({ code: 'open_failed' });
  await rm(path);
  await expect(index.prepareMove(other)).rejects.toMatchObject({ code: 'open_failed', path });
  expect(await readdir(folder.resolve())).toEqual(['d']);
  index.add('one\n');
  expect(index.hasRows).toBe(true);
  await index.close();
});

test('what goes wrong later is told', async () => {
  await using folder = await temporaryDirectory();
  const index = await LogIndex.create(folder.resolve('i'));
  const told: unknown[] = [];
  index.onError((error) => told.push(error));
  await index.close();
  index.add('one\n');
  await index.write();
  expect(told.length).toBeGreaterThan(0);
  expect(index.hasRows).toBe(false);
});
