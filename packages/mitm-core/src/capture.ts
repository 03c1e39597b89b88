// A bounded copy of a body for a handler. Whatever does not fit the limit or the proxy's byte budget is left out and the
// copy marked as cut; the traffic itself never notices.
import type { ByteBudget } from './budget.ts';

export class Capture {
  readonly limitBytes: number;
  readonly #budget: ByteBudget;
  #pieces: Buffer[];
  #length: number;
  #isTruncated: boolean;
  #isReleased: boolean;

  constructor(limitBytes: number, budget: ByteBudget) {
    this.limitBytes = limitBytes;
    this.#budget = budget;
    this.#pieces = [];
    this.#length = 0;
    this.#isTruncated = false;
    this.#isReleased = false;
  }

  get length(): number {
    return this.#length;
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  /** Copies what fits of a piece and says how many bytes that was. Once the copy is cut, nothing more is taken. */
  push(piece: Buffer): number {
    if (this.#isTruncated || this.#isReleased || piece.length === 0) return 0;
    const room = Math.min(piece.length, this.limitBytes - this.#length);
    const taken = room > 0 && this.#budget.tryTake(room) ? room : 0;
    if (taken > 0) {
      this.#pieces.push(Buffer.from(piece.subarray(0, taken)));
      this.#length += taken;
    }
    this.#isTruncated = taken < piece.length;
    return taken;
  }

  /** Marks the copy as cut although it is below its limit: the body goes on after what was waited for. */
  truncate(): void {
    this.#isTruncated = true;
  }

  /** The copy as one buffer; it stays valid after `release`. */
  bytes(): Buffer {
    const only = this.#pieces[0];
    if (this.#pieces.length === 1 && only !== undefined) return only;
    const whole = Buffer.concat(this.#pieces, this.#length);
    this.#pieces = [whole];
    return whole;
  }

  /** Gives the bytes back to the budget. Safe to call again. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#budget.release(this.#length);
    this.#pieces = [];
  }
}
