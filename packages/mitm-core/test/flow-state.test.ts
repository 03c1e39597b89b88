import fc from 'fast-check';
import { applicationProtocols } from 'mitm-http';
import { type EventKind, eventKinds } from 'mitm-observe';
import { describe, expect, test } from 'vitest';

import { type FlowMachine, type FlowState, flowStates, nextState, promote } from '../src/flow-state.ts';

const letters: Readonly<Record<string, FlowState>> = {
  A: 'accepted',
  C: 'connect_parsed',
  P: 'policy_decided',
  T: 'tls_started',
  R: 'tls_ready',
  V: 'protocol_active',
  S: 'stream_closing',
  X: 'closed',
};
const protocolRow = '..V.VV..';

/** A column for each state, in their order; a letter is the state that follows, a dot an event out of place. */
const table: Readonly<Record<EventKind, string>> = {
  connect_received: 'C.......',
  connect_parse_failed: 'SS......',
  connect_decision: '.PP.....',
  tls_handshake_started: '..TTT...',
  tls_handshake_succeeded: '...RR...',
  tls_handshake_failed: '..SSS...',
  tls_learning_audit: 'ACPTRVS.',
  tls_backoff_started: 'ACPTRVS.',
  decoder_failed: 'ACPTRVS.',
  http3_passthrough: protocolRow,
  request_headers: protocolRow,
  request_body_chunk: protocolRow,
  response_headers: protocolRow,
  response_body_chunk: protocolRow,
  sse_event: protocolRow,
  grpc_request_headers: protocolRow,
  grpc_response_headers: protocolRow,
  grpc_response_trailers: protocolRow,
  websocket_opened: protocolRow,
  websocket_frame: protocolRow,
  websocket_turn_started: protocolRow,
  websocket_turn_completed: protocolRow,
  websocket_closed: protocolRow,
  stream_closed: 'XXXXXXX.',
  ca_rotation: '........',
};

describe('which event may follow in which state, before the protocol is known', () => {
  const cells = eventKinds.flatMap((kind) =>
    flowStates.map((state, column) => [kind, state, letters[table[kind][column] ?? '.']] as const),
  );
  test.each(cells)('%s in %s leads to %s', (kind, state, next) => {
    expect(nextState(state, 'unknown', kind)).toBe(next);
  });
});

const machines: readonly FlowMachine[] = ['unknown', ...applicationProtocols];
const protocolKinds = eventKinds.filter((kind) => table[kind] === protocolRow);
const [exchange, sse, grpc, websocket, http3] = ['re', 'sse_', 'grpc_', 'websocket_', 'http3_'];

/** The beginnings of the protocol events that each machine may see. */
const maySee: Readonly<Record<FlowMachine, readonly (string | undefined)[]>> = {
  unknown: [exchange, sse, grpc, websocket, http3],
  tunnel: [http3],
  streamable_http: [exchange, http3],
  http1: [exchange, sse, websocket],
  http2: [exchange, sse, grpc, websocket],
  websocket: [exchange, websocket],
  sse: [exchange, sse],
};

describe('which protocol event belongs to which protocol', () => {
  const cells = machines.flatMap((machine) =>
    protocolKinds.map((kind) => {
      const is = maySee[machine].some((start) => start !== undefined && kind.startsWith(start));
      return [machine, kind, is] as const;
    }),
  );
  test.each(cells)('%s: %s %s', (machine, kind, is) => {
    expect(nextState('tls_ready', machine, kind)).toBe(is ? 'protocol_active' : undefined);
  });

  test('the other events belong to all', () => {
    for (const machine of machines) {
      for (const kind of eventKinds.filter((one) => !protocolKinds.includes(one))) {
        for (const state of flowStates) {
          expect(nextState(state, machine, kind)).toBe(nextState(state, 'unknown', kind));
        }
      }
    }
  });

  test('FS-05 WebSocket events come over HTTP/2 (RFC 8441), and not where nothing can be upgraded', () => {
    expect(nextState('protocol_active', 'http2', 'websocket_opened')).toBe('protocol_active');
    for (const machine of ['tunnel', 'streamable_http', 'sse'] as const) {
      expect(nextState('protocol_active', machine, 'websocket_opened')).toBeUndefined();
    }
  });
});

/** The states that events lead through, or undefined where one has no place. */
function walk(machine: FlowMachine, ...kinds: readonly EventKind[]): readonly (FlowState | undefined)[] {
  const states: (FlowState | undefined)[] = [];
  let state: FlowState | undefined = 'accepted';
  for (const kind of kinds) {
    state = state === undefined ? undefined : nextState(state, machine, kind);
    states.push(state);
  }
  return states;
}

test('FS-01 an intercepted connection from its CONNECT to its close', () => {
  expect(
    walk(
      'http1',
      'connect_received',
      'connect_decision',
      'tls_handshake_started',
      'tls_handshake_succeeded',
      'request_headers',
      'stream_closed',
    ),
  ).toEqual(['connect_parsed', 'policy_decided', 'tls_started', 'tls_ready', 'protocol_active', 'closed']);
});

test('FS-02 nothing is decided before there is a target', () => {
  expect(nextState('accepted', 'unknown', 'connect_decision')).toBeUndefined();
});

test('a second decision may follow when the ClientHello was read', () => {
  expect(walk('unknown', 'connect_received', 'connect_decision', 'connect_decision').at(-1)).toBe(
    'policy_decided',
  );
});

test('after the origin failed, the handshake with the client is not the flow’s own', () => {
  expect(nextState('stream_closing', 'http1', 'tls_handshake_started')).toBeUndefined();
});

describe('which protocol a flow runs', () => {
  test.each<[string, FlowMachine, (typeof applicationProtocols)[number], FlowMachine]>([
    ['FS-03 the first event says it', 'unknown', 'http1', 'http1'],
    ['FS-03 an HTTP/3 passthrough is streamable', 'unknown', 'streamable_http', 'streamable_http'],
    ['a tunnel stays one as long as it is called one', 'tunnel', 'tunnel', 'tunnel'],
    ['FS-04 a tunnel can become another', 'tunnel', 'http2', 'http2'],
    ['FS-04 and then stays what it is', 'http2', 'http1', 'http2'],
    ['also against a tunnel', 'http1', 'tunnel', 'http1'],
  ])('%s', (_rule, machine, protocol, next) => {
    expect(promote(machine, protocol)).toBe(next);
  });

  test('from any beginning, it changes at most twice', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...applicationProtocols)), (protocols) => {
        const seen = new Set<FlowMachine>(['unknown']);
        let machine: FlowMachine = 'unknown';
        for (const protocol of protocols) {
          machine = promote(machine, protocol);
          seen.add(machine);
        }
        expect(seen.size).toBeLessThanOrEqual(3);
      }),
    );
  });
});
