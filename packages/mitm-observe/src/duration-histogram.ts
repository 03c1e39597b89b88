// Counts durations by how long they were, in a fixed number of classes: a few additions each, and enough to tell the median
// from the tail.

/** The upper bounds of the classes in milliseconds, each included; a last class without a bound follows. */
export const durationBoundsMs = [
  0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
] as const;

/** A histogram at one moment. */
export interface DurationSnapshot {
  readonly count: number;
  readonly sumMs: number;
  /** How many fell into each class of `durationBoundsMs`, and into the last one. They are not added up. */
  readonly classes: readonly number[];
}

export class DurationHistogram {
  readonly #classes: number[] = Array.from({ length: durationBoundsMs.length + 1 }, () => 0);
  #count = 0;
  #sumMs = 0;

  /** Counts one duration. One below 0, as a clock that was set back would make, counts as 0. */
  record(durationMs: number): void {
    const ms = durationMs > 0 ? durationMs : 0;
    let index = 0;
    for (const bound of durationBoundsMs) {
      if (ms <= bound) break;
      index += 1;
    }
    this.#classes[index] = (this.#classes[index] ?? 0) + 1;
    this.#count += 1;
    this.#sumMs += ms;
  }

  snapshot(): DurationSnapshot {
    return Object.freeze({
      count: this.#count,
      sumMs: this.#sumMs,
      classes: Object.freeze([...this.#classes]),
    });
  }
}
