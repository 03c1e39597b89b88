// How late the event loop is: what everything in the process waits when something keeps it busy. Measured from the first reading
// on, so that a proxy whose metrics nobody reads wakes up for nothing.
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** Delays in milliseconds beyond what was asked for, within the last seconds. */
export interface LoopDelay {
  readonly meanMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const RESOLUTION_MS = 20;
/** A reading is about at least this long, so that two readers do not take the figures from each other. */
const SPAN_MS = 10_000;
const NS_PER_MS = 1e6;

const none: LoopDelay = Object.freeze({ meanMs: 0, p99Ms: 0, maxMs: 0 });

export class EventLoopDelay {
  readonly #nowMs: () => number;
  #histogram: IntervalHistogram | undefined;
  #spanBeganMs = 0;
  #before: LoopDelay = none;
  #isClosed = false;

  /** @param nowMs a clock that does not go back, in milliseconds */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** The worst of the span that goes on and the one before it. The first reading begins the measurement and says 0. */
  read(): LoopDelay {
    if (this.#isClosed) return this.#before;
    const nowMs = this.#nowMs();
    if (this.#histogram === undefined) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#histogram.enable();
      this.#spanBeganMs = nowMs;
      return none;
    }
    const current = delayOf(this.#histogram);
    const reading = worse(current, this.#before);
    if (nowMs - this.#spanBeganMs >= SPAN_MS) {
      this.#before = current;
      this.#histogram.reset();
      this.#spanBeganMs = nowMs;
    }
    return reading;
  }

  /** Ends the measurement. */
  close(): void {
    this.#isClosed = true;
    this.#histogram?.disable();
  }
}

function delayOf(histogram: IntervalHistogram): LoopDelay {
  if (histogram.count === 0) return none;
  return {
    meanMs: beyond(histogram.mean),
    p99Ms: beyond(histogram.percentile(99)),
    maxMs: beyond(histogram.max),
  };
}

/** The platform counts the whole interval between two looks. */
function beyond(ns: number): number {
  return Math.max(ns / NS_PER_MS - RESOLUTION_MS, 0);
}

function worse(one: LoopDelay, other: LoopDelay): LoopDelay {
  return {
    meanMs: Math.max(one.meanMs, other.meanMs),
    p99Ms: Math.max(one.p99Ms, other.p99Ms),
    maxMs: Math.max(one.maxMs, other.maxMs),
  };
}
