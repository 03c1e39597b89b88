// Compressed messages of one direction made readable (RFC 7692). All that one message leaves for the next is the last 32 KiB of what
// was inflated, so these are kept and given to zlib as its dictionary: no stream, no thread, no state but bytes.
import { constants, inflateRawSync } from 'node:zlib';
import type { InflateRaw } from 'node:zlib';

/** What a sender takes off the end of each compressed message, and a reader puts back (RFC 7692 §7.2.1). */
export const deflateTail: Buffer = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const usualWorkBytes = 33_554_432;
const nothing: Buffer = Buffer.alloc(0);
const leastChunkBytes = 1024;
const mostChunkBytes = 65_536;
// zlib's compressor takes a window of 2^9 where 2^8 was agreed on.
const leastWindowBits = 9;

/** Why a compressed message could not be read. */
export const inflateIssues = ['too_large', 'invalid_deflate', 'context_lost'] as const;
/** See {@link inflateIssues}. */
export type InflateIssue = (typeof inflateIssues)[number];

/** How the messages of one direction are compressed, and how much of one is wanted. */
export interface InflateOptions {
  /** Whether a message may refer to those before it: no `*_no_context_takeover` was agreed on. */
  readonly hasContextTakeover: boolean;
  /** Size of the sender's window: 8 to 15. */
  readonly windowBits: number;
  /** Most bytes of a message that are handed out. */
  readonly maxBytes: number;
  /** Most bytes that are inflated of a message for the sake of those behind it; at least `maxBytes`, 32 MiB unless given. */
  readonly maxWorkBytes?: number;
}

/** A message, as far as it could be read. */
export interface Inflated {
  /** At most `maxBytes`. Not used again by the inflater. */
  readonly bytes: Buffer;
  /** Its whole length; `undefined` when it is not known. */
  readonly totalBytes: number | undefined;
  readonly issue: InflateIssue | undefined;
}

interface InflateResult {
  readonly buffer: Buffer;
  readonly engine: InflateRaw;
}

/**
 * Inflates the messages of one direction in their order. A message longer than `maxBytes` is inflated all the same, up to `maxWorkBytes`,
 * so that the next one can be read. Beyond, or after {@link skip}, what came before is unknown: a message that refers to it is a
 * `context_lost`, never a guess, and those that don't are read, until all of the window is known again.
 */
export class MessageInflater {
  readonly #hasContextTakeover: boolean;
  readonly #windowBytes: number;
  readonly #maxBytes: number;
  readonly #workBytes: number;
  #window: Buffer;
  #windowLength: number;
  #isContextLost: boolean;

  constructor(options: InflateOptions) {
    this.#hasContextTakeover = options.hasContextTakeover;
    this.#windowBytes = 1 << Math.max(leastWindowBits, options.windowBits);
    this.#maxBytes = options.maxBytes;
    this.#workBytes = Math.max(options.maxBytes, options.maxWorkBytes ?? usualWorkBytes);
    this.#window = nothing;
    this.#windowLength = 0;
    this.#isContextLost = false;
  }

  /** Reads one message. @param body its payload with {@link deflateTail} behind it. */
  inflate(body: Buffer): Inflated {
    let whole: Buffer;
    try {
      const result = this.#run(body);
      // Behind a final block only the filler of §7.2.3.4 can stand; readers differ in what they make of more.
      if (result.engine.bytesWritten < body.length - deflateTail.length - 1) {
        return this.#fail('invalid_deflate');
      }
      whole = result.buffer;
    } catch (error) {
      return this.#fail(this.#issueOf(error));
    }
    if (this.#hasContextTakeover) this.#remember(whole);
    const totalBytes = whole.length;
    if (totalBytes <= this.#maxBytes) return { bytes: whole, totalBytes, issue: undefined };
    return { bytes: whole.subarray(0, this.#maxBytes), totalBytes, issue: 'too_large' };
  }

  /** A compressed message passed that was not read. */
  skip(): void {
    this.#isContextLost = this.#hasContextTakeover;
    this.#windowLength = 0;
  }

  #run(body: Buffer): InflateResult {
    const options = {
      info: true,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: this.#workBytes,
      chunkSize: Math.min(mostChunkBytes, Math.max(leastChunkBytes, body.length * 4)),
    };
    const length = this.#windowLength;
    const result: unknown =
      length === 0
        ? inflateRawSync(body, options)
        : inflateRawSync(body, { ...options, dictionary: this.#window.subarray(0, length) });
    if (isResult(result)) return result;
    throw new TypeError('zlib returned no engine beside the bytes, although `info` asked for it');
  }

  #issueOf(error: unknown): InflateIssue {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') return 'too_large';
    if (typeof code !== 'string' || !code.startsWith('Z_')) throw error;
    return this.#isContextLost ? 'context_lost' : 'invalid_deflate';
  }

  #fail(issue: InflateIssue): Inflated {
    this.skip();
    return { bytes: nothing, totalBytes: undefined, issue };
  }

  // Moving 32 KiB costs less than what zlib does to take them in.
  #remember(bytes: Buffer): void {
    const size = this.#windowBytes;
    if (this.#window.length === 0) this.#window = Buffer.allocUnsafeSlow(size);
    const added = Math.min(size, bytes.length);
    const kept = Math.min(this.#windowLength, size - added);
    this.#window.copyWithin(0, this.#windowLength - kept, this.#windowLength);
    bytes.copy(this.#window, kept, bytes.length - added);
    this.#windowLength = kept + added;
    if (this.#windowLength === size) this.#isContextLost = false;
  }
}

// The types of Node leave out what `info` does.
function isResult(result: unknown): result is InflateResult {
  return typeof result === 'object' && result !== null && 'engine' in result && 'buffer' in result;
}
