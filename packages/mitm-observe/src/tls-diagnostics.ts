// Counts TLS failures per host, in total and within a rolling window, so that an event can say how often a host has
// failed. Memory is bounded whatever hosts clients name: the hosts touched least recently are forgotten.
import type { TlsFailureReason } from 'mitm-tls';

import type { TlsPeer } from './tls-event-fields.ts';

/** One failed handshake. */
export interface TlsFailureRecord {
  readonly host: string;
  readonly source: TlsPeer;
  readonly reason: TlsFailureReason;
  /** When, in milliseconds of any clock that does not go back; the same for all calls. */
  readonly nowMs: number;
}

/** Counts after a failure was recorded. */
export interface TlsFailureCounts {
  /** Failures of this host. */
  readonly hostCount: number;
  /** Failures of this host within the window. */
  readonly hostRollingCount: number;
  /** Failures of this host on that side. */
  readonly sourceCount: number;
  /** Failures of this host for that reason. */
  readonly reasonCount: number;
  /** Failures of all hosts. */
  readonly globalCount: number;
}

export interface TlsHostDiagnostics {
  readonly total: number;
  readonly rolling: number;
  readonly bySource: Readonly<Partial<Record<TlsPeer, number>>>;
  readonly byReason: Readonly<Partial<Record<TlsFailureReason, number>>>;
}

export interface TlsDiagnosticsSnapshot {
  readonly total: number;
  /** Hosts that were forgotten for lack of room. */
  readonly evicted: number;
  /** By host, in alphabetical order. */
  readonly hosts: ReadonlyMap<string, TlsHostDiagnostics>;
}

export interface TlsDiagnosticsOptions {
  /** Length of the rolling window in milliseconds; 300 000 when absent, 0 means 1000. */
  readonly windowMs?: number | undefined;
  /** How many hosts are remembered; 10 000 when absent. */
  readonly maxHosts?: number | undefined;
  /** How many failures of one host the window can count; 1000 when absent. */
  readonly maxFailuresPerHost?: number | undefined;
}

interface HostState {
  total: number;
  /** Times of the failures within the window, oldest first. */
  readonly times: number[];
  readonly bySource: Map<TlsPeer, number>;
  readonly byReason: Map<TlsFailureReason, number>;
}

/** TLS failure counts of one engine. It has no clock: time is passed in. */
export class TlsDiagnostics {
  readonly #windowMs: number;
  readonly #maxHosts: number;
  readonly #maxFailuresPerHost: number;
  /** In order of last use: the first is the next to be forgotten. */
  readonly #hosts = new Map<string, HostState>();
  #total = 0;
  #evicted = 0;

  constructor(options: TlsDiagnosticsOptions = {}) {
    this.#windowMs = Math.max(options.windowMs ?? 300_000, 0) || 1000;
    this.#maxHosts = options.maxHosts ?? 10_000;
    this.#maxFailuresPerHost = options.maxFailuresPerHost ?? 1000;
  }

  /** Counts a failure and returns where that leaves its host. */
  record(failure: TlsFailureRecord): TlsFailureCounts {
    const state = this.#touch(failure.host.toLowerCase());
    this.#total += 1;
    state.total += 1;
    state.times.push(failure.nowMs);
    this.#prune(state, failure.nowMs);
    if (state.times.length > this.#maxFailuresPerHost) state.times.shift();
    return {
      hostCount: state.total,
      hostRollingCount: state.times.length,
      sourceCount: increment(state.bySource, failure.source),
      reasonCount: increment(state.byReason, failure.reason),
      globalCount: this.#total,
    };
  }

  /** All counts as of `nowMs`, a time of the same clock as the records. */
  snapshot(nowMs: number): TlsDiagnosticsSnapshot {
    const hosts = new Map<string, TlsHostDiagnostics>();
    const inOrder = [...this.#hosts].toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [host, state] of inOrder) {
      this.#prune(state, nowMs);
      hosts.set(host, {
        total: state.total,
        rolling: state.times.length,
        bySource: Object.fromEntries(state.bySource),
        byReason: Object.fromEntries(state.byReason),
      });
    }
    return { total: this.#total, evicted: this.#evicted, hosts };
  }

  #touch(host: string): HostState {
    const known = this.#hosts.get(host);
    const state = known ?? { total: 0, times: [], bySource: new Map(), byReason: new Map() };
    if (known !== undefined) this.#hosts.delete(host);
    this.#hosts.set(host, state);
    if (this.#hosts.size > this.#maxHosts) {
      const [leastRecent] = this.#hosts.keys();
      if (leastRecent !== undefined) this.#hosts.delete(leastRecent);
      this.#evicted += 1;
    }
    return state;
  }

  #prune(state: HostState, nowMs: number): void {
    const firstWithin = state.times.findIndex((time) => nowMs - time <= this.#windowMs);
    state.times.splice(0, firstWithin === -1 ? state.times.length : firstWithin);
  }
}

function increment<K>(counts: Map<K, number>, key: K): number {
  const next = (counts.get(key) ?? 0) + 1;
  counts.set(key, next);
  return next;
}
