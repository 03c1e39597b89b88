// Keeps the last events in memory, for tests and for looking at a running proxy. It is a bounded ring: when it is full
// the oldest event goes, and the loss is counted.
import type { EventKind, EventSink, MitmEvent } from './events.ts';

export interface EventRecorderOptions {
  /** How many events are kept, at least 1; 10 000 when absent. */
  readonly capacity?: number | undefined;
}

type Waiter = (event: MitmEvent) => void;

/** An in-memory sink. */
export class EventRecorder implements EventSink {
  readonly #capacity: number;
  readonly #ring: MitmEvent[] = [];
  readonly #waiters = new Set<Waiter>();
  /** Where the oldest event stands once the ring is full. */
  #oldest = 0;
  #droppedCount = 0;

  /** Throws RangeError for a capacity that is not a whole number from 1. */
  constructor(options: EventRecorderOptions = {}) {
    const capacity = options.capacity ?? 10_000;
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(`recorder capacity ${capacity} is refused; give a whole number from 1`);
    }
    this.#capacity = capacity;
  }

  /** How many events had to make room since the last `clear`. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  consume(event: MitmEvent): void {
    if (this.#ring.length < this.#capacity) {
      this.#ring.push(event);
    } else {
      this.#ring[this.#oldest] = event;
      this.#oldest = (this.#oldest + 1) % this.#capacity;
      this.#droppedCount += 1;
    }
    for (const waiter of this.#waiters) waiter(event);
  }

  /** What is kept, oldest first, which is the order of the sequence ids. */
  events(): MitmEvent[] {
    return [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)];
  }

  /** The events of one flow, oldest first. */
  ofFlow(flowId: number): MitmEvent[] {
    return this.events().filter((event) => event.context.flowId === flowId);
  }

  /** The events whose sequence id is greater than this one. */
  after(sequenceId: number): MitmEvent[] {
    return this.events().filter((event) => event.sequenceId > sequenceId);
  }

  /** The kinds of what is kept, oldest first. */
  kinds(): EventKind[] {
    return this.events().map((event) => event.kind);
  }

  /**
   * Resolves with the first event, kept or to come, that is of this kind or satisfies the predicate. Rejects after
   * `timeoutMs` with an error that lists the last kinds seen.
   */
  waitFor<K extends EventKind>(kind: K, timeoutMs: number): Promise<MitmEvent<K>>;
  waitFor(predicate: (event: MitmEvent) => boolean, timeoutMs: number): Promise<MitmEvent>;
  async waitFor(wanted: EventKind | ((event: MitmEvent) => boolean), timeoutMs: number): Promise<MitmEvent> {
    const matches = typeof wanted === 'function' ? wanted : (event: MitmEvent) => event.kind === wanted;
    const kept = this.events().find(matches);
    if (kept !== undefined) return kept;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        const what = typeof wanted === 'function' ? 'matching event' : wanted;
        const seen = this.kinds().slice(-20).join(', ') || 'nothing';
        reject(new Error(`no ${what} within ${timeoutMs} ms; the last events were: ${seen}`));
      }, timeoutMs);
      const waiter: Waiter = (event) => {
        if (!matches(event)) return;
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(event);
      };
      this.#waiters.add(waiter);
    });
  }

  /** Forgets what is kept and the count of what was dropped. Whoever waits goes on waiting. */
  clear(): void {
    this.#ring.length = 0;
    this.#oldest = 0;
    this.#droppedCount = 0;
  }
}
