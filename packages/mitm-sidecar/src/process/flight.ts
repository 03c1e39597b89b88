// One process lookup under way, and those who wait for it. It ends once: with its result, when its time is over, or when the
// last of those who wait has left.
import type { ProcessInfo } from 'mitm-core';

/** How a lookup can end. Only `found` brings a process; the others say why there is none. */
export type LookupResult =
  | { readonly kind: 'found'; readonly info: ProcessInfo }
  /** Nobody holds the client's end: it has been closed, or it is rewritten on its way here. */
  | { readonly kind: 'not_found' }
  /** The owner is hidden from the user that the proxy runs as. */
  | { readonly kind: 'not_permitted' }
  /** The client is on another machine. */
  | { readonly kind: 'remote' }
  /** `lookupTimeoutMs` is over, or so many lookups are under way that it would be. */
  | { readonly kind: 'timed_out' }
  /** No way to tell: an unknown operating system, or a Unix socket whose peer the system can't be asked for. */
  | { readonly kind: 'unsupported' }
  /** Switched off by `processAttribution.enabled`. */
  | { readonly kind: 'disabled' }
  /** The caller's signal, or the lookup's `close`. */
  | { readonly kind: 'aborted' }
  /** The system could not be asked. */
  | { readonly kind: 'failed'; readonly cause: unknown };

export const timedOut: LookupResult = Object.freeze({ kind: 'timed_out' });
export const aborted: LookupResult = Object.freeze({ kind: 'aborted' });

/** A result, and whether the process was known by its pid and start token. */
export interface Found {
  readonly result: LookupResult;
  readonly isIdentityHit: boolean;
}

/** Shared by all who ask for one connection at the same time. */
export class Flight {
  readonly #onEnd: (found: Found) => void;
  readonly #controller: AbortController;
  readonly #landing: Promise<LookupResult>;
  #land: (result: LookupResult) => void;
  #timer: NodeJS.Timeout | undefined;
  #waitingCount: number;
  #hasEnded: boolean;

  /** @param onEnd told the result once, before those who wait for it */
  constructor(onEnd: (found: Found) => void) {
    this.#onEnd = onEnd;
    this.#controller = new AbortController();
    this.#land = () => undefined;
    this.#landing = new Promise((resolve) => {
      this.#land = resolve;
    });
    this.#timer = undefined;
    this.#waitingCount = 0;
    this.#hasEnded = false;
  }

  /** Aborted when the flight ends before its search does. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends with what the search finds; a search that rejects has failed, one that takes longer has timed out. */
  begin(timeoutMs: number, search: Promise<Found>): void {
    this.#timer = setTimeout(() => this.cancel(timedOut), timeoutMs);
    this.#timer.unref();
    void search.then(
      (found) => this.#end(found),
      (cause: unknown) => this.#end({ result: { kind: 'failed', cause }, isIdentityHit: false }),
    );
  }

  /** Ends at once, with this result. */
  cancel(result: LookupResult): void {
    if (this.#hasEnded) return;
    this.#end({ result, isIdentityHit: false });
    this.#controller.abort();
  }

  /** Waits for the end, or for the signal, which gives `aborted`. */
  wait(signal: AbortSignal | undefined): Promise<LookupResult> {
    this.#waitingCount += 1;
    if (signal === undefined) return this.#landing;
    return new Promise((resolve) => {
      const leave = (): void => {
        resolve(aborted);
        this.#waitingCount -= 1;
        if (this.#waitingCount === 0) this.cancel(aborted);
      };
      signal.addEventListener('abort', leave, { once: true });
      void this.#landing.then((result) => {
        signal.removeEventListener('abort', leave);
        resolve(result);
      });
    });
  }

  #end(found: Found): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    this.#onEnd(found);
    this.#land(found.result);
  }
}
