// A chain of keyed digests beside an event log: each entry vouches for the bytes of one write and for the entry before it, so
// that a line that was changed, removed or put in shows later (RFC 2104). The log itself stays as it is without one.
import { createHmac, randomBytes } from 'node:crypto';

import type { LogFile } from './log-file.ts';

export const eventChainSchema = 'soth-mitm-event-chain-v1';

/** What a chain entry vouches for. */
export interface ChainedBytes {
  readonly segment: number;
  readonly byteOffset: number;
  readonly bytes: Uint8Array;
  readonly lineCount: number;
}

/** One line of a chain, without its digest. The order of the keys is part of the format. */
export type ChainEntry =
  | { readonly schema: typeof eventChainSchema; readonly nonce: string }
  | {
      readonly segment: number;
      readonly byte_offset: number;
      readonly byte_length: number;
      readonly line_count: number;
    }
  | { readonly end: true; readonly line_count: number };

/** The shortest key, in bytes. */
export const shortestChainKey = 32;

/** The digest of an entry, in hexadecimal digits. */
export function chainDigest(
  key: Uint8Array,
  previous: string,
  entry: ChainEntry,
  bytes?: Uint8Array,
): string {
  const digest = createHmac('sha256', key)
    .update(previous)
    .update('\n')
    .update(JSON.stringify(entry))
    .update('\n');
  if (bytes !== undefined) digest.update(bytes);
  return digest.digest('hex');
}

/** Writes a chain. Calls must not overlap. */
export class LogChain {
  readonly #file: LogFile;
  readonly #key: Uint8Array;
  #last: string;
  #lineCount: number;

  private constructor(file: LogFile, key: Uint8Array) {
    this.#file = file;
    this.#key = key;
    this.#last = '';
    this.#lineCount = 0;
  }

  /** Begins a chain in an empty file. Entries of two chains with one key are told apart by a random text at their beginning. */
  static async begin(file: LogFile, key: Uint8Array): Promise<LogChain> {
    const chain = new LogChain(file, key);
    await chain.#write({ schema: eventChainSchema, nonce: randomBytes(16).toString('hex') });
    return chain;
  }

  /** Vouches for bytes that have been written. After a rejection nothing was added. */
  async add({ segment, byteOffset, bytes, lineCount }: ChainedBytes): Promise<void> {
    await this.#write(
      { segment, byte_offset: byteOffset, byte_length: bytes.length, line_count: lineCount },
      bytes,
    );
    this.#lineCount += lineCount;
  }

  /** Vouches that nothing follows. */
  async end(): Promise<void> {
    await this.#write({ end: true, line_count: this.#lineCount });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(entry: ChainEntry, bytes?: Uint8Array): Promise<void> {
    const mac = chainDigest(this.#key, this.#last, entry, bytes);
    try {
      await this.#file.append(Buffer.from(`${JSON.stringify({ ...entry, mac })}\n`));
    } catch (error) {
      await this.#file.restore();
      throw error;
    }
    this.#last = mac;
  }
}
