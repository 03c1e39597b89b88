// The numbers of one engine. They are folded from event payloads as these are emitted, without an event object, and
// from calls where no event exists. Every field is described here once; type, snapshot and documentation derive from it.
import type { TlsFailureReason } from 'mitm-tls';

import { closeReasonMeanings, type CloseReason } from './close-reason.ts';
import { DurationHistogram, type DurationSnapshot } from './duration-histogram.ts';
import type { EventKind, EventPayloads } from './events.ts';

const countDescriptions = {
  activeConnections: 'Client connections open now.',
  totalConnections: 'Client connections accepted.',
  activeFlows: 'Flows open now: connections, and the requests within them.',
  maxActiveFlows: 'The most flows that were open at once.',
  flowCount: 'Flows that have ended.',
  flowDurationTotalMs: 'Sum of the durations of ended flows, in milliseconds.',
  flowDurationMaxMs: 'Longest duration of an ended flow, in milliseconds.',
  requestCount: 'Request heads read.',
  responseCount: 'Final and interim response heads read.',
  bytesFromClient: 'Bytes received from clients in ended flows: bodies, or raw bytes of tunnels.',
  bytesFromServer: 'Bytes received from origins in ended flows: bodies, or raw bytes of tunnels.',
  interceptedCount: 'Decisions that took effect as intercept.',
  tunnelledCount: 'Decisions that took effect as tunnel.',
  blockedCount: 'Decisions that took effect as block.',
  handlerPanicCount: 'Handler calls that threw or rejected.',
  handlerTimeoutCount: 'Handler calls that did not finish in time.',
  handlerFailOpenCount: 'Flows that went on although their handler had failed.',
  upstreamConnectErrorCount: 'Flows closed because the next hop could not be reached.',
  upstreamTimeoutCount: 'Flows closed because reaching the next hop, or a stage, took too long.',
  tlsFailureCount: 'Failed TLS handshakes, and failures of TLS after them, both sides.',
  tlsLearningIgnoredCount: 'TLS failures that were not allowed to teach anything.',
  tlsBackoffStartedCount: 'Times that a client was let through to a host for refusing our certificate.',
  tlsBackoffTunnelCount: 'Connections that were tunnelled for that reason.',
  tlsBackoffActive: 'Pairs of client and host that are let through now.',
  leafCacheHitCount: 'Client handshakes whose leaf certificate was in the cache.',
  leafCacheMissCount: 'Client handshakes for which a leaf certificate was made.',
  caRotationCount: 'Times that another certificate authority began to sign.',
  decoderFailureCount: 'First heads and observed frames that could not be read.',
  idleTimeoutCount: 'Flows closed because nothing moved within the idle time.',
  streamStageTimeoutCount: 'Stages that ran out of time, reaching the next hop included.',
  stuckFlowCount: 'Sum of idle and stage timeouts.',
  budgetDenialCount: 'Refused flow permits and refused reservations of memory.',
  flowPermitDenialCount: 'Connections refused because too many were open.',
  inFlightBudgetDenialCount: 'Reservations of memory refused because the budget was used up.',
  currentInFlightBytes: 'Bytes reserved now.',
  inFlightBytesWatermark: 'The most bytes that were reserved at once.',
  backpressureActivationCount: 'Times that a budget or a full queue made someone wait.',
  processAttributionFailureCount: 'Process lookups that ended without a result.',
  processAttributionTimeoutCount: 'Process lookups that ran out of time.',
  processCacheConnectionHitCount: 'Process lookups answered by the connection itself.',
  processCacheIdentityHitCount: 'Process lookups answered by process id and start time.',
  processCacheMissCount: 'Process lookups that no cache answered.',
  processCacheEvictionCount: 'Cached processes displaced for lack of room.',
  processPidReuseDetectedCount: 'Process ids seen again with another start time.',
  droppedDispatchWorkCount: 'Handler calls left out because a queue was full or the proxy was closing.',
  eventsDroppedCount: 'Events left out because a flow or a log had too many.',
  eventQueueDepth: 'Events waiting to be written now.',
  eventQueueDepthWatermark: 'The most events that were waiting to be written at once.',
  eventLogWriteErrorCount: 'Writes to the event log that failed.',
  listenerErrorCount: 'Times that an event listener threw or rejected.',
  openUpstreamConnections: 'Connections to origins that requests share, open now or being made.',
  eventLoopDelayMeanMs: 'Mean delay of the event loop now, within the last seconds, in milliseconds.',
  eventLoopDelayP99Ms: 'Delay of the event loop now that 99 of 100 stayed below, in milliseconds.',
  eventLoopDelayMaxMs: 'Longest delay of the event loop now, within the last seconds, in milliseconds.',
  invalidTransitionCount: 'Events that came in an order which the flow state machine does not know.',
  staleFlowReapCount: 'Always 0: no flow outlives its connection.',
  closedFlowIdEvictionCount: 'Always 0: closed flows are not remembered.',
} as const;

const groupDescriptions = {
  closedByReason: 'Ended flows by close reason.',
  tlsFailuresByReason: 'Failed TLS handshakes by failure reason.',
  durations: 'How long things took, in milliseconds: a histogram for each thing.',
} as const;

/** What each histogram of durations is about, in one sentence. */
export const durationDescriptions = {
  connection: 'Client connections, from accepting one to its end.',
  request: 'Requests, from their head to the end of their answer; WebSockets are left out.',
  handler: 'Calls of handler hooks, until they answered or ran out of time.',
  dial: 'TCP connections to next hops that came about.',
  clientHandshake: 'TLS handshakes with clients that were completed.',
  originHandshake: 'TLS handshakes with origins that were completed.',
} as const;

/** What is measured in durations. */
export type DurationName = keyof typeof durationDescriptions;

/** What each metric counts, in one sentence. */
export const metricDescriptions = { ...countDescriptions, ...groupDescriptions } as const;

/** A metric that is one number. */
export type CountName = keyof typeof countDescriptions;

type MetricGroups = {
  readonly closedByReason: Readonly<Record<CloseReason, number>>;
  readonly tlsFailuresByReason: Readonly<Record<TlsFailureReason, number>>;
  readonly durations: Readonly<Record<DurationName, DurationSnapshot>>;
};

/** A snapshot: plain numbers, which only rise but for those described as being "now" or the most or longest so far. */
export type ProxyMetrics = Readonly<Record<CountName, number>> &
  Pick<MetricGroups, keyof typeof groupDescriptions>;

/** How a process lookup can end. */
export const processLookupOutcomes = [
  'connection_hit',
  'identity_hit',
  'miss',
  'failed',
  'timed_out',
] as const;
export type ProcessLookupOutcome = (typeof processLookupOutcomes)[number];

/** What an engine has counted. */
interface Tally {
  readonly counts: Record<CountName, number>;
  readonly closed: Record<CloseReason, number>;
  readonly tlsFailures: Record<TlsFailureReason, number>;
}

const zeroCounts = zeros(countDescriptions);
const zeroCloses = zeros(closeReasonMeanings);
const zeroTlsFailures = {
  unknown_ca: 0,
  cert_validation: 0,
  handshake: 0,
  timeout: 0,
  eof_or_reset: 0,
  other: 0,
} satisfies Record<TlsFailureReason, number>;

/** Counts for one engine. Every method is cheap enough for the path of a request. */
export class Metrics {
  readonly #counts: Record<CountName, number> = { ...zeroCounts };
  readonly #tally: Tally = {
    counts: this.#counts,
    closed: { ...zeroCloses },
    tlsFailures: { ...zeroTlsFailures },
  };
  readonly #durations: Readonly<Record<DurationName, DurationHistogram>> = {
    connection: new DurationHistogram(),
    request: new DurationHistogram(),
    handler: new DurationHistogram(),
    dial: new DurationHistogram(),
    clientHandshake: new DurationHistogram(),
    originHandshake: new DurationHistogram(),
  };
  readonly #readers = new Map<CountName, () => number>();

  /** Folds one event into the counts; called once per event, whether or not anyone listens to it. */
  count<K extends EventKind>(kind: K, payload: EventPayloads[K]): void {
    const fold: Folding<K> | undefined = foldings[kind];
    fold?.(this.#tally, payload);
  }

  /**
   * Lets a count that lives elsewhere, such as a log's queue depth, appear in snapshots: what `read` returns is added to
   * this metric whenever a snapshot is taken.
   */
  readFrom(name: CountName, read: () => number): void {
    this.#readers.set(name, read);
  }

  connectionOpened(): void {
    this.#counts.totalConnections += 1;
    this.#counts.activeConnections += 1;
  }

  connectionClosed(): void {
    this.#counts.activeConnections -= 1;
  }

  flowOpened(): void {
    const counts = this.#counts;
    counts.activeFlows += 1;
    if (counts.activeFlows > counts.maxActiveFlows) counts.maxActiveFlows = counts.activeFlows;
  }

  flowClosed(durationMs: number): void {
    const counts = this.#counts;
    counts.activeFlows -= 1;
    counts.flowCount += 1;
    counts.flowDurationTotalMs += durationMs;
    if (durationMs > counts.flowDurationMaxMs) counts.flowDurationMaxMs = durationMs;
  }

  /** Something that is measured took so long. */
  took(what: DurationName, durationMs: number): void {
    this.#durations[what].record(durationMs);
  }

  handlerPanic(): void {
    this.#counts.handlerPanicCount += 1;
  }

  handlerTimeout(): void {
    this.#counts.handlerTimeoutCount += 1;
  }

  handlerFailedOpen(): void {
    this.#counts.handlerFailOpenCount += 1;
  }

  dispatchDropped(count = 1): void {
    this.#counts.droppedDispatchWorkCount += count;
  }

  eventsDropped(count = 1): void {
    this.#counts.eventsDroppedCount += count;
  }

  listenerFailed(): void {
    this.#counts.listenerErrorCount += 1;
  }

  invalidTransition(): void {
    this.#counts.invalidTransitionCount += 1;
  }

  /** A connection was refused because too many were open. */
  permitDenied(): void {
    this.#counts.flowPermitDenialCount += 1;
    this.#budgetDenied();
  }

  /** A reservation of memory was refused. */
  inFlightDenied(): void {
    this.#counts.inFlightBudgetDenialCount += 1;
    this.#budgetDenied();
  }

  /** A reservation was granted (positive) or given back (negative). */
  inFlightChanged(deltaBytes: number): void {
    const counts = this.#counts;
    counts.currentInFlightBytes += deltaBytes;
    if (counts.currentInFlightBytes > counts.inFlightBytesWatermark) {
      counts.inFlightBytesWatermark = counts.currentInFlightBytes;
    }
  }

  backpressureActivated(): void {
    this.#counts.backpressureActivationCount += 1;
  }

  processLookup(outcome: ProcessLookupOutcome): void {
    const counts = this.#counts;
    if (outcome === 'connection_hit') counts.processCacheConnectionHitCount += 1;
    else if (outcome === 'identity_hit') counts.processCacheIdentityHitCount += 1;
    else counts.processCacheMissCount += 1;
    if (outcome === 'failed') counts.processAttributionFailureCount += 1;
    if (outcome === 'timed_out') counts.processAttributionTimeoutCount += 1;
  }

  processCacheEvicted(): void {
    this.#counts.processCacheEvictionCount += 1;
  }

  processPidReused(): void {
    this.#counts.processPidReuseDetectedCount += 1;
  }

  /** All metrics as they are now, in a frozen object that later counting does not change. */
  snapshot(): ProxyMetrics {
    const counts = { ...this.#counts };
    for (const [name, read] of this.#readers) counts[name] += read();
    counts.stuckFlowCount += counts.idleTimeoutCount + counts.streamStageTimeoutCount;
    return Object.freeze({
      ...counts,
      closedByReason: Object.freeze({ ...this.#tally.closed }),
      tlsFailuresByReason: Object.freeze({ ...this.#tally.tlsFailures }),
      durations: Object.freeze({
        connection: this.#durations.connection.snapshot(),
        request: this.#durations.request.snapshot(),
        handler: this.#durations.handler.snapshot(),
        dial: this.#durations.dial.snapshot(),
        clientHandshake: this.#durations.clientHandshake.snapshot(),
        originHandshake: this.#durations.originHandshake.snapshot(),
      }),
    });
  }

  #budgetDenied(): void {
    this.#counts.budgetDenialCount += 1;
    this.#counts.backpressureActivationCount += 1;
  }
}

type Folding<K extends EventKind> = (tally: Tally, payload: EventPayloads[K]) => void;

const effectCounts = {
  intercept: 'interceptedCount',
  tunnel: 'tunnelledCount',
  block: 'blockedCount',
} as const;

const foldings: { readonly [K in EventKind]?: Folding<K> } = {
  connect_parse_failed: ({ counts }) => {
    counts.decoderFailureCount += 1;
  },
  connect_decision: ({ counts }, { action, effectiveAction, effectiveReason, stage }) => {
    // A word about an address changes nothing of what was counted before, unless it refuses.
    if (stage === 'address' && action !== 'block') return;
    counts[effectCounts[effectiveAction ?? action]] += 1;
    if (effectiveReason === 'tls_backoff') counts.tlsBackoffTunnelCount += 1;
  },
  tls_handshake_started: ({ counts }, { certCacheStatus }) => {
    if (certCacheStatus === 'hit') counts.leafCacheHitCount += 1;
    else if (certCacheStatus === 'miss') counts.leafCacheMissCount += 1;
  },
  tls_handshake_failed: ({ counts, tlsFailures }, { tlsFailureReason }) => {
    counts.tlsFailureCount += 1;
    tlsFailures[tlsFailureReason] += 1;
  },
  tls_learning_audit: ({ counts }) => {
    counts.tlsLearningIgnoredCount += 1;
  },
  tls_backoff_started: ({ counts }) => {
    counts.tlsBackoffStartedCount += 1;
  },
  request_headers: ({ counts }) => {
    counts.requestCount += 1;
  },
  response_headers: ({ counts }) => {
    counts.responseCount += 1;
  },
  decoder_failed: ({ counts }) => {
    counts.decoderFailureCount += 1;
  },
  stream_closed: foldClose,
  ca_rotation: ({ counts }, { stage }) => {
    if (stage === 'activated') counts.caRotationCount += 1;
  },
};

const timeoutWording = /timeout|timed out/i;

function foldClose({ counts, closed }: Tally, payload: EventPayloads['stream_closed']): void {
  const { reasonCode, reasonDetail } = payload;
  closed[reasonCode] += 1;
  counts.bytesFromClient += payload.bytesFromClient ?? 0;
  counts.bytesFromServer += payload.bytesFromServer ?? 0;
  counts.eventsDroppedCount += payload.eventsDropped ?? 0;
  if (reasonCode === 'idle_watchdog_timeout') counts.idleTimeoutCount += 1;
  if (reasonCode === 'upstream_connect_failed') counts.upstreamConnectErrorCount += 1;
  const isDialTimeout =
    reasonCode === 'upstream_connect_failed' &&
    reasonDetail !== undefined &&
    timeoutWording.test(reasonDetail);
  if (isDialTimeout || reasonCode === 'stream_stage_timeout') {
    counts.streamStageTimeoutCount += 1;
    counts.upstreamTimeoutCount += 1;
  }
}

function zeros<K extends string>(table: Readonly<Record<K, string>>): Record<K, number> {
  const entries = Object.keys(table).map((key) => [key, 0]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys are those of the table
  return Object.fromEntries(entries) as Record<K, number>;
}
