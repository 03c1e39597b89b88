// What a check of a chained log finds after someone, or something, has been at its files.
import { appendFile, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { EventBus } from '../src/event-bus.ts';
import { EventLog } from '../src/event-log.ts';
import { type LogFaultKind, logFaultKinds, verifyEventLog } from '../src/log-verify.ts';
import { emitMany, writtenLog, type WrittenLog } from './log-fixture.ts';

const chainKey = Buffer.alloc(32, 7);
const options = { chainKey, rotateBytes: 2_000, flushEvery: 1 };

test('a log as it was written is intact and complete', async () => {
  await using log = await writtenLog(40, options);
  expect(await verifyEventLog(log.path, chainKey)).toEqual({
    isIntact: true,
    isComplete: true,
    lineCount: 40,
    unaccountedBytes: 0,
    faults: [],
  });
});

async function editChain(log: WrittenLog, edit: (lines: string[]) => string[]): Promise<void> {
  const path = `${log.path}.chain.jsonl`;
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  await writeFile(
    path,
    edit(lines)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

async function flipByte(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, position);
  buffer[0] = (buffer[0] ?? 0) ^ 1;
  await file.write(buffer, 0, 1, position);
  await file.close();
}

describe('is found', () => {
  const rows: readonly (readonly [string, (log: WrittenLog) => Promise<unknown>, LogFaultKind])[] = [
    ['a changed byte', (log) => flipByte(log.path, 100), 'bytes_changed'],
    ['a changed byte in a further segment', (log) => flipByte(`${log.path}.part00001`, 5), 'bytes_changed'],
    ['a cut segment', (log) => truncate(log.path, 500), 'bytes_missing'],
    ['a removed segment', (log) => rm(`${log.path}.part00001`), 'bytes_missing'],
    ['a line behind the last', (log) => appendFile(`${log.path}.part00001`, '{}\n'), 'bytes_unaccounted'],
    ['a segment too many', (log) => writeFile(`${log.path}.part00077`, '{}\n'), 'bytes_unaccounted'],
    ['a removed entry', (log) => editChain(log, (lines) => lines.toSpliced(2, 1)), 'bytes_unaccounted'],
    [
      'an entry that says something else',
      (log) =>
        editChain(log, (lines) =>
          lines.map((line) => line.replace('"end":true,"line_count":40', '"end":true,"line_count":41')),
        ),
      'chain_changed',
    ],
    [
      'another beginning',
      (log) => editChain(log, (lines) => lines.map((line) => line.replace(/"nonce":"./, '"nonce":"g'))),
      'key_mismatch',
    ],
  ];

  test.each(rows)('%s', async (_what, tamper, fault) => {
    await using log = await writtenLog(40, options);
    await tamper(log);
    const verdict = await verifyEventLog(log.path, chainKey);
    expect(verdict.isIntact).toBe(false);
    expect(verdict.faults.map(({ kind }) => kind)).toContain(fault);
  });

  test('another key', async () => {
    await using log = await writtenLog(4, options);
    const { faults } = await verifyEventLog(log.path, Buffer.alloc(32, 8));
    expect(faults).toEqual([{ kind: 'key_mismatch' }]);
  });
});

describe('a log whose key was changed on the way', () => {
  const other = Buffer.alloc(32, 8);

  /** Ten lines each: under the first key, under the second, under none, and under the first again. */
  async function turnedLog(): Promise<WrittenLog> {
    const folder = await temporaryDirectory();
    const path = folder.resolve('events.jsonl');
    const log = await EventLog.open({ ...options, path });
    const bus = new EventBus();
    bus.subscribe(log);
    for (const key of [chainKey, other, undefined, chainKey]) {
      await (await log.prepare({ chainKey: key })).apply();
      emitMany(bus, 10);
      await log.flush();
    }
    await log.close();
    expect(log.writeErrorCount).toBe(0);
    return {
      folder: folder.resolve(),
      path,
      indexPath: '',
      [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
    };
  }

  test('is intact as far as keys vouch for it, in whatever order they are given', async () => {
    await using log = await turnedLog();
    for (const keys of [
      [chainKey, other],
      [other, chainKey],
    ]) {
      const verdict = await verifyEventLog(log.path, keys);
      expect(verdict).toMatchObject({ isIntact: true, isComplete: true, lineCount: 30, faults: [] });
      expect(verdict.unaccountedBytes).toBeGreaterThan(1_000);
    }
  });

  test('needs all its keys', async () => {
    await using log = await turnedLog();
    const { isIntact, lineCount, faults } = await verifyEventLog(log.path, chainKey);
    expect({ isIntact, lineCount }).toEqual({ isIntact: false, lineCount: 10 });
    expect(faults).toEqual([
      { kind: 'key_mismatch', segment: expect.any(Number), byteOffset: expect.any(Number) },
    ]);
  });

  test('is not complete when a part was taken away', async () => {
    await using log = await turnedLog();
    await editChain(log, (lines) =>
      lines.slice(0, lines.findIndex((line) => line.includes('continues')) + 1),
    );
    expect(await verifyEventLog(log.path, [chainKey, other])).toMatchObject({
      isComplete: false,
      lineCount: 10,
    });
  });

  test('is not intact when one in the middle was', async () => {
    await using log = await turnedLog();
    await editChain(log, (lines) => {
      const begins = lines.flatMap((line, index) => (line.includes('schema') ? [index] : []));
      return lines.toSpliced(begins[1] ?? 0, (begins[2] ?? 0) - (begins[1] ?? 0));
    });
    expect(await verifyEventLog(log.path, [chainKey, other])).toMatchObject({ isIntact: false });
  });
});

test('what no order of the lines can hide', async () => {
  await using log = await writtenLog(2, { ...options, rotateBytes: 0 });
  const [first = '', second = ''] = (await readFile(log.path, 'utf8')).split('\n');
  await writeFile(log.path, `${second}\n${first}\n`);
  expect(await verifyEventLog(log.path, chainKey)).toMatchObject({ isIntact: false, lineCount: 0 });
});

test('a log that was not closed is intact and not complete, and says how much nothing vouches for', async () => {
  await using log = await writtenLog(4, options);
  await editChain(log, (lines) => lines.slice(0, -1));
  await appendFile(`${log.path}.chain.jsonl`, '{"segment":0,"byte');
  await appendFile(log.path, '{"torn');
  expect(await verifyEventLog(log.path, chainKey)).toEqual({
    isIntact: true,
    isComplete: false,
    lineCount: 4,
    unaccountedBytes: 6,
    faults: [],
  });
});

test('a log without a chain, or with a file that is none, is an error', async () => {
  await using log = await writtenLog(1);
  await expect(verifyEventLog(log.path, chainKey)).rejects.toMatchObject({ code: 'open_failed' });
  for (const content of ['nothing\n', '{"mac":"x"}\n', '{"end":true,"line_count":1,"mac":"x"}\n']) {
    await writeFile(`${log.path}.chain.jsonl`, content);
    await expect(verifyEventLog(log.path, chainKey)).rejects.toMatchObject({ code: 'chain_unreadable' });
  }
});

test.each(Object.entries(logFaultKinds))('%s is explained in one sentence', (_kind, meaning) => {
  expect(meaning).toMatch(/^[A-Z].*\.$/);
});
