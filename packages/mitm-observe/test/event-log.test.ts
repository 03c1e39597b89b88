// The log on disk: every event once and in order, at its time, under its bounds, and whole whatever fails.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import { EventLogError } from '../src/event-log-error.ts';
import { EventLog, type EventLogOptions } from '../src/event-log.ts';
import { deterministicRecord, type EventRecord } from '../src/event-record.ts';
import { segmentPath } from '../src/log-segments.ts';
import { EventRecorder } from '../src/recorder.ts';
import { contextOf } from './event-fixture.ts';
import { type IndexRow, rowsOfIndex } from './log-fixture.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-log-'));
  path = join(folder, 'events.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

async function logging(options: Partial<EventLogOptions> = {}) {
  const log = await EventLog.open({ path, ...options });
  const bus = new EventBus();
  bus.subscribe(log);
  return { log, bus };
}

function frame(bus: EventBus, sequenceNo: number, flow = 1): void {
  bus.emit('websocket_frame', contextOf(flow, { protocol: 'websocket' }), sequenceNo, {
    direction: 'client_to_server',
    frameKind: 'data',
    sequenceNo,
    opcode: 1,
    opcodeLabel: 'text',
    fin: true,
    masked: true,
    payloadLen: sequenceNo,
    frameLen: sequenceNo + 6,
  });
}

const closed = (bus: EventBus) =>
  bus.emit('stream_closed', contextOf(1), 9, { reasonCode: 'websocket_completed' });

async function linesOf(file = path): Promise<EventRecord[]> {
  const text = await readFile(file, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Every index row names the exact bytes of the line with its sequence id. */
async function expectIndexToBeTrue(): Promise<IndexRow[]> {
  const rows = await rowsOfIndex(`${path}.index.tsv`);
  for (const { sequenceId, segment, offset, bytes } of rows) {
    const content = await readFile(segmentPath(path, segment));
    const line = content.subarray(offset, offset + bytes).toString();
    expect(line.endsWith('\n')).toBe(true);
    expect(JSON.parse(line)).toMatchObject({ sequence_id: sequenceId });
  }
  return rows;
}

describe('what is written', () => {
  test('one line per event, in order, as the record of the event', async () => {
    const { log, bus } = await logging();
    const recorder = new EventRecorder();
    bus.subscribe(recorder);
    for (let index = 1; index <= 20; index += 1) frame(bus, index);
    closed(bus);
    await log.flush();
    expect(await linesOf()).toEqual(recorder.events().map((event) => deterministicRecord(event)));
    expect((await expectIndexToBeTrue()).map((row) => row.sequenceId)).toEqual(
      recorder.events().map((event) => event.sequenceId),
    );
    await log.close();
  });

  test('EL-03 segments turn over before they would grow beyond the bound', async () => {
    const { log, bus } = await logging({ flushEvery: 1, rotateBytes: 240 });
    for (let index = 1; index <= 6; index += 1) frame(bus, index);
    await log.close();
    const rows = await expectIndexToBeTrue();
    expect(rows).toHaveLength(6);
    expect(rows.map((row) => row.segment)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(log.writeErrorCount).toBe(0);
  });

  test('segments hold as many whole lines as fit', async () => {
    const { log, bus } = await logging({ rotateBytes: 1000, flushEvery: 100 });
    for (let index = 1; index <= 9; index += 1) frame(bus, index);
    await log.close();
    const rows = await expectIndexToBeTrue();
    expect(new Set(rows.map((row) => row.segment)).size).toBeGreaterThan(2);
    for (const { segment } of rows) {
      expect((await readFile(segmentPath(path, segment))).length).toBeLessThanOrEqual(1000);
    }
  });

  test('a replay of the same traffic writes the same bytes', async () => {
    const texts: string[] = [];
    for (const run of ['a', 'b']) {
      const runPath = join(folder, run);
      const { log, bus } = await logging({ path: runPath });
      for (let index = 1; index <= 5; index += 1) frame(bus, index);
      await log.close();
      texts.push((await readFile(runPath, 'utf8')) + (await readFile(`${runPath}.index.tsv`, 'utf8')));
    }
    expect(texts[0]).toBe(texts[1]);
  });

  test('beyond ASCII, offsets count bytes', async () => {
    const { log, bus } = await logging({ includeData: true });
    const data = { sequenceNo: 1, dataLineCount: 1, dataLen: 6, data: 'größe €' };
    bus.emit('sse_event', contextOf(1), 1, data);
    frame(bus, 2);
    await log.close();
    expect((await linesOf())[0]?.attributes).toMatchObject({ data: 'größe €' });
    expect(await expectIndexToBeTrue()).toHaveLength(2);
  });

  test('a path cannot break the rows of the index', async () => {
    const { log, bus } = await logging();
    bus.emit('grpc_response_trailers', contextOf(1), 1, {
      grpcEventSequence: 3,
      grpcPath: '/a\tb\nc\\d/\r',
      grpcDetectionMode: 'content_type',
      trailerCount: 0,
    });
    await log.close();
    await expectIndexToBeTrue();
    expect(await readFile(`${path}.index.tsv`, 'utf8')).toContain(String.raw`grpc:/a\tb\nc\\d/\r:3`);
  });
});

describe('when it is written', () => {
  test('each event at once when nothing else is asked for', async () => {
    const { log, bus } = await logging();
    frame(bus, 1);
    await expect.poll(() => linesOf()).toHaveLength(1);
    expect(log.queueDepth).toBe(0);
    await log.close();
  });

  test('after `flushEvery` events, or when asked to', async () => {
    const { log, bus } = await logging({ flushEvery: 3 });
    frame(bus, 1);
    frame(bus, 2);
    expect(log.queueDepth).toBe(2);
    expect(await linesOf()).toEqual([]);
    frame(bus, 3);
    await expect.poll(() => linesOf()).toHaveLength(3);
    frame(bus, 4);
    await log.flush();
    expect(await linesOf()).toHaveLength(4);
    expect(log.queueDepthWatermark).toBe(3);
    await log.close();
  });

  test('what is fewer than `flushEvery` waits for a second, not longer', async () => {
    const { log, bus } = await logging({ flushEvery: 1000 });
    frame(bus, 1);
    await expect.poll(() => linesOf(), { timeout: 5000 }).toHaveLength(1);
    await log.close();
  });

  test('another cadence, another size and other withholding count from when they are set', async () => {
    const { log, bus } = await logging({ flushEvery: 1000 });
    const target = { method: 'GET', target: '/?q=1', version: 'HTTP/1.1', headerCount: 1 };
    bus.emit('request_headers', contextOf(1), 1, target);
    log.tune({ flushEvery: 1, rotateBytes: 1, redaction: 'nothing' });
    bus.emit('request_headers', contextOf(1), 2, target);
    await expect.poll(() => log.queueDepth).toBe(0);
    await log.close();
    expect((await linesOf())[0]?.attributes).toMatchObject({ target: '/?q=[redacted]' });
    expect((await linesOf(segmentPath(path, 1)))[0]?.attributes).toMatchObject({ target: '/?q=1' });
  });

  test('what was flushed is there and whole without a close', async () => {
    const { log, bus } = await logging({ flushEvery: 0 });
    frame(bus, 1);
    await log.flush();
    expect(await linesOf()).toHaveLength(1);
    await log.close();
  });

  test('closing writes the rest, twice is once, and what comes later is counted', async () => {
    const { log, bus } = await logging({ flushEvery: 100 });
    frame(bus, 1);
    await Promise.all([log.close(), log.close()]);
    frame(bus, 2);
    await log.flush();
    expect(await linesOf()).toHaveLength(1);
    expect(log.droppedCount).toBe(1);
    expect(log.writeErrorCount).toBe(0);
  });
});

describe('too much at once', () => {
  test('drops chunk-rate events first, all only at eight times as much, and counts them', async () => {
    const { log, bus } = await logging({ maxBufferBytes: 1000 });
    for (let index = 1; index <= 10; index += 1) frame(bus, index);
    const droppedFrames = log.droppedCount;
    expect(droppedFrames).toBeGreaterThan(0);
    closed(bus);
    expect(log.droppedCount).toBe(droppedFrames);
    for (let index = 1; index <= 40; index += 1) closed(bus);
    expect(log.droppedCount).toBeGreaterThan(droppedFrames);
    await log.close();
    const kinds = (await linesOf()).map((line) => line.kind);
    expect(kinds.filter((kind) => kind === 'stream_closed').length).toBeGreaterThan(20);
    expect(kinds.length + log.droppedCount).toBe(51);
    await expectIndexToBeTrue();
  });

  test('a full buffer is written although `flushEvery` is not reached', async () => {
    const { log, bus } = await logging({ flushEvery: 1000, maxBufferBytes: 500 });
    for (let index = 1; index <= 3; index += 1) frame(bus, index);
    await expect.poll(() => log.queueDepth).toBe(0);
    await log.close();
  });
});

describe('opening', () => {
  test('makes folders, empties log and index, and removes further segments of an earlier run', async () => {
    path = join(folder, 'deep', 'events.jsonl');
    const first = await logging({ rotateBytes: 1 });
    frame(first.bus, 1);
    frame(first.bus, 2);
    await first.log.close();
    expect((await readdir(join(folder, 'deep'))).toSorted()).toEqual([
      'events.jsonl',
      'events.jsonl.index.tsv',
      'events.jsonl.part00001',
    ]);
    const second = await logging({ rotateBytes: 0 });
    await second.log.close();
    expect((await readdir(join(folder, 'deep'))).toSorted()).toEqual([
      'events.jsonl',
      'events.jsonl.index.tsv',
    ]);
    expect(await linesOf()).toEqual([]);
    expect(await rowsOfIndex(`${path}.index.tsv`)).toEqual([]);
  });

  test('refuses to replace what an earlier run left, where that is asked for', async () => {
    const first = await logging();
    frame(first.bus, 1);
    await first.log.close();
    const refused = EventLog.open({ path, leftovers: 'refuse' });
    await expect(refused).rejects.toMatchObject({ code: 'leftovers', path });
    expect(await linesOf()).toHaveLength(1);
    const elsewhere = await EventLog.open({ path: join(folder, 'new', 'events.jsonl'), leftovers: 'refuse' });
    await elsewhere.close();
  });

  test.runIf(process.platform !== 'win32')('only the owner can read what is made', async () => {
    const { log, bus } = await logging({ rotateBytes: 1, chainKey: Buffer.alloc(32, 1) });
    frame(bus, 1);
    frame(bus, 2);
    await log.close();
    const names = await readdir(folder);
    const modes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).mode & 0o777));
    expect(names).toHaveLength(4);
    expect(new Set(modes)).toEqual(new Set([0o600]));
  });

  test('the index can be elsewhere', async () => {
    const indexPath = join(folder, 'index', 'all.tsv');
    const { log, bus } = await logging({ indexPath });
    frame(bus, 1);
    await log.close();
    expect(await rowsOfIndex(indexPath)).toHaveLength(1);
  });

  test.each([
    ['no path', { path: ' ' }, 'path_empty'],
    ['no index path', { indexPath: '' }, 'path_empty'],
    ['one path for both', { path: 'x/../a', indexPath: 'a' }, 'path_shared'],
    ['a key that can be guessed', { chainKey: Buffer.alloc(31) }, 'key_unusable'],
  ])('is refused with %s', async (_what, options, code) => {
    const refused = EventLog.open({ path, ...options });
    await expect(refused).rejects.toThrow(EventLogError);
    await expect(refused).rejects.toMatchObject({ code });
  });

  test.each([
    ['log', () => ({ path: join(folder, 'file', 'log') })],
    ['index', () => ({ indexPath: join(folder, 'file', 'index') })],
  ])('names the path when the %s cannot be made', async (_which, options) => {
    await writeFile(join(folder, 'file'), '');
    const refused = EventLog.open({ path, ...options() });
    await expect(refused).rejects.toMatchObject({
      code: 'open_failed',
      path: expect.stringContaining('file'),
    });
    await expect(refused).rejects.toThrow(join(folder, 'file'));
  });
});

describe('a write that fails', () => {
  test('to turn over a segment loses that batch; the log goes on once it can', async () => {
    const reports: string[] = [];
    const { log, bus } = await logging({
      rotateBytes: 1,
      onWriteError: (error) => reports.push(error.message),
    });
    await mkdir(segmentPath(path, 1));
    for (let index = 1; index <= 4; index += 1) frame(bus, index);
    await log.flush();
    expect(log.writeErrorCount).toBe(3);
    expect(log.droppedCount).toBe(3);
    expect(log.lastError).toContain('EISDIR');
    expect(reports).toHaveLength(1);
    await rmdir(segmentPath(path, 1));
    frame(bus, 5);
    frame(bus, 6);
    await log.close();
    expect((await expectIndexToBeTrue()).map((row) => row.sequenceId)).toEqual([1, 5, 6]);
    expect(log.writeErrorCount).toBe(3);
  });

  test('is reported again after a success, and a reporter that throws is counted', async () => {
    const { log, bus } = await logging({
      rotateBytes: 1,
      onWriteError: () => {
        throw new Error('reporter');
      },
    });
    await mkdir(segmentPath(path, 1));
    frame(bus, 1);
    frame(bus, 2);
    await log.close();
    expect(log.writeErrorCount).toBe(2);
    expect(log.lastError).toBe('reporter');
  });

  test.runIf(existsSync('/dev/full'))('for lack of room goes on in a new segment', async () => {
    await symlink('/dev/full', path);
    const { log, bus } = await logging({ flushEvery: 2 });
    frame(bus, 1);
    frame(bus, 2);
    await log.flush();
    expect(log.lastError).toBeDefined();
    expect(log.droppedCount).toBe(2);
    frame(bus, 3);
    await log.close();
    const rows = await rowsOfIndex(`${path}.index.tsv`);
    expect(rows).toMatchObject([{ sequenceId: 3, segment: 1, offset: 0 }]);
    expect(await linesOf(segmentPath(path, 1))).toHaveLength(1);
  });

  test.runIf(existsSync('/dev/full'))('already for the header of the index refuses to open', async () => {
    const indexPath = join(folder, 'full.tsv');
    await symlink('/dev/full', indexPath);
    await expect(EventLog.open({ path, indexPath })).rejects.toMatchObject({
      code: 'open_failed',
      path: indexPath,
    });
  });

  test.runIf(process.platform !== 'win32')('to the index leaves the log whole', async () => {
    const indexPath = join(folder, 'pipe');
    execFileSync('mkfifo', [indexPath]);
    const header = promisify(execFile)('head', ['-n', '1', indexPath]);
    const { log, bus } = await logging({ indexPath });
    expect((await header).stdout).toContain('sequence_id');
    frame(bus, 1);
    await log.flush();
    expect(await linesOf()).toHaveLength(1);
    expect(log.droppedCount).toBe(0);
    expect(log.writeErrorCount).toBeGreaterThan(0);
    await log.close();
  });
});
