// What a proxy may hold at one time: client connections, and bytes that wait in our own buffers. Plain counters; what is
// taken is given back by whoever took it.

/** Counts client connections against `maxConcurrentFlows`. */
export class FlowPermits {
  readonly capacity: () => number;
  #taken: number;

  /** @param capacity read at each request, so that a reload takes effect at once */
  constructor(capacity: () => number) {
    this.capacity = capacity;
    this.#taken = 0;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes one permit; false when none is left. */
  tryTake(): boolean {
    if (this.#taken >= this.capacity()) return false;
    this.#taken += 1;
    return true;
  }

  /** Gives one permit back. */
  release(): void {
    this.#taken = Math.max(0, this.#taken - 1);
  }
}

/** Counts buffered bytes against `maxInFlightBytes`. */
export class ByteBudget {
  readonly capacity: () => number;
  readonly #onDenied: (() => void) | undefined;
  #held: number;
  #watermark: number;

  /** @param onDenied told each time that bytes did not fit */
  constructor(capacity: () => number, onDenied?: () => void) {
    this.capacity = capacity;
    this.#onDenied = onDenied;
    this.#held = 0;
    this.#watermark = 0;
  }

  get held(): number {
    return this.#held;
  }

  /** The most bytes ever held at once. */
  get watermark(): number {
    return this.#watermark;
  }

  /** Takes bytes if all of them fit; false, taking none, when they do not. */
  tryTake(bytes: number): boolean {
    if (this.#held + bytes > this.capacity()) {
      this.#onDenied?.();
      return false;
    }
    this.#held += bytes;
    if (this.#held > this.#watermark) this.#watermark = this.#held;
    return true;
  }

  /** Gives bytes back. */
  release(bytes: number): void {
    this.#held = Math.max(0, this.#held - bytes);
  }
}
