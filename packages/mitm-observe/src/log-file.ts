// A file that only grows and knows its size: after a failed write it can be cut back to the last whole one, so that the
// offsets told about it stay true. Only its owner can read it.
import { constants } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

// Appending rather than writing at a position lets the log be a pipe, and needs no seek after a cut.
const createEmpty = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND;
const ownerOnly = 0o600;

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
    const handle = await open(path, createEmpty, ownerOnly);
    try {
      const { mode, isFile } = await fileKind(handle);
      // One that was there before keeps its mode when it is opened.
      if (isFile && (mode & 0o777) !== ownerOnly) await handle.chmod(ownerOnly);
      return new LogFile(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
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

async function fileKind(handle: FileHandle): Promise<{ readonly mode: number; readonly isFile: boolean }> {
  const stats = await handle.stat();
  return { mode: stats.mode, isFile: stats.isFile() };
}
