// Writes events to a file of JSON lines, with an index and optional rotation, without ever holding up the traffic: lines
// wait in a bounded buffer and are written in order. What the index says about a line is true whatever failed before it.
import { resolve } from 'node:path';

import { deterministicRecord, type EventRecord } from './event-record.ts';
import { isChunkKind, type EventSink, type MitmEvent } from './events.ts';
import { LogFile, removeFurtherSegments, segmentPath } from './log-file.ts';

export const eventLogErrorCodes = ['path_empty', 'path_shared', 'open_failed'] as const;
export type EventLogErrorCode = (typeof eventLogErrorCodes)[number];

/** An event log that could not be opened. The message names the path. */
export class EventLogError extends Error {
  readonly code: EventLogErrorCode;
  readonly path: string;

  constructor(code: EventLogErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EventLogError';
    this.code = code;
    this.path = path;
  }
}

export interface EventLogOptions {
  /** The log. Further segments are this path with `.part00001` and so on. */
  readonly path: string;
  /** The index of all segments; the log's path with `.index.tsv` when absent. */
  readonly indexPath?: string | undefined;
  /** How many events are collected before they are written, at least 1; 1 when absent. */
  readonly flushEvery?: number | undefined;
  /** The size in bytes beyond which a segment takes no further line; no rotation when absent or 0. */
  readonly rotateBytes?: number | undefined;
  /** Whether the text of server-sent events is written; false when absent. */
  readonly includeData?: boolean | undefined;
  /** Above this many bytes waiting, chunk-rate events are dropped, above twice as many all; 8 MiB when absent. */
  readonly maxBufferBytes?: number | undefined;
  /** Told the first failure to write, and each that follows a success. */
  readonly onWriteError?: ((error: Error) => void) | undefined;
}

/** A line that waits to be written, with its place. */
interface Entry {
  readonly record: EventRecord;
  readonly line: Buffer;
  segment: number;
  offset: number;
}

const indexHeader = [
  'sequence_id',
  'flow_id',
  'flow_sequence_id',
  'kind',
  'protocol',
  'stream_key',
  'segment_id',
  'byte_offset',
  'line_bytes',
].join('\t');

/** How characters that would break a row of the index are written in a stream key. */
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** A sink that writes format v2. Lines of one process run replace those of the run before. */
export class EventLog implements EventSink {
  readonly #path: string;
  readonly #flushEvery: number;
  readonly #rotateBytes: number;
  readonly #includeData: boolean;
  readonly #maxBufferBytes: number;
  readonly #onWriteError: ((error: Error) => void) | undefined;
  readonly #index: LogFile;
  #log: LogFile;
  #logSegment = 0;
  /** Where the next line will stand. */
  #segment = 0;
  #offset = 0;
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  #acceptedCount = 0;
  #settledCount = 0;
  #batch: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #droppedCount = 0;
  #queueDepthWatermark = 0;
  #writeErrorCount = 0;
  #lastError: string | undefined;
  #isFailing = false;

  private constructor(options: EventLogOptions, log: LogFile, index: LogFile) {
    this.#path = options.path;
    this.#flushEvery = Math.max(options.flushEvery ?? 1, 1);
    this.#rotateBytes =
      options.rotateBytes === undefined || options.rotateBytes <= 0 ? Infinity : options.rotateBytes;
    this.#includeData = options.includeData ?? false;
    this.#maxBufferBytes = options.maxBufferBytes ?? 8 * 1024 * 1024;
    this.#onWriteError = options.onWriteError;
    this.#log = log;
    this.#index = index;
  }

  /**
   * Makes the folders, empties log and index, and removes the further segments of an earlier run. Throws
   * {@link EventLogError}.
   */
  static async open(options: EventLogOptions): Promise<EventLog> {
    const indexPath = options.indexPath ?? `${options.path}.index.tsv`;
    for (const path of [options.path, indexPath]) {
      if (path.trim() === '')
        throw new EventLogError('path_empty', path, 'the event log needs a path; "" is none');
    }
    if (resolve(options.path) === resolve(indexPath)) {
      throw new EventLogError(
        'path_shared',
        indexPath,
        `log and index cannot both be ${JSON.stringify(indexPath)}`,
      );
    }
    const log = await openStep(options.path, () => LogFile.create(options.path));
    try {
      await openStep(options.path, () => removeFurtherSegments(options.path));
      return new EventLog(options, log, await openStep(indexPath, () => createIndex(indexPath)));
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** Events that wait to be written. */
  get queueDepth(): number {
    return this.#acceptedCount - this.#settledCount;
  }

  /** The most events that were waiting at once. */
  get queueDepthWatermark(): number {
    return this.#queueDepthWatermark;
  }

  /** Events that are in no file: left out because too much was waiting, given after `close`, or lost to an error. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** How many writes failed. */
  get writeErrorCount(): number {
    return this.#writeErrorCount;
  }

  /** What the last failed write said. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  consume(event: MitmEvent): void {
    const limit = isChunkKind(event.kind) ? this.#maxBufferBytes : 2 * this.#maxBufferBytes;
    if (this.#closing !== undefined || this.#waitingBytes >= limit) {
      this.#droppedCount += 1;
      return;
    }
    const record = deterministicRecord(event, { includeData: this.#includeData });
    const entry = { record, line: Buffer.from(`${JSON.stringify(record)}\n`), segment: 0, offset: 0 };
    this.#place(entry);
    this.#waiting.push(entry);
    this.#waitingBytes += entry.line.length;
    this.#acceptedCount += 1;
    this.#queueDepthWatermark = Math.max(this.#queueDepthWatermark, this.queueDepth);
    if (this.#waiting.length >= this.#flushEvery || this.#waitingBytes >= this.#maxBufferBytes) {
      void this.#writeBatch();
    }
  }

  /** Resolves when every event given so far was written, or lost to an error that is counted. Never rejects. */
  async flush(): Promise<void> {
    const target = this.#acceptedCount;
    while (this.#settledCount < target) await this.#writeBatch();
  }

  /** Flushes and closes the files. Events that come later are dropped and counted. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#flushAndClose();
    return this.#closing;
  }

  async #flushAndClose(): Promise<void> {
    await this.flush();
    await this.#closeFile(this.#log);
    await this.#closeFile(this.#index);
  }

  async #closeFile(file: LogFile): Promise<void> {
    try {
      await file.close();
    } catch (error) {
      this.#failed(error);
    }
  }

  #place(entry: Entry): void {
    if (this.#offset > 0 && this.#offset + entry.line.length > this.#rotateBytes) {
      this.#segment += 1;
      this.#offset = 0;
    }
    entry.segment = this.#segment;
    entry.offset = this.#offset;
    this.#offset += entry.line.length;
  }

  /** Starts a batch unless one is on its way; resolves when that one is settled. Never rejects. */
  #writeBatch(): Promise<void> {
    this.#batch ??= this.#runBatch().finally(() => {
      this.#batch = undefined;
      if (this.#waiting.length >= this.#flushEvery) void this.#writeBatch();
    });
    return this.#batch;
  }

  async #runBatch(): Promise<void> {
    const segment = this.#waiting[0]?.segment;
    if (segment === undefined) return;
    const next = this.#waiting.findIndex((entry) => entry.segment !== segment);
    const batch = this.#waiting.splice(0, next === -1 ? this.#waiting.length : next);
    const lines = Buffer.concat(batch.map((entry) => entry.line));
    try {
      await this.#enter(segment);
      await this.#log.append(lines);
      await this.#writeIndex(batch);
    } catch (error) {
      this.#droppedCount += batch.length;
      this.#failed(error);
      await this.#recover();
    } finally {
      this.#waitingBytes -= lines.length;
      this.#settledCount += batch.length;
    }
  }

  async #enter(segment: number): Promise<void> {
    if (segment === this.#logSegment) return;
    const file = await LogFile.create(segmentPath(this.#path, segment));
    const finished = this.#log;
    this.#log = file;
    this.#logSegment = segment;
    await this.#closeFile(finished);
  }

  async #writeIndex(batch: readonly Entry[]): Promise<void> {
    try {
      await this.#index.append(Buffer.from(batch.map(indexRow).join('')));
      this.#isFailing = false;
    } catch (error) {
      this.#failed(error);
      await this.#index.restore().catch((restoreError: unknown) => this.#failed(restoreError));
    }
  }

  /** After a failed write: cuts off what it left behind or goes to a new segment, and places what waits anew. */
  async #recover(): Promise<void> {
    try {
      await this.#log.restore();
      this.#segment = this.#logSegment;
      this.#offset = this.#log.size;
    } catch (error) {
      this.#failed(error);
      this.#segment = this.#logSegment + 1;
      this.#offset = 0;
    }
    for (const entry of this.#waiting) this.#place(entry);
  }

  #failed(error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#writeErrorCount += 1;
    this.#lastError = failure.message;
    if (this.#isFailing) return;
    this.#isFailing = true;
    try {
      this.#onWriteError?.(failure);
    } catch (reportError) {
      this.#failed(reportError);
    }
  }
}

async function createIndex(path: string): Promise<LogFile> {
  const index = await LogFile.create(path);
  try {
    await index.append(Buffer.from(`${indexHeader}\n`));
    return index;
  } catch (error) {
    await index.close();
    throw error;
  }
}

function indexRow({ record, line, segment, offset }: Entry): string {
  const streamKey = record.stream_key.replaceAll(
    /[\\\t\n\r]/g,
    (character) => escapes[character] ?? character,
  );
  const { sequence_id, flow_id, flow_sequence_id, kind, protocol } = record;
  const row = [
    sequence_id,
    flow_id,
    flow_sequence_id,
    kind,
    protocol,
    streamKey,
    segment,
    offset,
    line.length,
  ];
  return `${row.join('\t')}\n`;
}

async function openStep<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the event log cannot use ${JSON.stringify(path)}: ${reason}`;
    throw new EventLogError('open_failed', path, message, { cause: error });
  }
}
