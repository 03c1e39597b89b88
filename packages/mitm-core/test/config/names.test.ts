// What a user reads who wrote a key that does not exist.
import { expect, test } from 'vitest';

import { problemsOf, problemsWith } from './problems.ts';

const fewFields = { interception: { destinations: ['*:*'] } };

test.each([
  ['snake case', { max_in_flight_bytes: 1 }, 'max_in_flight_bytes: is written maxInFlightBytes'],
  ['snake case of a section', { flow_runtime: {} }, 'flow_runtime: is written flowRuntime'],
  [
    'snake case in a section',
    { upstream: { connect_timeout_ms: 1 } },
    'upstream.connect_timeout_ms: is written upstream.connectTimeoutMs',
  ],
  [
    'snake case with digits',
    { upstream: { h2_body_idle_timeout_ms: 1 } },
    'upstream.h2_body_idle_timeout_ms: is written upstream.h2BodyIdleTimeoutMs',
  ],
  ['kebab case', { 'route-mode': 'direct' }, 'route-mode: is written routeMode'],
  [
    'a slip of the finger',
    { maxInFlightByte: 1 },
    'maxInFlightByte: is not known: did you mean maxInFlightBytes?',
  ],
  ['a wrong capital', { HTTP2Enabled: true }, 'HTTP2Enabled: is not known: did you mean http2Enabled?'],
  [
    'a slip in a section',
    { timeouts: { handshakMs: 1 } },
    'timeouts.handshakMs: is not known: did you mean timeouts.handshakeMs?',
  ],
  [
    'a field of a section at the top',
    { verifyUpstreamTls: false },
    'verifyUpstreamTls: does not belong here: did you mean upstream.verifyUpstreamTls?',
  ],
  [
    'a field of the top in a section',
    { body: { maxInFlightBytes: 1 } },
    'body.maxInFlightBytes: does not belong here: did you mean maxInFlightBytes?',
  ],
  [
    'a field of another section',
    { upstream: { minVersion: 'tls1.3' } },
    'upstream.minVersion: does not belong here: did you mean tls.minVersion?',
  ],
  [
    'something else',
    { timeouts: { zzzzzzzz: 1 } },
    'timeouts.zzzzzzzz: is not known: timeouts has headMs, handshakeMs, tunnelIdleMs, bodyIdleMs',
  ],
  ['a very long key', { timeouts: { ['z'.repeat(500)]: 1 } }, 'is not known: timeouts has headMs'],
  [
    'a choice of TLS implementation',
    { downstreamTlsBackend: 'node' },
    'downstreamTlsBackend: does not exist here: there is one TLS',
  ],
  [
    'a choice of TLS implementation in snake case',
    { downstream_tls_backend: 'rustls' },
    'downstream_tls_backend: does not exist here: there is one TLS',
  ],
  [
    'CF-17 an event sink',
    { eventSink: { kind: 'grpc' } },
    'eventSink: does not exist here: to write events to a file, set eventLog.path',
  ],
  [
    'a list of closed flows',
    { flowRuntime: { closedFlowLruCapacity: 1 } },
    'flowRuntime.closedFlowLruCapacity: does not exist here: flows end exactly once',
  ],
  [
    'an age of stale flows',
    { flowRuntime: { staleFlowTtlMs: 1 } },
    'flowRuntime.staleFlowTtlMs: does not exist here: flows end exactly once',
  ],
  [
    'a batch of stale flows',
    { flowRuntime: { staleReapMaxBatch: 1 } },
    'flowRuntime.staleReapMaxBatch: does not exist here: flows end exactly once',
  ],
  ['the address of the engine', { listen_addr: '::' }, 'listen_addr: is part of bind, written HOST:PORT'],
  [
    'the negated switch of the engine',
    { upstreamTlsInsecureSkipVerify: true },
    'upstreamTlsInsecureSkipVerify: is the opposite of upstream.verifyUpstreamTls',
  ],
])('CF-14 %s', (_what, fields, problem) => {
  expect(problemsWith(fields)).toEqual([expect.stringContaining(problem)]);
});

test('CF-14 a field of a list item', () => {
  const compatibilityOverrides = [
    { ruleId: 'r', hostPattern: 'a.test', force_tunnel: true, disableH2: true },
  ];
  expect(problemsWith({ compatibilityOverrides })).toEqual([
    'compatibilityOverrides[0].force_tunnel: is written compatibilityOverrides[0].forceTunnel',
  ]);
});

test('every unknown key is named, at the top with all that may stand there', () => {
  const problems = problemsOf({ ...fewFields, qqqqqqqq: 1, wwwwwwwww: 2 });
  expect(problems).toHaveLength(2);
  expect(problems[0]).toMatch(
    /^qqqqqqqq: is not known: the configuration has bind, unixSocketPath, .*eventLog, admin$/u,
  );
});
