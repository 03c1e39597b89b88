// Those who wait for a connection to one origin, in the order in which they came, each for a limited time.
import type { Awaitable, Failure, Flow } from 'mitm-core';

import type { Outbound } from '../relay/sides.ts';

/** Somebody who waits. */
export interface Waiter<R> {
  readonly request: R;
  readonly resolve: (connection: Awaitable<Outbound>) => void;
}

interface Place<R> extends Waiter<R> {
  readonly reject: (failure: Failure) => void;
  readonly timer: NodeJS.Timeout;
}

export class WaitingLine<R extends { readonly flow: Flow }> {
  readonly #places: Place<R>[];

  constructor() {
    this.#places = [];
  }

  /** Whoever has waited longest. */
  get first(): Waiter<R> | undefined {
    return this.#places[0];
  }

  /** Waits for a turn. @param late what to fail with when none comes in time */
  join(request: R, timeoutMs: number, late: () => Failure): Promise<Outbound> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#remove(this.#places.findIndex((place) => place.timer === timer));
        reject(late());
      }, timeoutMs);
      this.#places.push({ request, resolve, reject, timer });
    });
  }

  /** Takes the one out that has waited longest and may be served. */
  take(isServed: (request: R) => boolean = () => true): Waiter<R> | undefined {
    return this.#remove(this.#places.findIndex(({ request }) => isServed(request)));
  }

  /** The exchange of this flow waits no longer. */
  leave(flow: Flow, failure: () => Failure): void {
    this.#remove(this.#places.findIndex(({ request }) => request.flow === flow))?.reject(failure());
  }

  /** Nobody will be served any more. */
  dismiss(failure: () => Failure): void {
    while (this.#places.length > 0) this.#remove(0)?.reject(failure());
  }

  #remove(at: number): Place<R> | undefined {
    const [place] = at === -1 ? [] : this.#places.splice(at, 1);
    clearTimeout(place?.timer);
    return place;
  }
}
