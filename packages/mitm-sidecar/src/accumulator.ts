// Bytes that are kept until they make a whole: copied once into a buffer that doubles, so that a peer who sends them one
// by one costs no more than one who sends them together. Where there is a budget, it counts the whole buffer.
import type { ByteBudget } from 'mitm-core';

export class Accumulator {
  readonly #budget: ByteBudget | undefined;
  #buffer: Buffer;
  #length: number;
  #hasRoom: boolean;

  constructor(budget?: ByteBudget) {
    this.#budget = budget;
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
    this.#hasRoom = true;
  }

  /** False once the budget had no room for more. What had arrived is kept and counted all the same. */
  get hasRoom(): boolean {
    return this.#hasRoom;
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
      this.#count(larger.length - this.#buffer.length);
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = needed;
  }

  /** Everything kept so far, which is the caller's from here on. */
  take(): Buffer {
    const { bytes } = this;
    this.#budget?.release(this.#buffer.length);
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
    this.#hasRoom = true;
    return bytes;
  }

  #count(bytes: number): void {
    if (this.#budget === undefined || this.#budget.tryTake(bytes)) return;
    this.#budget.take(bytes);
    this.#hasRoom = false;
  }
}
