// Reads event logs back: all of one, from a place in its sequence, or the lines of one flow. The index shortens the way and is
// never trusted: a log whose index is missing, torn or another log's reads the same, only slower.
import type { FileHandle } from 'node:fs/promises';
import { rename, stat } from 'node:fs/promises';

import { EventLogError } from './event-log-error.ts';
import type { EventRecord } from './event-record.ts';
import { findIndexRow, indexRows } from './index-file.ts';
import { indexHeader, indexRow, indexRowHead, type IndexRow, type LinePlace } from './index-row.ts';
import { LogFile } from './log-file.ts';
import { type LogLine, logLines, openForReading, readAt } from './log-lines.ts';
import { defaultIndexPath, isMissing, segmentPath } from './log-segments.ts';
import { parseEventRecord } from './record-parser.ts';

/** Which log is read. */
export interface LogReaderOptions {
  readonly path: string;
  /** The log's path with `.index.tsv` when absent. */
  readonly indexPath?: string | undefined;
}

/** Which of its records; all that are left out are no bounds. */
export interface RecordRange {
  /** The first sequence id that is wanted. */
  readonly fromSequenceId?: number | undefined;
  readonly flowId?: number | undefined;
}

/** Reads one log, as often as wanted. Nothing stays open between two readings. */
export class EventLogReader {
  readonly #path: string;
  readonly #indexPath: string;

  constructor(options: LogReaderOptions) {
    this.#path = options.path;
    this.#indexPath = options.indexPath ?? defaultIndexPath(options.path);
  }

  /**
   * The records in order, over all segments. A line whose end was never written is left out.
   *
   * @throws {EventLogError} `open_failed` when the log can't be read, `line_unreadable` for a whole line that is none of a log
   */
  async *records(range: RecordRange = {}): AsyncGenerator<EventRecord> {
    if (range.flowId === undefined) yield* this.#from(range.fromSequenceId ?? 1);
    else yield* this.#ofFlow(range.flowId, range.fromSequenceId ?? 1);
  }

  /**
   * The record with this sequence id; undefined when the log has none.
   *
   * @throws {EventLogError} as `records` does
   */
  async find(sequenceId: number): Promise<EventRecord | undefined> {
    for await (const record of this.#from(sequenceId)) {
      return record.sequence_id === sequenceId ? record : undefined;
    }
    return undefined;
  }

  async *#from(sequenceId: number): AsyncGenerator<EventRecord> {
    const hint =
      sequenceId <= 1 ? undefined : await this.#hint(() => findIndexRow(this.#indexPath, sequenceId));
    const isTrue = hint !== undefined && (await this.#recordAt(hint)) !== undefined;
    for await (const line of logLines(this.#path, isTrue ? hint : undefined)) {
      const record = this.#parse(line);
      if (record !== undefined && record.sequence_id >= sequenceId) yield record;
    }
  }

  /** Goes where the index says, and then through what is not in the index. */
  async *#ofFlow(flowId: number, fromSequenceId: number): AsyncGenerator<EventRecord> {
    let seen = fromSequenceId - 1;
    let tail: LinePlace | undefined;
    if (await this.#hasIndex()) {
      for await (const row of indexRows(this.#indexPath)) {
        // Rows may be missing after a failure: what follows is read without them.
        if (!(await this.#follows(row, tail))) break;
        if (row.flowId === flowId && row.sequenceId > seen) {
          const record = await this.#recordAt(row);
          // Another log's index: whatever else it says means nothing.
          if (record === undefined) {
            tail = undefined;
            break;
          }
          seen = row.sequenceId;
          yield record;
        }
        tail = row;
      }
    }
    const isTrue = tail !== undefined && (await this.#endsAt(tail));
    const from = isTrue && tail !== undefined ? endOf(tail) : undefined;
    for await (const line of logLines(this.#path, from)) {
      const record = this.#parse(line);
      if (record !== undefined && record.flow_id === flowId && record.sequence_id > seen) yield record;
    }
  }

  /** Whether a row is about the line right behind another one, or about the first of all. */
  async #follows(row: LinePlace, before: LinePlace | undefined): Promise<boolean> {
    if (before === undefined) return row.segment === 0 && row.byteOffset === 0;
    const end = endOf(before);
    if (row.segment === before.segment) return row.byteOffset === end.byteOffset;
    const stats = await this.#hint(() => stat(segmentPath(this.#path, before.segment)));
    return row.segment === before.segment + 1 && row.byteOffset === 0 && stats?.size === end.byteOffset;
  }

  async #hasIndex(): Promise<boolean> {
    return (await this.#hint(() => stat(this.#indexPath))) !== undefined;
  }

  async #hint<T>(look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      const cause = error instanceof EventLogError ? error.cause : error;
      if (isMissing(cause)) return undefined;
      throw error;
    }
  }

  /** What stands where a row says, if that is what the row is about. */
  async #recordAt(row: IndexRow): Promise<EventRecord | undefined> {
    const text = await this.#lineAt(row);
    if (text === undefined) return undefined;
    const record = parseEventRecord(text);
    return record?.sequence_id === row.sequenceId && record.flow_id === row.flowId ? record : undefined;
  }

  async #endsAt(place: LinePlace): Promise<boolean> {
    return (await this.#lineAt(place)) !== undefined;
  }

  async #lineAt({ segment, byteOffset, lineBytes }: LinePlace): Promise<string | undefined> {
    let handle: FileHandle;
    try {
      handle = await openForReading(segmentPath(this.#path, segment));
    } catch (error) {
      if (error instanceof EventLogError && isMissing(error.cause)) return undefined;
      throw error;
    }
    try {
      const bytes = await readAt(handle, byteOffset, lineBytes);
      const isLine = bytes.length === lineBytes && bytes.indexOf('\n') === lineBytes - 1;
      return isLine ? bytes.toString('utf8', 0, lineBytes - 1) : undefined;
    } finally {
      await handle.close();
    }
  }

  #parse(line: LogLine): EventRecord | undefined {
    return line.isWhole ? readRecord(this.#path, line) : undefined;
  }
}

/** What a rebuilt index is about. */
export interface RebuiltIndex {
  readonly rowCount: number;
  /** Bytes at the end of segments that belong to lines whose end was never written. */
  readonly tornBytes: number;
}

/**
 * Writes the index of a log anew, from the log itself, and puts it in place of the old one in one step. The log must not be open
 * for writing.
 *
 * @throws {EventLogError} `open_failed` when a file can't be read or written, `line_unreadable` as `EventLogReader` does
 */
export async function rebuildEventLogIndex(options: LogReaderOptions): Promise<RebuiltIndex> {
  const indexPath = options.indexPath ?? defaultIndexPath(options.path);
  const draftPath = `${indexPath}.new`;
  const file = await LogFile.create(draftPath);
  let rowCount = 0;
  let tornBytes = 0;
  try {
    let rows = `${indexHeader}\n`;
    for await (const line of logLines(options.path)) {
      if (!line.isWhole) {
        tornBytes += line.lineBytes;
        continue;
      }
      rows += indexRow(indexRowHead(readRecord(options.path, line)), line);
      rowCount += 1;
      if (rows.length < 65_536) continue;
      await file.append(Buffer.from(rows));
      rows = '';
    }
    await file.append(Buffer.from(rows));
  } finally {
    await file.close();
  }
  await rename(draftPath, indexPath);
  return { rowCount, tornBytes };
}

function readRecord(logPath: string, { text, segment, byteOffset }: LogLine): EventRecord {
  const record = parseEventRecord(text);
  if (record !== undefined) return record;
  const path = segmentPath(logPath, segment);
  const message = `${JSON.stringify(path)} has no event log line at byte ${byteOffset}`;
  throw new EventLogError('line_unreadable', path, message);
}

function endOf({ segment, byteOffset, lineBytes }: LinePlace): Pick<LinePlace, 'segment' | 'byteOffset'> {
  return { segment, byteOffset: byteOffset + lineBytes };
}
