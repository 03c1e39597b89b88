// Delivers a flow's observing hooks one after the other, in order, without the relay waiting for them. It is bounded:
// what does not fit is dropped and counted by the caller.
import type { Awaitable } from './handler.ts';

/** A hook call that never throws; its errors are dealt with inside. */
export type QueuedCall = () => Awaitable<void>;

interface Waiting {
  readonly call: QueuedCall;
  /** Told when it will never run. */
  readonly dropped: (() => void) | undefined;
}

export class FlowQueue {
  readonly capacity: number;
  #waiting: Waiting[];
  #running: Promise<void> | undefined;
  #isClosed: boolean;
  #roomListener: (() => void) | undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#waiting = [];
    this.#running = undefined;
    this.#isClosed = false;
    this.#roomListener = undefined;
  }

  /** Calls that have not begun. */
  get depth(): number {
    return this.#waiting.length;
  }

  /** True when nothing runs and nothing waits. */
  get isIdle(): boolean {
    return this.#running === undefined;
  }

  /** True when a further call would not fit. */
  get isFull(): boolean {
    return this.#waiting.length >= this.capacity;
  }

  /** Calls back once, when half of the places are free again or nothing more will be run. */
  onRoom(listener: () => void): void {
    this.#roomListener = listener;
  }

  /**
   * Adds a call; false when the queue is full or closed. An idle queue runs a call that returns no promise at once.
   *
   * @param dropped told when the call, once taken, will never run
   * @param isForced takes it although the queue is full: the caller stops what feeds it
   */
  push(call: QueuedCall, dropped?: () => void, isForced = false): boolean {
    if (this.#isClosed) return false;
    if (this.#running !== undefined) {
      if (this.isFull && !isForced) return false;
      this.#waiting.push({ call, dropped });
      return true;
    }
    const first = call();
    if (isPromise(first)) this.#running = this.#run(first);
    return true;
  }

  /** Takes no more calls, and resolves when all that were taken have run. */
  async drain(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  /** Drops what has not begun and takes no more; returns how many calls were dropped. */
  abandon(): number {
    this.#isClosed = true;
    const dropped = this.#waiting;
    this.#waiting = [];
    for (const waiting of dropped) waiting.dropped?.();
    this.#tellRoom();
    return dropped.length;
  }

  async #run(first: Promise<void>): Promise<void> {
    await first;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#waiting.length <= this.capacity / 2) this.#tellRoom();
      await next.call();
    }
    this.#running = undefined;
    this.#tellRoom();
  }

  #tellRoom(): void {
    const listener = this.#roomListener;
    this.#roomListener = undefined;
    listener?.();
  }
}

/** True for a promise of our own making. Cheap, whatever else the value may be; for a caller's see `isThenable`. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** True for anything that can be awaited: what a handler returns may come from any library. */
export function isThenable<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
