// Bytes of a frame that came in more than one chunk, gathered in one buffer that grows by doubling: any number of small
// chunks costs time in proportion to their bytes. What may be held at most is for the parser to say.

/** The buffer is kept between frames up to this size, and given back above it. */
const KEPT_BYTES = 65_536;
const FIRST_BYTES = 256;
const nothing: Buffer = Buffer.alloc(0);

export class HeldBytes {
  #bytes: Buffer;
  #length: number;

  constructor() {
    this.#bytes = nothing;
    this.#length = 0;
  }

  /** How many bytes are held. */
  get length(): number {
    return this.#length;
  }

  /** The byte at that offset from the end: 0 is the last one. -1 when there is none. */
  fromEnd(offset: number): number {
    return offset < this.#length ? (this.#bytes[this.#length - 1 - offset] ?? -1) : -1;
  }

  /** Copies `chunk[start, end)` behind what is held. */
  append(chunk: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    chunk.copy(this.#bytes, this.#length, start, end);
    this.#length += end - start;
  }

  appendByte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  /** What is held, as a view that is valid until the next change. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The same, and holds nothing any more. */
  take(): Buffer {
    const held = this.view();
    this.clear();
    return held;
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = nothing;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2, FIRST_BYTES));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** The same memory as a Buffer, whose searches are native and faster. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The limit as given. @throws {RangeError} unless it is a positive integer. */
export function checkedLimit(maxBytes: number): number {
  if (Number.isSafeInteger(maxBytes) && maxBytes > 0) return maxBytes;
  throw new RangeError(`maxBytes is a positive integer, not ${maxBytes}`);
}
