import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import { EventLog } from '../src/event-log.ts';
import { deterministicRecord } from '../src/event-record.ts';
import { eventKinds, type MitmEvent } from '../src/events.ts';
import { EventLogReader } from '../src/log-reader.ts';
import { EventRecorder } from '../src/recorder.ts';
import { eventOfRecord, replayEvents } from '../src/replay.ts';
import { contextOf } from './event-fixture.ts';
import { everyKind } from './every-kind.ts';
import { emitMany, writtenLog } from './log-fixture.ts';

/** An event as far as a log can tell it. */
function withoutClocks({
  occurredAtUnixMs: _unix,
  occurredAtMonotonicNs: _monotonic,
  ...rest
}: MitmEvent): object {
  return rest;
}

test('every kind comes back with all its fields, in their types', () => {
  const events = everyKind();
  expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(eventKinds));
  for (const event of events) {
    const record = deterministicRecord(event, { includeData: true, redaction: 'nothing' });
    const again = eventOfRecord(record);
    expect(withoutClocks(again)).toEqual(withoutClocks(event));
    expect(deterministicRecord(again, { includeData: true, redaction: 'nothing' })).toEqual(record);
  }
});

test('a log that is replayed into a log gives the same bytes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'replay-'));
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  const first = await EventLog.open({ path: one, rotateBytes: 2_000 });
  for (const event of everyKind()) first.consume(event);
  await first.close();
  const second = await EventLog.open({ path: two, rotateBytes: 2_000 });
  const count = await replayEvents(new EventLogReader({ path: one }).records(), second);
  await second.close();
  expect(count).toBe(eventKinds.length);
  for (const ending of ['', '.part00001', '.index.tsv']) {
    expect(await readFile(two + ending, 'utf8')).toBe(await readFile(one + ending, 'utf8'));
  }
  await rm(folder, { recursive: true });
});

test('a sink sees the sequence that it would have seen', async () => {
  await using log = await writtenLog(30);
  const replayed = new EventRecorder();
  expect(await replayEvents(new EventLogReader({ path: log.path }).records(), replayed)).toBe(30);
  const live = new EventRecorder();
  const bus = new EventBus();
  bus.subscribe(live);
  emitMany(bus, 30);
  expect(replayed.events().map(withoutClocks)).toEqual(live.events().map(withoutClocks));
});

test.each([
  ['kind', { kind: 'unheard_of' }],
  ['protocol', { protocol: 'gopher' }],
])('a %s that is not known is refused by name', (_what, change) => {
  const [event] = everyKind();
  if (event === undefined) throw new Error('there is no event');
  const record = { ...deterministicRecord({ ...event, context: contextOf(1) }), ...change };
  expect(() => eventOfRecord(record)).toThrow(RangeError);
  expect(() => eventOfRecord(record)).toThrow(Object.values(change)[0]);
});
