// Access to a folder like /proc.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { isRefusal, isVanished, ProcFolder } from '../../src/process/proc-files.ts';

async function read(pieces: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece.toString('latin1');
  return text;
}

test('names, links, small texts and long tables are read below the folder', async () => {
  await using directory = await temporaryDirectory();
  const table = 'row\n'.repeat(50_000);
  mkdirSync(directory.resolve('7/fd'), { recursive: true });
  writeFileSync(directory.resolve('7/stat'), 'é'.repeat(3_000), 'latin1');
  writeFileSync(directory.resolve('table'), table);
  symlinkSync('socket:[5]', directory.resolve('7/fd/3'));
  const files = new ProcFolder(directory.path);
  expect(await files.list('7')).toEqual(['fd', 'stat']);
  expect(await files.listDescriptors('7/fd')).toEqual(['3']);
  expect(files.link('7/fd/3')).toBe('socket:[5]');
  expect(files.text('7/stat')).toBe('é'.repeat(3_000));
  expect(await read(files.pieces('table'))).toBe(table);
});

test('a small text is cut off at 4 KiB', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('long', 'x'.repeat(10_000));
  expect(new ProcFolder(directory.path).text('long')).toBe('x'.repeat(4_096));
});

test('a folder with many entries is listed off the event loop', async () => {
  await using directory = await temporaryDirectory();
  mkdirSync(directory.resolve('fd'));
  // A folder's size in bytes stands in for the number of entries that /proc gives as size.
  const names = Array.from({ length: 300 }, (_, index) => `descriptor-${index}`);
  for (const name of names) writeFileSync(directory.resolve('fd', name), '');
  const listed = new ProcFolder(directory.path).listDescriptors('fd');
  expect((await listed).toSorted()).toEqual(names.toSorted());
});

test('a table that is left early is closed', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('table', 'row\n'.repeat(50_000));
  const files = new ProcFolder(directory.path);
  const before = openHandles();
  for (let i = 0; i < 50; i++) {
    for await (const piece of files.pieces('table')) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
  }
  await expectNothingLeft(before);
});

describe('an error', () => {
  test.each([
    ['EACCES', true, false],
    ['EPERM', true, false],
    ['ENOENT', false, true],
    ['ESRCH', false, true],
    ['ENXIO', false, true],
    ['EMFILE', false, false],
  ])('%s is a refusal: %s, says that the entry has vanished: %s', (code, refusal, vanished) => {
    const error = Object.assign(new Error(code), { code });
    expect([isRefusal(error), isVanished(error)]).toEqual([refusal, vanished]);
  });

  test('without a code is neither', () => {
    expect([isRefusal('EACCES'), isVanished(new Error('ENOENT'))]).toEqual([false, false]);
  });
});
