// The reference pages say what the sources say: whoever changes a field, an event, an error or a metric also runs
// `npm run docs`.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { referenceFolder, referencePages } from '../../scripts/docs.ts';

const pages = referencePages();

test.each(pages)('docs/reference/$file is what `npm run docs` writes', async ({ file, text }) => {
  expect(await readFile(join(referenceFolder, file), 'utf8')).toBe(text);
});

test('docs/reference holds no other page', async () => {
  const files = pages.map(({ file }) => file);
  expect((await readdir(referenceFolder)).toSorted()).toEqual(files.toSorted());
});

test.each(pages)('tables of $file have one number of columns', ({ text }) => {
  const tables = text
    .trimEnd()
    .split('\n\n')
    .filter((block) => block.startsWith('|'));
  expect(tables.length).toBeGreaterThan(0);
  for (const table of tables) expect(new Set(table.split('\n').map(columnCount)).size).toBe(1);
});

function columnCount(line: string): number {
  return line.split(/(?<!\\)\|/u).length;
}
