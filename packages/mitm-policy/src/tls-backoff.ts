// Which clients are let through unread to which hosts, because they keep refusing our certificate: for one client and exactly one host,
// after several strikes in a row, for a limited time. A parent domain, another client or another host is never concerned. No clock: time
// is passed in, in milliseconds of any clock that does not go back.

/** Who failed where. */
export interface TlsBackoffKey {
  /** The client: its program, or its address where that is not known. Any text that is the same for the same client. */
  readonly client: string;
  /** The canonical host that was asked for. */
  readonly host: string;
}

export interface TlsBackoffLimits {
  /** How many strikes, without a served request between them, let a client through. */
  readonly strikes: number;
  /** How far apart the first and the last of them may be, in milliseconds. */
  readonly windowMs: number;
  /** How long the client is let through, in milliseconds. */
  readonly ttlMs: number;
}

/** What a strike led to. */
export interface TlsStrike {
  /** Strikes within the window, this one included. */
  readonly strikes: number;
  /** The client is let through from now on, and was not before. */
  readonly hasBegun: boolean;
}

/** One client and host that have strikes or are let through. */
export interface TlsBackoffEntry extends TlsBackoffKey {
  readonly strikes: number;
  readonly isLetThrough: boolean;
  /** Until it is intercepted again, in milliseconds; 0 where it is intercepted. */
  readonly remainingMs: number;
}

export interface TlsBackoffOptions {
  /** How many pairs of client and host are remembered; 10 000 when absent. */
  readonly maxEntries?: number | undefined;
}

interface State extends TlsBackoffKey {
  times: number[];
  /** Let through until then; undefined while it is intercepted. */
  untilMs: number | undefined;
}

/** The back-off of one proxy. */
export class TlsBackoff {
  readonly #maxEntries: number;
  /** In order of last use: the first is the next to be forgotten. */
  readonly #states = new Map<string, State>();

  constructor(options: TlsBackoffOptions = {}) {
    this.#maxEntries = options.maxEntries ?? 10_000;
  }

  /** True when nothing is remembered: nobody is let through, whoever asks. */
  get isEmpty(): boolean {
    return this.#states.size === 0;
  }

  /** Notes that a client refused the certificate for a host. */
  strike(key: TlsBackoffKey, nowMs: number, limits: TlsBackoffLimits): TlsStrike {
    const state = this.#touch(key);
    this.#expire(state, nowMs);
    state.times = state.times.filter((time) => nowMs - time <= limits.windowMs);
    state.times.push(nowMs);
    const strikes = state.times.length;
    if (strikes < limits.strikes) return { strikes, hasBegun: false };
    const hasBegun = state.untilMs === undefined;
    state.untilMs = nowMs + limits.ttlMs;
    // Nothing beyond the limit is of use, and the list must not grow.
    state.times = state.times.slice(-limits.strikes);
    return { strikes, hasBegun };
  }

  /** Notes that a request of this client to this host was served: its strikes are forgotten. */
  served(key: TlsBackoffKey): void {
    if (this.#states.size > 0) this.#states.delete(idOf(key));
  }

  /** Whether the client is let through to the host. */
  isLetThrough(key: TlsBackoffKey, nowMs: number): boolean {
    const state = this.#states.get(idOf(key));
    if (state === undefined) return false;
    if (this.#expire(state, nowMs)) this.#states.delete(idOf(key));
    return state.untilMs !== undefined;
  }

  /** Every pair that is remembered, by host and client in alphabetical order. */
  snapshot(nowMs: number): readonly TlsBackoffEntry[] {
    return [...this.#states.values()]
      .map((state) => {
        this.#expire(state, nowMs);
        const { client, host, times, untilMs } = state;
        const remainingMs = untilMs === undefined ? 0 : untilMs - nowMs;
        return { client, host, strikes: times.length, isLetThrough: untilMs !== undefined, remainingMs };
      })
      .toSorted((a, b) => compare(a.host, b.host) || compare(a.client, b.client));
  }

  /** How many pairs are let through now. */
  letThroughCount(nowMs: number): number {
    let count = 0;
    for (const state of this.#states.values()) {
      this.#expire(state, nowMs);
      if (state.untilMs !== undefined) count += 1;
    }
    return count;
  }

  /**
   * Forgets strikes and lets nobody through any more.
   *
   * @param host only for this canonical host; everything when absent
   * @returns how many pairs were forgotten
   */
  reset(host?: string): number {
    let count = 0;
    for (const [id, state] of this.#states) {
      if (host !== undefined && state.host !== host) continue;
      this.#states.delete(id);
      count += 1;
    }
    return count;
  }

  /** True when the time of a client that was let through is over: it begins anew, without strikes. */
  #expire(state: State, nowMs: number): boolean {
    if (state.untilMs === undefined || nowMs < state.untilMs) return false;
    state.untilMs = undefined;
    state.times = [];
    return true;
  }

  #touch(key: TlsBackoffKey): State {
    const id = idOf(key);
    const known = this.#states.get(id);
    const state = known ?? { client: key.client, host: key.host, times: [], untilMs: undefined };
    if (known !== undefined) this.#states.delete(id);
    this.#states.set(id, state);
    if (this.#states.size > this.#maxEntries) {
      const [leastRecent] = this.#states.keys();
      if (leastRecent !== undefined) this.#states.delete(leastRecent);
    }
    return state;
  }
}

function idOf({ client, host }: TlsBackoffKey): string {
  return `${host} ${client}`;
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
