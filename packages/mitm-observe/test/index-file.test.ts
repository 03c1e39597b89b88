import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { findIndexRow, indexRows } from '../src/index-file.ts';
import { span, writtenLog } from './log-fixture.ts';

test.each([0, 1, 2, 200])(
  'in an index of %i rows each sequence id is found, and what lies beyond',
  async (count) => {
    await using log = await writtenLog(count, { rotateBytes: 4_000, flushEvery: 50 });
    for (const id of span(0, count + 2)) {
      const row = await findIndexRow(log.indexPath, id);
      expect(row?.sequenceId).toBe(id < 1 || count === 0 ? undefined : Math.min(id, count));
    }
  },
);

test('where ids are missing, the one before is found', async () => {
  await using log = await writtenLog(9);
  const [header, ...rows] = (await readFile(log.indexPath, 'utf8')).split('\n');
  await writeFile(log.indexPath, [header, rows[0], rows[3], rows[7], ''].join('\n'));
  const found = await Promise.all(span(0, 9).map((id) => findIndexRow(log.indexPath, id)));
  expect(found.map((row) => row?.sequenceId)).toEqual([undefined, 1, 1, 1, 4, 4, 4, 4, 8, 8]);
});

test('rows of any length are found', async () => {
  await using log = await writtenLog(1);
  const text = await readFile(log.indexPath, 'utf8');
  for (const id of [2, 3, 4])
    await appendFile(log.indexPath, `${id}\t1\t1\tk\tp\t${'x'.repeat(9_000)}\t0\t0\t1\n`);
  expect((await findIndexRow(log.indexPath, 3))?.sequenceId).toBe(3);
  expect((await findIndexRow(log.indexPath, 9))?.sequenceId).toBe(4);
  expect((await findIndexRow(log.indexPath, 1))?.sequenceId).toBe(1);
  await truncate(log.indexPath, Buffer.byteLength(text) - 1);
  expect(await findIndexRow(log.indexPath, 1)).toBeUndefined();
});

async function idsIn(path: string): Promise<number[]> {
  const ids: number[] = [];
  for await (const row of indexRows(path)) ids.push(row.sequenceId);
  return ids;
}

test('rows are read up to the first that can not be', async () => {
  await using log = await writtenLog(3);
  expect(await idsIn(log.indexPath)).toEqual([1, 2, 3]);
  await appendFile(log.indexPath, '4\t1\t');
  expect(await idsIn(log.indexPath)).toEqual([1, 2, 3]);
  await writeFile(log.indexPath, 'something else\n1\t1\t1\tk\tp\tx\t0\t0\t1\n');
  expect(await idsIn(log.indexPath)).toEqual([]);
});
