// Lets long synchronous work give way to the event loop: a few milliseconds at a time, and then everyone else has a turn.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long one stretch of work may take, in milliseconds. */
const SLICE_MS = 2;

/** The current stretch of work. Ask `isOver` between small steps, and await `giveWay` when it is. */
export class TimeSlice {
  readonly #signal: AbortSignal;
  #endsAtMs: number;

  /** @param signal ends the work at the next `giveWay` */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.#endsAtMs = performance.now() + SLICE_MS;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAtMs;
  }

  /** Begins a new stretch after the event loop has run. @throws the signal's reason when it was aborted */
  async giveWay(): Promise<void> {
    await nextTurn();
    this.#signal.throwIfAborted();
    this.#endsAtMs = performance.now() + SLICE_MS;
  }
}
