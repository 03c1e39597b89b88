// What the load and the test that starts it tell each other.

/** What kind of origins and clients there are. */
export interface LoadKind {
  /** Plain proxy requests, or requests inside intercepted TLS. */
  readonly lane: 'plain' | 'tls';
  /** `named` ones say which they are and what they were told of the way; `unhurried` ones take their time now and then. */
  readonly origins: 'named' | 'unhurried';
}

/** Told when the origins listen. */
export interface LoadReady {
  /** In their order; those that are `named` are called `one` and `two`. */
  readonly ports: readonly number[];
  /** A file with the authority of their certificates. */
  readonly caFile: string;
}

export interface LoadOrder {
  readonly proxyPort: number;
  readonly proxyCa: string;
  readonly clientCount: number;
  /** Requests a second, over all clients. Fewer are made where more can't be. */
  readonly rate: number;
  /** How long new requests are made; without it, until nobody takes connections any more. */
  readonly forMs?: number;
}

/** How it went. */
export interface LoadResult {
  readonly answeredCount: number;
  /** Answers that were whole, and were refusals or errors. */
  readonly failedCount: number;
  /** Paths of requests whose connection ended without an answer. */
  readonly unanswered: readonly string[];
  /** What answers showed of the configurations that they met, and how often. */
  readonly traces: Readonly<Record<string, number>>;
}
