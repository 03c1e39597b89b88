// What a proxy may hold at one time: client connections, and bytes that wait in our own buffers. Plain counters; what is
// taken is given back by whoever took it.

/** Counts client connections against `maxConcurrentFlows`. */
export class FlowPermits {
  readonly capacity: () => number;
  #taken: number;
  #watermark: number;

  /** @param capacity read at each request, so that a reload takes effect at once */
  constructor(capacity: () => number) {
    this.capacity = capacity;
    this.#taken = 0;
    this.#watermark = 0;
  }

  get taken(): number {
    return this.#taken;
  }

  /** The most permits ever taken at once. */
  get watermark(): number {
    return this.#watermark;
  }

  /** Takes one permit; false when none is left. */
  tryTake(): boolean {
    if (this.#taken >= this.capacity()) return false;
    this.#taken += 1;
    if (this.#taken > this.#watermark) this.#watermark = this.#taken;
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
  #waiting: (() => void)[];

  /** @param onDenied told each time that bytes did not fit */
  constructor(capacity: () => number, onDenied?: () => void) {
    this.capacity = capacity;
    this.#onDenied = onDenied;
    this.#held = 0;
    this.#watermark = 0;
    this.#waiting = [];
  }

  get held(): number {
    return this.#held;
  }

  /** The most bytes ever held at once. */
  get watermark(): number {
    return this.#watermark;
  }

  /** True when there is no room for a single byte more. */
  get isFull(): boolean {
    return this.#held >= this.capacity();
  }

  /** Takes bytes if all of them fit; false, taking none, when they do not. */
  tryTake(bytes: number): boolean {
    if (this.#held + bytes > this.capacity()) {
      this.#onDenied?.();
      return false;
    }
    this.take(bytes);
    return true;
  }

  /** Takes bytes although they may not fit: for what has arrived already and holds back what would follow. */
  take(bytes: number): void {
    this.#held += bytes;
    if (this.#held > this.#watermark) this.#watermark = this.#held;
  }

  /** Gives bytes back. */
  release(bytes: number): void {
    this.#held = Math.max(0, this.#held - bytes);
    if (this.#waiting.length === 0 || this.isFull) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const listener of waiting) listener();
  }

  /** Calls back once, when bytes are given back so that there is room. */
  onRoom(listener: () => void): void {
    this.#waiting.push(listener);
  }
}
