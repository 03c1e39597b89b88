// The guard before anything is learnt from a TLS failure: only what was seen at first hand, by an engine that is known to tell the
// truth, on a side that is known, changes what is remembered. Everything else is named, counted and forgotten. No clock, no I/O.

/** A TLS failure as somebody reports it. The texts are compared without regard to case or to space around them. */
export interface TlsSignal {
  readonly host: string;
  /** The class of the failure, such as `unknown_ca`. */
  readonly failureReason: string;
  /** The side it came up on: `upstream` or `downstream`. */
  readonly failureSource: string;
  /** The TLS engine that reported it; ours is `node`. */
  readonly provider: string;
  /** Concluded from circumstances, such as a connection that was closed unused. */
  readonly isInferred: boolean;
}

/** Why a signal was applied or ignored, in the order in which the rules are tried; the last one is the one that teaches. */
export const tlsLearningReasons = [
  'missing_failure_reason',
  'inferred_hudsucker_signal',
  'inferred_signal',
  'hudsucker_signal',
  'non_authoritative_provider',
  'non_authoritative_source',
  'authoritative',
] as const;
export type TlsLearningReason = (typeof tlsLearningReasons)[number];

/** What became of a signal. */
export interface TlsLearningResult {
  readonly decision: 'applied' | 'ignored';
  readonly reasonCode: TlsLearningReason;
  /** Signals of this host that were applied; 0 for a host that taught nothing. */
  readonly hostCount: number;
  readonly globalApplied: number;
  readonly globalIgnored: number;
}

/** What is remembered of a host. */
export interface TlsLearntHost {
  readonly total: number;
  readonly byReason: Readonly<Record<string, number>>;
  readonly lastSource: string;
  readonly lastProvider: string;
}

export interface TlsLearningSnapshot {
  readonly applied: number;
  readonly ignored: number;
  /** Hosts that were forgotten for lack of room. */
  readonly evicted: number;
  /** By host, in alphabetical order. */
  readonly hosts: ReadonlyMap<string, TlsLearntHost>;
}

export interface TlsLearningOptions {
  /** Engines whose word counts; `node` when absent. */
  readonly providers?: readonly string[] | undefined;
  /** How many hosts are remembered; 10 000 when absent. */
  readonly maxHosts?: number | undefined;
}

interface HostState {
  total: number;
  readonly byReason: Map<string, number>;
  lastSource: string;
  lastProvider: string;
}

/** What TLS failures have taught one proxy. */
export class TlsLearning {
  readonly #providers: ReadonlySet<string>;
  readonly #maxHosts: number;
  /** In order of last use: the first is the next to be forgotten. */
  readonly #hosts = new Map<string, HostState>();
  #applied = 0;
  #ignored = 0;
  #evicted = 0;

  constructor(options: TlsLearningOptions = {}) {
    this.#providers = new Set(options.providers ?? ['node']);
    this.#maxHosts = options.maxHosts ?? 10_000;
  }

  /** Judges a signal, and learns from it if it may. */
  ingest(signal: TlsSignal): TlsLearningResult {
    const host = signal.host.trim().toLowerCase();
    const plain = {
      reason: plainText(signal.failureReason),
      source: plainText(signal.failureSource),
      provider: plainText(signal.provider),
      isInferred: signal.isInferred,
    };
    const reasonCode = this.#judge(plain);
    if (reasonCode === 'authoritative') {
      this.#applied += 1;
      this.#learn(host, plain);
    } else this.#ignored += 1;
    return {
      decision: reasonCode === 'authoritative' ? 'applied' : 'ignored',
      reasonCode,
      hostCount: this.#hosts.get(host)?.total ?? 0,
      globalApplied: this.#applied,
      globalIgnored: this.#ignored,
    };
  }

  /** Everything that is remembered now. */
  snapshot(): TlsLearningSnapshot {
    const inOrder = [...this.#hosts].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return {
      applied: this.#applied,
      ignored: this.#ignored,
      evicted: this.#evicted,
      hosts: new Map(
        inOrder.map(([host, { total, byReason, lastSource, lastProvider }]) => [
          host,
          { total, byReason: Object.fromEntries(byReason), lastSource, lastProvider },
        ]),
      ),
    };
  }

  /** The first rule that fits. */
  #judge(signal: PlainSignal): TlsLearningReason {
    const { reason, source, provider, isInferred } = signal;
    const isSecondHand = source.includes(secondHandEngine) || provider.includes(secondHandEngine);
    if (reason === '') return 'missing_failure_reason';
    if (isInferred) return isSecondHand ? 'inferred_hudsucker_signal' : 'inferred_signal';
    if (isSecondHand) return 'hudsucker_signal';
    if (!this.#providers.has(provider)) return 'non_authoritative_provider';
    return source === 'upstream' || source === 'downstream' ? 'authoritative' : 'non_authoritative_source';
  }

  #learn(host: string, { reason, source, provider }: PlainSignal): void {
    const known = this.#hosts.get(host);
    const state = known ?? { total: 0, byReason: new Map(), lastSource: source, lastProvider: provider };
    if (known !== undefined) this.#hosts.delete(host);
    this.#hosts.set(host, state);
    state.total += 1;
    state.byReason.set(reason, (state.byReason.get(reason) ?? 0) + 1);
    state.lastSource = source;
    state.lastProvider = provider;
    if (this.#hosts.size <= this.#maxHosts) return;
    const [leastRecent] = this.#hosts.keys();
    if (leastRecent !== undefined) this.#hosts.delete(leastRecent);
    this.#evicted += 1;
  }
}

interface PlainSignal {
  readonly reason: string;
  readonly source: string;
  readonly provider: string;
  readonly isInferred: boolean;
}

/** An engine that tells no errors of its own: what is reported in its name is a guess. */
const secondHandEngine = 'hudsucker';

function plainText(text: string): string {
  return text.trim().toLowerCase();
}
