// A share of each turn of the event loop: pieces of short synchronous work run at once while the share lasts, and the
// rest wait for later turns in the order they came, so that a burst of them keeps nobody else from being served.

/** Runs work within a share of each turn. */
export class TurnShare {
  readonly #shareMs: number;
  readonly #waiting: (() => void)[] = [];
  #usedMs = 0;
  #hasBegun = false;

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
    });
  }

  #measured<T>(work: () => T): T {
    const startMs = performance.now();
    try {
      return work();
    } finally {
      this.#usedMs += performance.now() - startMs;
      this.#endLater();
    }
  }

  #endLater(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    setImmediate(() => {
      this.#hasBegun = false;
      this.#usedMs = 0;
      while (this.#usedMs < this.#shareMs) {
        const next = this.#waiting.shift();
        if (next === undefined) return;
        next();
      }
    });
  }
}
