// A file that only grows and knows its size: after a failed write it can be cut back to the last whole one, so that the
// offsets told about it stay true.
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

// Appending rather than writing at a position lets the log be a pipe, and needs no seek after a cut.
const createEmpty = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND;

/** An append-only file. Calls must not overlap: each waits for the one before. */
export class LogFile {
  readonly #handle: FileHandle;
  #size = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Makes the folders and an empty file in place of any other. Rejects with the error of the file system. */
  static async create(path: string): Promise<LogFile> {
    await mkdir(dirname(path), { recursive: true });
    return new LogFile(await open(path, createEmpty));
  }

  /** Bytes of all appends that succeeded. */
  get size(): number {
    return this.#size;
  }

  /** Writes all bytes. After a rejection part of them may be in the file: see {@link restore}. */
  async append(bytes: Uint8Array): Promise<void> {
    let writtenBytes = 0;
    while (writtenBytes < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, writtenBytes);
      if (bytesWritten === 0) throw new Error('the file takes no more bytes');
      writtenBytes += bytesWritten;
    }
    this.#size += bytes.length;
  }

  /** Cuts off what a failed append left behind. Rejects where the file cannot be cut. */
  async restore(): Promise<void> {
    await this.#handle.truncate(this.#size);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Where a segment of a log is: the log itself, then `.part00001` and so on. */
export function segmentPath(logPath: string, segment: number): string {
  return segment === 0 ? logPath : `${logPath}.part${String(segment).padStart(5, '0')}`;
}

/** Removes the further segments that an earlier run left beside a log. */
export async function removeFurtherSegments(logPath: string): Promise<void> {
  const folder = dirname(logPath);
  const prefix = `${basename(logPath)}.part`;
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix) && /^\d{5,}$/.test(name.slice(prefix.length))) await rm(join(folder, name));
  }
}
