// Reading a log back. Whatever became of the index, the answers are the same.
import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { EventLogReader, rebuildEventLogIndex } from '../src/log-reader.ts';
import { idsOf, span, writtenLog, type WrittenLog } from './log-fixture.ts';

const count = 120;

async function dropRows(log: WrittenLog, from: number, rowCount: number): Promise<void> {
  const rows = (await readFile(log.indexPath, 'utf8')).split('\n');
  rows.splice(from, rowCount);
  await writeFile(log.indexPath, rows.join('\n'));
}

describe('whatever became of the index', () => {
  const fates: readonly (readonly [string, (log: WrittenLog) => Promise<unknown>])[] = [
    ['it is whole', () => Promise.resolve()],
    ['it is missing', (log) => rm(log.indexPath)],
    ['it is empty', (log) => truncate(log.indexPath, 0)],
    [
      'its last row is torn',
      async (log) => truncate(log.indexPath, (await readFile(log.indexPath)).length - 5),
    ],
    [
      'its last half is missing',
      async (log) => truncate(log.indexPath, Math.floor((await readFile(log.indexPath)).length / 2)),
    ],
    ['rows in its middle are missing', (log) => dropRows(log, 40, 20)],
    ['its first rows are missing', (log) => dropRows(log, 1, 3)],
    [
      'it is the index of another log',
      async (log) => {
        await using other = await writtenLog(count, { rotateBytes: 900 });
        await writeFile(log.indexPath, await readFile(other.indexPath));
      },
    ],
    ['it is no index', (log) => writeFile(log.indexPath, 'x'.repeat(10_000))],
  ];

  test.each(fates)('and %s: all is read, from any place, of any flow', async (_fate, befall) => {
    await using log = await writtenLog(count, { rotateBytes: 3_000, flushEvery: 7 });
    await befall(log);
    const reader = new EventLogReader({ path: log.path });
    expect(await idsOf(reader.records())).toEqual(span(1, count));
    for (const from of [1, 2, 60, count, count + 1]) {
      expect(await idsOf(reader.records({ fromSequenceId: from }))).toEqual(span(from, count));
    }
    expect(await idsOf(reader.records({ flowId: 2 }))).toEqual(span(2, count, 3));
    expect(await idsOf(reader.records({ flowId: 2, fromSequenceId: 60 }))).toEqual(span(62, count, 3));
    expect(await idsOf(reader.records({ flowId: 9 }))).toEqual([]);
    expect((await reader.find(77))?.sequence_id).toBe(77);
    expect(await reader.find(count + 1)).toBeUndefined();
  });
});

test('a record is what was written', async () => {
  await using log = await writtenLog(3);
  const reader = new EventLogReader({ path: log.path, indexPath: log.indexPath });
  const lines = (await readFile(log.path, 'utf8')).split('\n');
  expect(JSON.stringify(await reader.find(2))).toBe(lines[1]);
});

test('a torn last line is left out; a line in the middle that is none is an error', async () => {
  await using log = await writtenLog(3);
  await appendFile(log.path, '{"schema":"soth-mitm-event-log-v2","seq');
  const reader = new EventLogReader({ path: log.path });
  expect(await idsOf(reader.records())).toEqual([1, 2, 3]);
  const { length } = await readFile(log.path);
  await appendFile(log.path, '\n');
  await expect(idsOf(reader.records())).rejects.toMatchObject({
    code: 'line_unreadable',
    path: log.path,
    message: expect.stringContaining(`byte ${length - 39}`),
  });
});

test('a log that is not there is an error that names it', async () => {
  const reader = new EventLogReader({ path: join('no', 'log') });
  await expect(idsOf(reader.records())).rejects.toMatchObject({ code: 'open_failed' });
  await expect(idsOf(reader.records({ flowId: 1 }))).rejects.toMatchObject({ code: 'open_failed' });
});

describe('rebuilding the index', () => {
  test('makes the index that the writer had made', async () => {
    await using log = await writtenLog(count, { rotateBytes: 3_000 });
    const written = await readFile(log.indexPath, 'utf8');
    await rm(log.indexPath);
    expect(await rebuildEventLogIndex({ path: log.path })).toEqual({ rowCount: count, tornBytes: 0 });
    expect(await readFile(log.indexPath, 'utf8')).toBe(written);
  });

  test('says how much was torn, and leaves it out', async () => {
    await using log = await writtenLog(2);
    const written = await readFile(log.indexPath, 'utf8');
    await appendFile(log.path, '{"sch');
    expect(await rebuildEventLogIndex({ path: log.path })).toEqual({ rowCount: 2, tornBytes: 5 });
    expect(await readFile(log.indexPath, 'utf8')).toBe(written);
  });

  test('leaves the old one where the log is none', async () => {
    await using log = await writtenLog(2);
    const written = await readFile(log.indexPath, 'utf8');
    await writeFile(log.path, 'no log\n');
    await expect(rebuildEventLogIndex({ path: log.path })).rejects.toMatchObject({ code: 'line_unreadable' });
    expect(await readFile(log.indexPath, 'utf8')).toBe(written);
  });
});
