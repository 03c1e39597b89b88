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
  | {
      readonly schema: typeof eventChainSchema;
      readonly nonce: string;
      /** Where a chain begins that does not begin with the log: nobody vouches for what lies between it and the chain before. */
      readonly from_segment?: number;
      readonly from_offset?: number;
    }
  | {
      readonly segment: number;
      readonly byte_offset: number;
      readonly byte_length: number;
      readonly line_count: number;
    }
  /** With `continues`, the log goes on, under another key or under none. */
  | { readonly end: true; readonly line_count: number; readonly continues?: true };

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

/** Writes a chain. Calls must not overlap. Without a key nothing is vouched for. */
export class LogChain {
  readonly #file: LogFile;
  #key: Uint8Array | undefined;
  #last: string;
  #lineCount: number;

  /** @param file empty */
  constructor(file: LogFile) {
    this.#file = file;
    this.#key = undefined;
    this.#last = '';
    this.#lineCount = 0;
  }

  /** Begins a chain in an empty file. Entries of two chains with one key are told apart by a random text at their beginning. */
  static async begin(file: LogFile, key: Uint8Array): Promise<LogChain> {
    const chain = new LogChain(file);
    await chain.#write(key, { schema: eventChainSchema, nonce: randomBytes(16).toString('hex') });
    chain.#key = key;
    return chain;
  }

  /** Whether what is added now is vouched for with this key; undefined asks whether it is not vouched for. */
  isKeyedBy(key: Uint8Array | undefined): boolean {
    if (this.#key === undefined || key === undefined) return this.#key === key;
    return Buffer.compare(this.#key, key) === 0;
  }

  /**
   * Vouches from here on with another key, or with none. After a rejection nothing is vouched for any more, or everything as before.
   *
   * @param at where the next bytes of the log will stand
   */
  async turnTo(key: Uint8Array | undefined, at: Pick<ChainedBytes, 'segment' | 'byteOffset'>): Promise<void> {
    if (this.#key !== undefined)
      await this.#write(this.#key, { end: true, line_count: this.#lineCount, continues: true });
    this.#key = undefined;
    this.#lineCount = 0;
    if (key === undefined) return;
    const nonce = randomBytes(16).toString('hex');
    const from = { from_segment: at.segment, from_offset: at.byteOffset };
    await this.#write(key, { schema: eventChainSchema, nonce, ...from });
    this.#key = key;
  }

  /** Vouches for bytes that have been written. After a rejection nothing was added. */
  async add({ segment, byteOffset, bytes, lineCount }: ChainedBytes): Promise<void> {
    if (this.#key === undefined) return;
    await this.#write(
      this.#key,
      { segment, byte_offset: byteOffset, byte_length: bytes.length, line_count: lineCount },
      bytes,
    );
    this.#lineCount += lineCount;
  }

  /** Vouches that nothing follows. */
  async end(): Promise<void> {
    if (this.#key !== undefined) await this.#write(this.#key, { end: true, line_count: this.#lineCount });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(key: Uint8Array, entry: ChainEntry, bytes?: Uint8Array): Promise<void> {
    const mac = chainDigest(key, this.#last, entry, bytes);
    try {
      await this.#file.append(Buffer.from(`${JSON.stringify({ ...entry, mac })}\n`));
    } catch (error) {
      await this.#file.restore();
      throw error;
    }
    this.#last = mac;
  }
}
