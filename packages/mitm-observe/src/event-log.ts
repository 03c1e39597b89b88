// Writes events to a file of JSON lines, with an index and optional rotation, without ever holding up the traffic: lines
// wait in a bounded buffer and are written in order. What the index says about a line is true whatever failed before it.
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';

import { openStep } from './event-log-error.ts';
import type { EventRecordOptions } from './event-record.ts';
import { isChunkKind, type EventSink, type MitmEvent } from './events.ts';
import { indexRow } from './index-row.ts';
import { LineEncoder } from './line-encoder.ts';
import { LogBuffer, type WaitingLine } from './log-buffer.ts';
import { LogChain } from './log-chain.ts';
import { LogFile } from './log-file.ts';
import { checkLogFiles, type LogFiles, type LogFilesOptions, openLogFiles } from './log-files.ts';
import type { LogIndex } from './log-index.ts';
import { chainPath, defaultIndexPath, segmentPath } from './log-segments.ts';
import { noChange, prepareAll, type PreparedChange } from './prepared-change.ts';

/** What can be changed while a log is open. */
export interface EventLogTuning extends EventRecordOptions {
  /** How many events are collected before they are written, at least 1; 1 when absent. What is fewer waits for a second. */
  readonly flushEvery?: number | undefined;
  /** The size in bytes beyond which a segment takes no further line; no rotation when absent or 0. */
  readonly rotateBytes?: number | undefined;
}

export interface EventLogOptions extends LogFilesOptions, EventLogTuning {
  /**
   * Above this many bytes waiting, events that come with every piece of a body are dropped, above eight times as many all;
   * 8 MiB when absent.
   */
  readonly maxBufferBytes?: number | undefined;
  /** Told the first failure to write, and each that follows a success. */
  readonly onWriteError?: ((error: Error) => void) | undefined;
}

/** Lines that are fewer than `flushEvery` are written after this time. */
const LONGEST_WAIT_MS = 1_000;
/** Between two writes: each costs as much as making some ten lines, so what comes meanwhile goes with the next. */
const PAUSE_MS = 10;

/** A sink that writes format v2. Lines of one process run replace those of the run before. */
export class EventLog implements EventSink {
  readonly #path: string;
  readonly #onWriteError: ((error: Error) => void) | undefined;
  readonly #index: LogIndex;
  #chain: LogChain | undefined;
  readonly #buffer: LogBuffer;
  #encoder: LineEncoder;
  #flushEvery: number;
  #log: LogFile;
  #logSegment = 0;
  #isIndexDue = false;
  #acceptedCount = 0;
  #settledCount = 0;
  /** The next write of enough lines, and of too few. */
  #soon: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;
  #batch: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #droppedCount = 0;
  #queueDepthWatermark = 0;
  #writeErrorCount = 0;
  #lastError: string | undefined;
  #isFailing = false;

  private constructor(options: EventLogOptions, files: LogFiles) {
    this.#path = options.path;
    this.#onWriteError = options.onWriteError;
    this.#buffer = new LogBuffer(options.maxBufferBytes ?? 8 * 1024 * 1024, rotationOf(options));
    this.#encoder = new LineEncoder(options);
    this.#flushEvery = Math.max(options.flushEvery ?? 1, 1);
    this.#log = files.log;
    this.#index = files.index;
    this.#index.onError((error) => this.#failed(error));
    this.#chain = files.chain;
  }

  /**
   * Makes the folders, empties log and index, and removes the further segments of an earlier run; or refuses, where `leftovers`
   * says so. Throws {@link EventLogError}.
   */
  static async open(options: EventLogOptions): Promise<EventLog> {
    return new EventLog(options, await openLogFiles(options));
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

  /** Other settings for events to come. What is absent goes back to its default. */
  tune(tuning: EventLogTuning): void {
    this.#encoder = new LineEncoder(tuning);
    this.#flushEvery = Math.max(tuning.flushEvery ?? 1, 1);
    this.#buffer.rotateBytes = rotationOf(tuning);
    this.#writeInTime();
  }

  /**
   * Gets ready to keep the index in another file, or to go on with another key or none. The index moves as a whole; another key begins
   * another part of the chain.
   *
   * @param files all of `indexPath` and `chainKey`: what is absent goes back to its default
   * @throws {EventLogError} when a file can't be used; the log goes on as it was then
   */
  prepare(files: Pick<LogFilesOptions, 'indexPath' | 'chainKey'>): Promise<PreparedChange> {
    const indexPath = files.indexPath ?? defaultIndexPath(this.#path);
    return prepareAll([
      async () => {
        checkLogFiles({ ...files, path: this.#path });
        if (resolve(indexPath) === resolve(this.#index.path)) return noChange;
        return this.#between(() => this.#index.prepareMove(indexPath));
      },
      () => this.#prepareKey(files.chainKey),
    ]);
  }

  async #prepareKey(key: Uint8Array | undefined): Promise<PreparedChange> {
    const chain = this.#chain;
    if (chain === undefined ? key === undefined : chain.isKeyedBy(key)) return noChange;
    const path = chainPath(this.#path);
    const next = chain ?? new LogChain(await openStep(path, () => LogFile.create(path)));
    return {
      apply: () => {
        this.#chain = next;
        return this.#between(() =>
          this.#attempt(() => next.turnTo(key, { segment: this.#logSegment, byteOffset: this.#log.size })),
        );
      },
      discard: async () => {
        if (chain !== undefined) return;
        await this.#attempt(() => next.close());
        await this.#attempt(() => rm(path, { force: true }));
      },
    };
  }

  /** Runs a step while nothing is written. */
  async #between<T>(step: () => Promise<T>): Promise<T> {
    while (this.#batch !== undefined) await this.#batch;
    const done = step();
    this.#batch = done.then(nothing, nothing).finally(() => {
      this.#batch = undefined;
      this.#writeInTime();
    });
    return done;
  }

  consume(event: MitmEvent): void {
    if (this.#closing !== undefined || !this.#buffer.hasRoom(isChunkKind(event.kind))) {
      this.#droppedCount += 1;
      return;
    }
    this.#buffer.push(this.#encoder.encode(event));
    this.#acceptedCount += 1;
    const depth = this.#acceptedCount - this.#settledCount;
    if (depth > this.#queueDepthWatermark) this.#queueDepthWatermark = depth;
    if (this.#soon === undefined && this.#batch === undefined) this.#writeInTime();
  }

  /** Resolves when every event given so far was written, or lost to an error that is counted. Never rejects. */
  async flush(): Promise<void> {
    const target = this.#acceptedCount;
    while (this.#settledCount < target) await this.#writeBatch();
    // Within a batch, so that two writes of the index never overlap.
    while (this.#index.hasRows) {
      this.#isIndexDue = true;
      await this.#writeBatch();
    }
  }

  /** Flushes and closes the files. Events that come later are dropped and counted. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#flushAndClose();
    return this.#closing;
  }

  async #flushAndClose(): Promise<void> {
    await this.flush();
    clearTimeout(this.#soon);
    clearTimeout(this.#later);
    await this.#attempt(async () => this.#chain?.end());
    await this.#attempt(() => this.#log.close());
    await this.#index.close();
    await this.#attempt(async () => this.#chain?.close());
  }

  /** Sees to it that what waits is written: after a short pause, or a second from now where it is too little. */
  #writeInTime(): void {
    if (this.#buffer.count >= this.#flushEvery || this.#buffer.isFull) {
      this.#soon ??= setTimeout(
        () => {
          this.#soon = undefined;
          void this.#writeBatch();
        },
        this.#buffer.isFull ? 0 : PAUSE_MS,
      );
    } else if (this.#buffer.count > 0 || this.#index.hasRows) {
      this.#later ??= setTimeout(() => {
        this.#later = undefined;
        void this.#writeBatch();
      }, LONGEST_WAIT_MS).unref();
    }
  }

  /** Starts a batch unless one is on its way; resolves when that one is settled. Never rejects. */
  #writeBatch(): Promise<void> {
    this.#batch ??= this.#runBatch().finally(() => {
      this.#batch = undefined;
      this.#writeInTime();
    });
    return this.#batch;
  }

  async #runBatch(): Promise<void> {
    const lines = this.#buffer.takeBatch();
    const [first] = lines;
    if (first === undefined) {
      await this.#index.write();
      return;
    }
    const bytes = bytesOf(lines);
    try {
      await this.#enter(first.segment);
      await this.#log.append(bytes);
      await this.#accountFor(lines, first, bytes);
    } catch (error) {
      this.#droppedCount += lines.length;
      this.#failed(error);
      await this.#recover();
    } finally {
      this.#buffer.settle(lines);
      this.#settledCount += lines.length;
    }
  }

  async #enter(segment: number): Promise<void> {
    if (segment === this.#logSegment) return;
    const file = await LogFile.create(segmentPath(this.#path, segment));
    const finished = this.#log;
    this.#log = file;
    this.#logSegment = segment;
    await this.#attempt(() => finished.close());
  }

  /** Writes what index and chain say about lines that are in the log. A failure leaves the log as it is. */
  async #accountFor(lines: readonly WaitingLine[], first: WaitingLine, bytes: Uint8Array): Promise<void> {
    const { segment, byteOffset } = first;
    for (const line of lines) this.#index.add(indexRow(line.rowHead, line));
    try {
      await this.#chain?.add({ segment, byteOffset, bytes, lineCount: lines.length });
      this.#isFailing = false;
    } catch (error) {
      this.#failed(error);
    }
    if (!this.#isIndexDue && !this.#index.isDue) return;
    this.#isIndexDue = false;
    await this.#index.write();
  }

  /** After a failed write: cuts off what it left behind or goes to a new segment, and places what waits anew. */
  async #recover(): Promise<void> {
    try {
      await this.#log.restore();
      this.#buffer.moveTo({ segment: this.#logSegment, byteOffset: this.#log.size });
    } catch (error) {
      this.#failed(error);
      this.#buffer.moveTo({ segment: this.#logSegment + 1, byteOffset: 0 });
    }
  }

  /** A step whose failure is only counted. */
  async #attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#failed(error);
    }
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

function bytesOf(lines: readonly WaitingLine[]): Buffer {
  let text = '';
  let byteCount = 0;
  for (const { line, lineBytes } of lines) {
    text += line;
    byteCount += lineBytes;
  }
  // Where each character is a byte they need not be looked at again.
  return Buffer.from(text, byteCount === text.length ? 'latin1' : 'utf8');
}

function rotationOf({ rotateBytes }: EventLogTuning): number {
  return rotateBytes === undefined || rotateBytes <= 0 ? Infinity : rotateBytes;
}

function nothing(): void {
  // Whoever asked for the step hears how it went.
}
