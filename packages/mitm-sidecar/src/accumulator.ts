// Bytes that are kept until they make a whole: copied once into a buffer that doubles, so that a peer who sends them one
// by one costs no more than one who sends them together.

export class Accumulator {
  #buffer: Buffer;
  #length: number;

  constructor() {
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }

  get length(): number {
    return this.#length;
  }

  /** Everything kept so far. The view is overwritten by nothing, but a later `push` may continue in another buffer. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Copies a chunk to the end. */
  push(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, 1024));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = needed;
  }
}
