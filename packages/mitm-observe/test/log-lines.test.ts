import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { EventLogError } from '../src/event-log-error.ts';
import { type LogLine, logLines } from '../src/log-lines.ts';

let path = '';
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-lines-'));
  path = join(folder, 'log');
});
afterEach(() => rm(folder, { recursive: true }));

async function linesFrom(place?: { segment: number; byteOffset: number }): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of logLines(path, place)) lines.push(line);
  return lines;
}

test('lines come in order over all segments, with their places', async () => {
  await writeFile(path, 'a\nbb\n');
  await writeFile(`${path}.part00001`, 'ä\n');
  expect(await linesFrom()).toEqual([
    { text: 'a', segment: 0, byteOffset: 0, lineBytes: 2, isWhole: true },
    { text: 'bb', segment: 0, byteOffset: 2, lineBytes: 3, isWhole: true },
    { text: 'ä', segment: 1, byteOffset: 0, lineBytes: 3, isWhole: true },
  ]);
  expect((await linesFrom({ segment: 0, byteOffset: 2 })).map(({ text }) => text)).toEqual(['bb', 'ä']);
  expect((await linesFrom({ segment: 1, byteOffset: 0 })).map(({ text }) => text)).toEqual(['ä']);
});

test('a line without its end says so, in each segment', async () => {
  await writeFile(path, 'a\nto');
  await writeFile(`${path}.part00001`, 'b\nrn');
  expect((await linesFrom()).filter(({ isWhole }) => !isWhole)).toMatchObject([
    { text: 'to', segment: 0, byteOffset: 2, lineBytes: 2 },
    { text: 'rn', segment: 1, byteOffset: 2, lineBytes: 2 },
  ]);
});

test('lines that are longer than one read, and characters that it cuts, come whole', async () => {
  const long = 'ä'.repeat(100_000);
  await writeFile(path, `x${long}\n\n`);
  await appendFile(path, `${long}\n`);
  expect((await linesFrom()).map(({ text }) => text)).toEqual([`x${long}`, '', long]);
});

test('whoever stops early leaves no file open', async () => {
  await writeFile(path, 'a\nb\n');
  for await (const { text } of logLines(path)) {
    expect(text).toBe('a');
    break;
  }
  await rm(path);
});

test('a log that is not there is an error that names it', async () => {
  await expect(linesFrom()).rejects.toThrow(EventLogError);
  await expect(linesFrom()).rejects.toMatchObject({ code: 'open_failed', path });
});
