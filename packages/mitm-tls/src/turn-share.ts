// A share of each turn of the event loop: pieces of short synchronous work run at once while the share lasts, and the
// rest wait for later turns in the order they came, so that a burst of them keeps nobody else from being served.

/** At most so many pieces that had to wait are run in one turn. */
const piecesPerTurn = 8;

/** Runs work within a share of each turn. */
export class TurnShare {
  readonly #shareMs: number;
  readonly #waiting: (() => void)[] = [];
  /** Spent in this turn on what did not have to wait. */
  #usedMs = 0;
  #isResetPlanned = false;
  /** How many callbacks are left that may each run one piece; all of them belong to one turn. */
  #callbacksLeft = 0;
  #turnBeganMs: number | undefined;

  constructor(shareMs: number) {
    this.#shareMs = shareMs;
  }

  /**
   * Runs `work`, now or in a later turn. Throws or rejects with what it throws. Of asynchronous work, what it does before it
   * first waits is what counts.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
  run<T>(work: () => T): T | Promise<T>;
  run(work: () => unknown): unknown {
    if (this.#usedMs < this.#shareMs && this.#waiting.length === 0) return this.#measured(work);
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(this.#measured(work));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      this.#planTurn();
    });
  }

  #measured<T>(work: () => T): T {
    const startMs = performance.now();
    try {
      return work();
    } finally {
      this.#usedMs += performance.now() - startMs;
      this.#planReset();
    }
  }

  #planReset(): void {
    if (this.#isResetPlanned) return;
    this.#isResetPlanned = true;
    setImmediate(() => {
      this.#isResetPlanned = false;
      this.#usedMs = 0;
    });
  }

  /**
   * Each piece gets a callback of its own: what it sets off, promises and ticks, is done when the next one begins, and counts as a
   * part of the share. A handshake does most of its work there.
   */
  #planTurn(): void {
    if (this.#callbacksLeft > 0) return;
    this.#callbacksLeft = piecesPerTurn;
    this.#turnBeganMs = undefined;
    for (let count = 0; count < piecesPerTurn; count += 1) setImmediate(() => this.#runOne());
  }

  #runOne(): void {
    const nowMs = performance.now();
    this.#turnBeganMs ??= nowMs;
    if (nowMs - this.#turnBeganMs < this.#shareMs) this.#waiting.shift()?.();
    this.#callbacksLeft -= 1;
    if (this.#waiting.length > 0) this.#planTurn();
  }
}
