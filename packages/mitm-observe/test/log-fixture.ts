// A log on disk for the tests that read one: written by the writer itself, in a folder of its own.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import { EventLog, type EventLogOptions } from '../src/event-log.ts';
import type { EventRecord } from '../src/event-record.ts';
import { contextOf } from './event-fixture.ts';

export interface WrittenLog extends AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  readonly indexPath: string;
}

/** Writes `count` events, in turn of the flows 1 to 3, and closes the log. */
export async function writtenLog(count: number, options: Partial<EventLogOptions> = {}): Promise<WrittenLog> {
  const folder = await mkdtemp(join(tmpdir(), 'written-log-'));
  const path = join(folder, 'events.jsonl');
  const log = await EventLog.open({ path, ...options });
  const bus = new EventBus();
  bus.subscribe(log);
  emitMany(bus, count);
  await log.close();
  return {
    folder,
    path,
    indexPath: `${path}.index.tsv`,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

export function emitMany(bus: EventBus, count: number): void {
  for (let index = 0; index < count; index += 1) {
    bus.emit('request_headers', contextOf(1 + (index % 3)), 1 + Math.floor(index / 3), {
      method: 'GET',
      target: `/${'x'.repeat(index % 50)}`,
      version: 'HTTP/1.1',
      headerCount: index,
    });
  }
}

export async function idsOf(records: AsyncIterable<EventRecord>): Promise<number[]> {
  const ids: number[] = [];
  for await (const record of records) ids.push(record.sequence_id);
  return ids;
}

/** The whole numbers from `first` to `last`. */
export function span(first: number, last: number, step = 1): number[] {
  return Array.from(
    { length: Math.max(Math.floor((last - first) / step) + 1, 0) },
    (_, index) => first + index * step,
  );
}

/** What a row of an index says of its line. */
export interface IndexRow {
  readonly sequenceId: number;
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
}

/** The rows of an index, whose header and columns are as they have to be. */
export async function rowsOfIndex(file: string): Promise<IndexRow[]> {
  const [header, ...rows] = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
  expect(header).toBe(
    'sequence_id\tflow_id\tflow_sequence_id\tkind\tprotocol\tstream_key\tsegment_id\tbyte_offset\tline_bytes',
  );
  return rows.map((row) => {
    const cells = row.split('\t');
    expect(cells).toHaveLength(9);
    const [sequenceId, segment, offset, bytes] = [0, 6, 7, 8].map((cell) => Number(cells[cell]));
    return { sequenceId: sequenceId ?? 0, segment: segment ?? 0, offset: offset ?? 0, bytes: bytes ?? 0 };
  });
}
