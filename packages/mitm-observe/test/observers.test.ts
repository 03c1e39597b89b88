// Who watches a proxy from its start to its end: consumers, and a log that a reload may change.
import { mkdir, readFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { EventBus } from '../src/event-bus.ts';
import type { EventSink, MitmEvent } from '../src/events.ts';
import { verifyEventLog } from '../src/log-verify.ts';
import { createLogger } from '../src/logger.ts';
import { Metrics } from '../src/metrics.ts';
import { Observers } from '../src/observers.ts';

function surroundings() {
  const metrics = new Metrics();
  const bus = new EventBus({ metrics });
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    level: 'debug',
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- pino writes one object a line
    destination: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return { bus, metrics, logger, lines };
}

function emit(bus: EventBus, target = '/'): void {
  const context = {
    flowId: 1,
    clientAddr: 'c',
    serverHost: 'h',
    serverPort: 1,
    protocol: 'http1',
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a flow id without its brand
  bus.emit('request_headers', context as MitmEvent['context'], 1, {
    method: 'GET',
    target,
    version: 'HTTP/1.1',
    headerCount: 0,
  });
}

const lineCount = async (path: string) => (await readFile(path, 'utf8')).split('\n').length - 1;

describe('consumers', () => {
  test('see every event in their order, are flushed and closed, and disturb nobody', async () => {
    const seen: string[] = [];
    const consumer = (name: string, fault?: Error): EventSink => ({
      consume: () => {
        seen.push(name);
        if (fault !== undefined) throw fault;
      },
      flush: async () => void seen.push(`${name} flush`),
      close: async () => {
        seen.push(`${name} close`);
        if (fault !== undefined) throw fault;
      },
    });
    const around = surroundings();
    const observers = await Observers.open(undefined, around, [
      consumer('a', new Error('a is broken')),
      consumer('b'),
    ]);
    emit(around.bus);
    emit(around.bus);
    expect(seen).toEqual(['a', 'b', 'a', 'b']);
    expect(around.metrics.snapshot().listenerErrorCount).toBe(2);
    await observers.close(1_000);
    expect(seen.slice(4).toSorted()).toEqual(['a close', 'a flush', 'b close', 'b flush']);
    expect(around.lines).toMatchObject([
      { msg: 'event consumer failed at its end', err: { message: 'a is broken' } },
    ]);
  });

  test('that never end are not waited for', async () => {
    const around = surroundings();
    const stuck: EventSink = { consume: () => {}, close: () => new Promise(() => {}) };
    const observers = await Observers.open(undefined, around, [stuck]);
    await observers.close(20);
    expect(around.lines).toMatchObject([{ msg: 'event consumer did not end in time' }]);
  });
});

describe('the event log', () => {
  test('is written until the end, and counted', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('e.jsonl');
    const around = surroundings();
    const observers = await Observers.open({ path, flushEvery: 100 }, around);
    emit(around.bus);
    emit(around.bus);
    expect(around.metrics.snapshot()).toMatchObject({ eventQueueDepth: 2, eventLogWriteErrorCount: 0 });
    await observers.close(1_000);
    expect(await lineCount(path)).toBe(2);
    expect(around.metrics.snapshot()).toMatchObject({ eventQueueDepth: 0, eventsDroppedCount: 0 });
  });

  test('goes on in its file where a reload changes how it is written', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('e.jsonl');
    const around = surroundings();
    const observers = await Observers.open({ path }, around);
    emit(around.bus, '/?a=1');
    const change = await observers.prepare({ path, redaction: 'nothing', flushEvery: 2 });
    await change.apply();
    emit(around.bus, '/?a=1');
    await observers.close(1_000);
    const text = await readFile(path, 'utf8');
    expect(text.split('\n').map((line) => /"target":"([^"]*)"/.exec(line)?.[1])).toEqual([
      '/?a=[redacted]',
      '/?a=1',
      undefined,
    ]);
  });

  test('moves where a reload gives it another path, ends where it takes it away, and begins where there was none', async () => {
    await using folder = await temporaryDirectory();
    const [one, two] = [folder.resolve('1'), folder.resolve('2')];
    const around = surroundings();
    const observers = await Observers.open({ path: one }, around);
    emit(around.bus);
    for (const [config, count] of [
      [{ path: two }, 2],
      [undefined, 3],
    ] as const) {
      const change = await observers.prepare(config);
      await change.apply();
      for (let index = 0; index < count; index += 1) emit(around.bus);
    }
    const change = await observers.prepare({ path: one });
    await change.apply();
    emit(around.bus);
    await observers.close(1_000);
    expect([await lineCount(one), await lineCount(two)]).toEqual([1, 2]);
    expect(around.metrics.snapshot().eventsDroppedCount).toBe(0);
  });

  test('takes another index and another key while it goes on, or neither', async () => {
    await using folder = await temporaryDirectory();
    const [path, index] = [folder.resolve('e.jsonl'), folder.resolve('i')];
    const keys = ['k', 'l'].map((letter) => letter.repeat(32));
    const [one, two] = await Promise.all(keys.map((key, number) => folder.write(`key${number}`, key)));
    const short = await folder.write('short', 'k');
    const around = surroundings();
    const observers = await Observers.open({ path, hmacKeyPath: one }, around);
    emit(around.bus);
    await expect(observers.prepare({ path, indexPath: index, hmacKeyPath: short })).rejects.toMatchObject({
      code: 'key_unusable',
      message: expect.stringContaining('has 1 bytes'),
    });
    const change = await observers.prepare({ path, indexPath: index, hmacKeyPath: two });
    await change.apply();
    emit(around.bus);
    // The key of a file that was renewed.
    await folder.write('key1', 'm'.repeat(32));
    await (await observers.prepare({ path, indexPath: index, hmacKeyPath: two })).apply();
    emit(around.bus);
    await observers.close(1_000);
    const verdict = await verifyEventLog(
      path,
      [...keys, 'm'.repeat(32)].map((key) => Buffer.from(key)),
    );
    expect(verdict).toMatchObject({ isIntact: true, isComplete: true, lineCount: 3 });
    expect(await lineCount(index)).toBe(4);
    expect(around.metrics.snapshot().eventLogWriteErrorCount).toBe(0);
  });

  test('never shares a file with the log that takes its place', async () => {
    await using folder = await temporaryDirectory();
    const [path, indexPath] = [folder.resolve('e.jsonl'), folder.resolve('i')];
    const around = surroundings();
    const observers = await Observers.open({ path, indexPath }, around);
    for (const [next, named] of [
      [{ path: folder.resolve('f.jsonl'), indexPath }, 'eventLog.indexPath'],
      [{ path: indexPath }, 'eventLog.path'],
      [{ path: folder.resolve('f.jsonl'), indexPath: path }, 'eventLog.indexPath'],
    ] as const)
      await expect(observers.prepare(next)).rejects.toThrow(named);
    await observers.close(1_000);
  });

  test('that can not be opened changes nothing', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('e.jsonl');
    const around = surroundings();
    const observers = await Observers.open({ path }, around);
    await folder.write('file', '');
    const refused = observers.prepare({ path: folder.resolve('file', 'e') });
    await expect(refused).rejects.toMatchObject({ code: 'open_failed' });
    emit(around.bus);
    await observers.close(1_000);
    expect(await lineCount(path)).toBe(1);
  });

  test.each([
    ['is missing', undefined],
    ['is short', 'x'.repeat(31)],
  ])('is not opened when its key %s', async (_fault, key) => {
    await using folder = await temporaryDirectory();
    if (key !== undefined) await folder.write('key', key);
    const config = { path: folder.resolve('e'), hmacKeyPath: folder.resolve('key') };
    await expect(Observers.open(config, surroundings())).rejects.toMatchObject({
      code: 'key_unusable',
      message: expect.stringContaining(key === undefined ? 'ENOENT' : 'at least 32'),
    });
  });

  test('that fails while the proxy runs is counted, and told once', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('e.jsonl');
    const around = surroundings();
    const observers = await Observers.open({ path, rotateBytes: 1 }, around);
    await mkdir(`${path}.part00001`);
    for (let index = 0; index < 3; index += 1) emit(around.bus);
    await observers.close(1_000);
    expect(around.metrics.snapshot()).toMatchObject({ eventLogWriteErrorCount: 2, eventsDroppedCount: 2 });
    expect(around.lines).toMatchObject([{ msg: 'event log failed', path }]);
  });
});

test('the delay of the event loop is measured once somebody reads it', async () => {
  const around = surroundings();
  const observers = await Observers.open(undefined, around);
  expect(around.metrics.snapshot().eventLoopDelayMaxMs).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 40));
  const end = performance.now() + 120;
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(around.metrics.snapshot().eventLoopDelayMaxMs).toBeGreaterThan(60);
  await observers.close(0);
});
