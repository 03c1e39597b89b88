// Choices that a seed determines.
import { seededRandom } from '../lab/split.ts';

export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seededRandom(seed);
  }

  /** A whole number from 0 up to, and without, `limit`. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  /** True in so many of a hundred cases. */
  percent(share: number): boolean {
    return this.#next() * 100 < share;
  }

  /** @throws RangeError for an empty list */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new RangeError('nothing to choose from');
    return choice;
  }

  /** A whole number below `limit`, small ones as likely as large ones. */
  magnitude(limit: number): number {
    return Math.floor(limit ** this.#next()) - 1;
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }

  /** A seed for choices that shall not depend on the order of others. */
  seed(): number {
    return this.below(2 ** 31);
  }
}
