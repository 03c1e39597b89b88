// Pieces of a body that came before anybody could take them. They are copies, and are counted for as long as they are held.
import type { ByteBudget } from 'mitm-core';

export class HeldBytes {
  readonly #budget: ByteBudget;
  #pieces: Buffer[];
  #byteCount: number;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
    this.#pieces = [];
    this.#byteCount = 0;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  /** Keeps a copy, whatever the budget says: for what has arrived, where nothing more comes. */
  keep(piece: Buffer): void {
    this.#budget.take(piece.length);
    this.#add(piece);
  }

  /** Keeps a copy if the budget has room for it; false, keeping nothing, when it has not. */
  tryKeep(piece: Buffer): boolean {
    if (!this.#budget.tryTake(piece.length)) return false;
    this.#add(piece);
    return true;
  }

  /** All that was kept, in order; nothing is held any more. */
  release(): readonly Buffer[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#budget.release(this.#byteCount);
    this.#byteCount = 0;
    return pieces;
  }

  #add(piece: Buffer): void {
    this.#pieces.push(Buffer.from(piece));
    this.#byteCount += piece.length;
  }
}
