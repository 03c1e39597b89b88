import { describe, expect, expectTypeOf, test } from 'vitest';

import { closeReasons } from '../src/close-reason.ts';
import {
  durationDescriptions,
  metricDescriptions,
  Metrics,
  processLookupOutcomes,
  type ProxyMetrics,
} from '../src/metrics.ts';
import { failurePayload } from './failure-fixture.ts';

/** The metrics that differ from a new engine's. */
function changed(use: (metrics: Metrics) => void): Partial<ProxyMetrics> {
  const metrics = new Metrics();
  const before: Readonly<Record<string, unknown>> = metrics.snapshot();
  use(metrics);
  const after = Object.entries(metrics.snapshot());
  return Object.fromEntries(
    after.filter(([name, value]) => typeof value === 'number' && value !== before[name]),
  );
}

describe('the snapshot', () => {
  test('has every described metric, at zero, and no other', () => {
    const { closedByReason, tlsFailuresByReason, durations, ...counts } = new Metrics().snapshot();
    expect(Object.keys(metricDescriptions).toSorted()).toEqual(
      [...Object.keys(counts), 'closedByReason', 'tlsFailuresByReason', 'durations'].toSorted(),
    );
    const numbers = [counts, closedByReason, tlsFailuresByReason].flatMap((group) => Object.values(group));
    expect(new Set(numbers)).toEqual(new Set([0]));
    expect(Object.keys(durations)).toEqual(Object.keys(durationDescriptions));
    expect(Object.values(durations).every(({ count }) => count === 0)).toBe(true);
    expect(Object.keys(closedByReason).toSorted()).toEqual(closeReasons.toSorted());
  });

  test('AP-18 has every count of the original', () => {
    expect(new Metrics().snapshot()).toMatchObject({
      activeConnections: 0,
      totalConnections: 0,
      handlerPanicCount: 0,
      handlerTimeoutCount: 0,
      upstreamConnectErrorCount: 0,
      upstreamTimeoutCount: 0,
      processAttributionFailureCount: 0,
      processAttributionTimeoutCount: 0,
      processCacheConnectionHitCount: 0,
      processCacheIdentityHitCount: 0,
      processCacheMissCount: 0,
      processCacheEvictionCount: 0,
      processPidReuseDetectedCount: 0,
      droppedDispatchWorkCount: 0,
      staleFlowReapCount: 0,
      closedFlowIdEvictionCount: 0,
    });
  });

  test('is frozen and does not follow later counting', () => {
    const metrics = new Metrics();
    const before = metrics.snapshot();
    metrics.connectionOpened();
    metrics.count('stream_closed', { reasonCode: 'blocked' });
    metrics.took('dial', 3);
    expect(before.totalConnections).toBe(0);
    expect(before.durations.dial.count).toBe(0);
    expect(metrics.snapshot().durations.dial).toMatchObject({ count: 1, sumMs: 3 });
    expect(before.closedByReason.blocked).toBe(0);
    expect(Object.values(before).every((value) => Object.isFrozen(value))).toBe(true);
    expect(Object.isFrozen(before)).toBe(true);
  });

  test('belongs to one engine', () => {
    new Metrics().connectionOpened();
    expect(new Metrics().snapshot().totalConnections).toBe(0);
  });

  test('takes in counts that live elsewhere', () => {
    const metrics = new Metrics();
    let depth = 2;
    metrics.readFrom('eventQueueDepth', () => depth);
    metrics.eventsDropped(3);
    metrics.readFrom('eventsDroppedCount', () => 10);
    expect(metrics.snapshot()).toMatchObject({ eventQueueDepth: 2, eventsDroppedCount: 13 });
    depth = 0;
    expect(metrics.snapshot()).toMatchObject({ eventQueueDepth: 0, eventsDroppedCount: 13 });
  });

  test.each(Object.entries({ ...metricDescriptions, ...durationDescriptions }))(
    '%s is described in one sentence',
    (_name, description) => {
      expect(description).toMatch(/^[A-Z].*\.$/);
    },
  );

  test('the type follows the descriptions', () => {
    expectTypeOf<keyof ProxyMetrics>().toEqualTypeOf<keyof typeof metricDescriptions>();
    expectTypeOf<ProxyMetrics['closedByReason']['blocked']>().toEqualTypeOf<number>();
  });
});

describe('what each call counts', () => {
  const rows: readonly (readonly [string, (metrics: Metrics) => void, Partial<ProxyMetrics>])[] = [
    [
      'AP-18 two connections opened, one closed',
      (m) => {
        m.connectionOpened();
        m.connectionOpened();
        m.connectionClosed();
      },
      { totalConnections: 2, activeConnections: 1 },
    ],
    [
      'GV-01 flows, their peak and their durations',
      (m) => {
        m.flowOpened();
        m.flowOpened();
        m.flowClosed(30);
        m.flowClosed(10);
        m.flowOpened();
      },
      { activeFlows: 1, maxActiveFlows: 2, flowCount: 2, flowDurationTotalMs: 40, flowDurationMaxMs: 30 },
    ],
    ['AP-18 a handler that ran out of time', (m) => m.handlerTimeout(), { handlerTimeoutCount: 1 }],
    ['AP-18 a handler that threw', (m) => m.handlerPanic(), { handlerPanicCount: 1 }],
    ['a failure that let the flow through', (m) => m.handlerFailedOpen(), { handlerFailOpenCount: 1 }],
    [
      'handler calls left out',
      (m) => {
        m.dispatchDropped();
        m.dispatchDropped(4);
      },
      { droppedDispatchWorkCount: 5 },
    ],
    ['an event left out', (m) => m.eventsDropped(), { eventsDroppedCount: 1 }],
    ['a listener that failed', (m) => m.listenerFailed(), { listenerErrorCount: 1 }],
    ['an event out of order', (m) => m.invalidTransition(), { invalidTransitionCount: 1 }],
    [
      'GV-05 a refused permit, apart from refused memory',
      (m) => m.permitDenied(),
      { flowPermitDenialCount: 1, budgetDenialCount: 1, backpressureActivationCount: 1 },
    ],
    [
      'GV-05 refused memory, apart from refused permits',
      (m) => m.inFlightDenied(),
      { inFlightBudgetDenialCount: 1, budgetDenialCount: 1, backpressureActivationCount: 1 },
    ],
    [
      'reserved bytes and their peak',
      (m) => {
        m.inFlightChanged(8);
        m.inFlightChanged(8);
        m.inFlightChanged(-12);
      },
      { currentInFlightBytes: 4, inFlightBytesWatermark: 16 },
    ],
    ['a wait', (m) => m.backpressureActivated(), { backpressureActivationCount: 1 }],
    ['a displaced process', (m) => m.processCacheEvicted(), { processCacheEvictionCount: 1 }],
    ['a process id seen again', (m) => m.processPidReused(), { processPidReuseDetectedCount: 1 }],
  ];

  test.each(rows)('%s', (_what, use, counts) => {
    expect(changed(use)).toEqual(counts);
  });

  const lookups: Record<(typeof processLookupOutcomes)[number], Partial<ProxyMetrics>> = {
    connection_hit: { processCacheConnectionHitCount: 1 },
    identity_hit: { processCacheIdentityHitCount: 1 },
    miss: { processCacheMissCount: 1 },
    failed: { processCacheMissCount: 1, processAttributionFailureCount: 1 },
    timed_out: { processCacheMissCount: 1, processAttributionTimeoutCount: 1 },
  };

  test.each(processLookupOutcomes)('a process lookup that ends as %s', (outcome) => {
    expect(changed((metrics) => metrics.processLookup(outcome))).toEqual(lookups[outcome]);
  });
});

describe('what each event counts', () => {
  const head = { version: 'HTTP/1.1', headerCount: 0 };
  const rows: readonly (readonly [string, (metrics: Metrics) => void, Partial<ProxyMetrics>])[] = [
    ['an event without a count', (m) => m.count('connect_received', {}), {}],
    [
      'an unreadable first head',
      (m) => m.count('connect_parse_failed', { parseErrorCode: 'method_not_connect' }),
      { decoderFailureCount: 1 },
    ],
    [
      'an observer that failed',
      (m) => m.count('decoder_failed', { decoder: 'sse', decoderErrorCode: 'frame_too_large' }),
      { decoderFailureCount: 1 },
    ],
    [
      'intercept',
      (m) => m.count('connect_decision', { action: 'intercept', reason: 'r' }),
      { interceptedCount: 1 },
    ],
    ['tunnel', (m) => m.count('connect_decision', { action: 'tunnel', reason: 'r' }), { tunnelledCount: 1 }],
    ['block', (m) => m.count('connect_decision', { action: 'block', reason: 'r' }), { blockedCount: 1 }],
    [
      'a decision that was changed counts as what is done',
      (m) => m.count('connect_decision', { action: 'intercept', reason: 'r', effectiveAction: 'tunnel' }),
      { tunnelledCount: 1 },
    ],
    [
      'a leaf from the cache',
      (m) => m.count('tls_handshake_started', { peer: 'downstream', certCacheStatus: 'hit' }),
      { leafCacheHitCount: 1 },
    ],
    [
      'a leaf made',
      (m) => m.count('tls_handshake_started', { peer: 'downstream', certCacheStatus: 'miss' }),
      { leafCacheMissCount: 1 },
    ],
    ['no leaf upstream', (m) => m.count('tls_handshake_started', { peer: 'upstream' }), {}],
    [
      'a request',
      (m) => m.count('request_headers', { method: 'GET', target: '/', ...head }),
      { requestCount: 1 },
    ],
    [
      'a response',
      (m) => m.count('response_headers', { statusCode: 200, reasonPhrase: 'OK', ...head }),
      { responseCount: 1 },
    ],
    ['a clean end', (m) => m.count('stream_closed', { reasonCode: 'mitm_http_completed' }), {}],
    [
      'bytes and dropped events at the end',
      (m) =>
        m.count('stream_closed', {
          reasonCode: 'relay_eof',
          bytesFromClient: 5,
          bytesFromServer: 7,
          eventsDropped: 2,
        }),
      { bytesFromClient: 5, bytesFromServer: 7, eventsDroppedCount: 2 },
    ],
    [
      'GV-06 an idle timeout is a stuck flow',
      (m) => m.count('stream_closed', { reasonCode: 'idle_watchdog_timeout' }),
      { idleTimeoutCount: 1, stuckFlowCount: 1 },
    ],
    [
      'GV-06 a stage timeout is a stuck flow',
      (m) => m.count('stream_closed', { reasonCode: 'stream_stage_timeout' }),
      { streamStageTimeoutCount: 1, upstreamTimeoutCount: 1, stuckFlowCount: 1 },
    ],
    [
      'an unreachable origin',
      (m) =>
        m.count('stream_closed', {
          reasonCode: 'upstream_connect_failed',
          reasonDetail: 'connection refused',
        }),
      { upstreamConnectErrorCount: 1 },
    ],
    [
      'AP-19 an origin not reached in time, and a stage that took too long',
      (m) => {
        m.count('stream_closed', {
          reasonCode: 'upstream_connect_failed',
          reasonDetail: 'connect timed out',
        });
        m.count('stream_closed', { reasonCode: 'stream_stage_timeout' });
      },
      {
        upstreamConnectErrorCount: 1,
        upstreamTimeoutCount: 2,
        streamStageTimeoutCount: 2,
        stuckFlowCount: 2,
      },
    ],
  ];

  test.each(rows)('%s', (_what, use, counts) => {
    expect(changed(use)).toEqual(counts);
  });

  test.each(closeReasons)('an end with %s counts under that reason alone', (reasonCode) => {
    const metrics = new Metrics();
    metrics.count('stream_closed', { reasonCode });
    const { closedByReason } = metrics.snapshot();
    expect(Object.entries(closedByReason).filter(([, count]) => count > 0)).toEqual([[reasonCode, 1]]);
  });

  test('a failed TLS handshake counts in all and under its reason', () => {
    const metrics = new Metrics();
    metrics.count('tls_handshake_failed', failurePayload());
    const { tlsFailureCount, tlsFailuresByReason } = metrics.snapshot();
    expect(tlsFailureCount).toBe(1);
    expect(tlsFailuresByReason).toMatchObject({ unknown_ca: 1, timeout: 0 });
  });
});
