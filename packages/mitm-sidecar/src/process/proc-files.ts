// The few kinds of access to `/proc` that attribution needs. Entries there are made by the kernel in memory, so small ones
// are read synchronously (4 to 40 µs; a trip to the thread pool costs more); tables, which can be long, are not.
import { closeSync, openSync, read, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { opendir, readdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const readAsync = promisify(read);

const SMALL_FILE_BYTES = 4_096;
const TABLE_PIECE_BYTES = 65_536;
/** A folder with more entries is read off the event loop. */
const LARGE_FOLDER_COUNT = 2_048;

/** Paths are relative to `/proc`. Every method throws the errors of `node:fs`. */
export interface ProcFiles {
  /** The names in a folder, read off the event loop. */
  list(path: string): Promise<readonly string[]>;
  /** How many names are in such a folder of descriptors; 0 before Linux 6.2, which does not say. */
  descriptorCount(path: string): number;
  /** The names in a folder that is small but for exceptions; off the event loop when it is known to be large. */
  listDescriptors(path: string): readonly string[] | Promise<readonly string[]>;
  /** Where a link points to. */
  link(path: string): string;
  /** The first 4 KiB of a file as Latin-1 text. */
  text(path: string): string;
  /** A file of any length in pieces, read off the event loop. */
  pieces(path: string): AsyncIterable<Buffer>;
}

/** A real folder: `/proc`, or a copy of one. */
export class ProcFolder implements ProcFiles {
  readonly #root: string;
  readonly #scratch: Buffer;

  constructor(root = '/proc') {
    this.#root = root;
    this.#scratch = Buffer.allocUnsafe(SMALL_FILE_BYTES);
  }

  list(path: string): Promise<readonly string[]> {
    return readdir(this.#path(path));
  }

  descriptorCount(path: string): number {
    // The size of /proc/PID/fd is its number of entries since Linux 6.2.
    return statSync(this.#path(path)).size;
  }

  listDescriptors(path: string): readonly string[] | Promise<readonly string[]> {
    const folder = this.#path(path);
    return this.descriptorCount(path) > LARGE_FOLDER_COUNT ? listSlowly(folder) : readdirSync(folder);
  }

  link(path: string): string {
    return readlinkSync(this.#path(path));
  }

  text(path: string): string {
    const descriptor = openSync(this.#path(path), 'r');
    try {
      const length = readSync(descriptor, this.#scratch, 0, SMALL_FILE_BYTES, null);
      return this.#scratch.toString('latin1', 0, length);
    } finally {
      closeSync(descriptor);
    }
  }

  /** A piece is valid until the next one is asked for. */
  async *pieces(path: string): AsyncGenerator<Buffer, void> {
    const descriptor = openSync(this.#path(path), 'r');
    try {
      const buffer = Buffer.allocUnsafe(TABLE_PIECE_BYTES);
      for (;;) {
        const { bytesRead } = await readAsync(descriptor, buffer, 0, TABLE_PIECE_BYTES, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  /** Plain concatenation: thousands of paths are made for one search. */
  #path(path: string): string {
    return `${this.#root}/${path}`;
  }
}

async function listSlowly(folder: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const entry of await opendir(folder, { bufferSize: 512 })) names.push(entry.name);
  return names;
}

/** Whether the system refused access, as opposed to the entry having vanished. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');
}

const vanishedCodes: ReadonlySet<unknown> = new Set(['ENOENT', 'ESRCH', 'ENXIO']);

/** Whether an entry is not there, as when the process that it was about has ended. */
export function isVanished(error: unknown): boolean {
  return error instanceof Error && 'code' in error && vanishedCodes.has(error.code);
}
