// The index of a log that is being written: its rows wait for a while, are written together, and may move to another file. It is
// only a shorter way: rows that can't be written are lost, and a reader finds their lines without them.
import { open, rm } from 'node:fs/promises';

import { EventLogError, openStep } from './event-log-error.ts';
import { indexHeader } from './index-row.ts';
import { LogFile } from './log-file.ts';
import type { PreparedChange } from './prepared-change.ts';

/** The index may be this much behind the log. */
const PAUSE_MS = 250;
const BUFFER_CHARACTERS = 65_536;
const COPY_BYTES = 262_144;

/** Calls of `write` and `prepareMove` must not overlap. */
export class LogIndex {
  #onError: (error: unknown) => void;
  #path: string;
  #file: LogFile;
  #rows = '';
  #writtenAtMs = 0;
  #isHeldBack = false;

  private constructor(path: string, file: LogFile) {
    this.#path = path;
    this.#file = file;
    this.#onError = () => {};
  }

  /** Makes an empty index in place of any other file. Throws {@link EventLogError}. */
  static async create(path: string): Promise<LogIndex> {
    return openStep(path, async () => {
      const file = await LogFile.create(path);
      const index = new LogIndex(path, file);
      try {
        await file.append(Buffer.from(`${indexHeader}\n`));
      } catch (error) {
        await index.close();
        throw error;
      }
      return index;
    });
  }

  /** Tells what goes wrong from here on. */
  onError(listener: (error: unknown) => void): void {
    this.#onError = listener;
  }

  get path(): string {
    return this.#path;
  }

  /** True when there are rows that can be written. */
  get hasRows(): boolean {
    return this.#rows !== '' && !this.#isHeldBack;
  }

  /** True when rows have waited long enough. */
  get isDue(): boolean {
    return performance.now() - this.#writtenAtMs >= PAUSE_MS || this.#rows.length >= BUFFER_CHARACTERS;
  }

  add(row: string): void {
    this.#rows += row;
  }

  /** Writes the rows that wait. Never rejects. */
  async write(): Promise<void> {
    if (!this.hasRows) return;
    const rows = this.#rows;
    this.#rows = '';
    this.#writtenAtMs = performance.now();
    try {
      await this.#file.append(Buffer.from(rows));
    } catch (error) {
      this.#onError(error);
      await this.#attempt(() => this.#file.restore());
    }
  }

  /**
   * Copies what is written to another file, to go on there. Rows are held back until it is said whether that happens.
   *
   * @throws {EventLogError} when it can't be copied
   */
  async prepareMove(path: string): Promise<PreparedChange> {
    await this.write();
    const file = await openStep(path, () => LogFile.create(path));
    const remove = async (which: LogFile, where: string): Promise<void> => {
      await this.#attempt(() => which.close());
      await this.#attempt(() => rm(where, { force: true }));
    };
    try {
      await openStep(this.#path, () => copyTo(file, this.#path, this.#file.size));
    } catch (error) {
      await remove(file, path);
      throw error;
    }
    this.#isHeldBack = true;
    return {
      apply: async () => {
        const [before, beforePath] = [this.#file, this.#path];
        this.#file = file;
        this.#path = path;
        this.#isHeldBack = false;
        await remove(before, beforePath);
      },
      discard: async () => {
        this.#isHeldBack = false;
        await remove(file, path);
      },
    };
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#attempt(() => this.#file.close());
  }

  /** A step whose failure is only told. */
  async #attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#onError(error);
    }
  }
}

async function copyTo(file: LogFile, path: string, size: number): Promise<void> {
  const handle = await open(path);
  try {
    const piece = Buffer.allocUnsafe(COPY_BYTES);
    while (file.size < size) {
      const length = Math.min(piece.length, size - file.size);
      const { bytesRead } = await handle.read(piece, 0, length, file.size);
      if (bytesRead === 0)
        throw new EventLogError('open_failed', path, `${JSON.stringify(path)} was cut short`);
      await file.append(piece.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
