// The life of a flow as a table: which event may follow in which state, and what it leads to. An event out of place is
// counted and still delivered: it shows a bug of ours, and must not hide what happened.
import type { ApplicationProtocol } from 'mitm-http';
import type { EventKind } from 'mitm-observe';

export const flowStates = [
  'accepted',
  'connect_parsed',
  'policy_decided',
  'tls_started',
  'tls_ready',
  'protocol_active',
  'stream_closing',
  'closed',
] as const;
export type FlowState = (typeof flowStates)[number];

/** The protocol a flow turned out to speak. `unknown` until its first event says so; all but `tunnel` are final. */
export type FlowMachine = 'unknown' | ApplicationProtocol;

interface Step {
  readonly from: readonly FlowState[];
  /** The state it leads to; absent keeps the present one. */
  readonly to?: FlowState;
}

const open: readonly FlowState[] = flowStates.filter((state) => state !== 'closed');
/** A handshake with the client may still follow after the one with the origin failed: it carries the explanation. */
const handshaking: readonly FlowState[] = ['policy_decided', 'tls_started', 'tls_ready'];
const active: readonly FlowState[] = ['policy_decided', 'tls_ready', 'protocol_active'];
const protocolStep: Step = { from: active, to: 'protocol_active' };

const steps: Record<EventKind, Step> = {
  connect_received: { from: ['accepted'], to: 'connect_parsed' },
  connect_parse_failed: { from: ['accepted', 'connect_parsed'], to: 'stream_closing' },
  // A second decision follows when the ClientHello has been read.
  connect_decision: { from: ['connect_parsed', 'policy_decided'], to: 'policy_decided' },
  tls_handshake_started: { from: handshaking, to: 'tls_started' },
  tls_handshake_succeeded: { from: ['tls_started', 'tls_ready'], to: 'tls_ready' },
  tls_handshake_failed: { from: handshaking, to: 'stream_closing' },
  tls_learning_audit: { from: open },
  tls_backoff_started: { from: open },
  decoder_failed: { from: open },
  http3_passthrough: protocolStep,
  request_headers: protocolStep,
  request_body_chunk: protocolStep,
  response_headers: protocolStep,
  response_body_chunk: protocolStep,
  sse_event: protocolStep,
  grpc_request_headers: protocolStep,
  grpc_response_headers: protocolStep,
  grpc_response_trailers: protocolStep,
  websocket_opened: protocolStep,
  websocket_frame: protocolStep,
  websocket_turn_started: protocolStep,
  websocket_turn_completed: protocolStep,
  websocket_closed: protocolStep,
  stream_closed: { from: open, to: 'closed' },
  // Never a flow's: the engine reports it.
  ca_rotation: { from: [] },
};

const exchangeKinds: readonly EventKind[] = [
  'request_headers',
  'request_body_chunk',
  'response_headers',
  'response_body_chunk',
];
const grpcKinds: readonly EventKind[] = [
  'grpc_request_headers',
  'grpc_response_headers',
  'grpc_response_trailers',
];
const websocketKinds: readonly EventKind[] = [
  'websocket_opened',
  'websocket_frame',
  'websocket_turn_started',
  'websocket_turn_completed',
  'websocket_closed',
];

/** Which protocol events each machine may see; `undefined` allows all. */
const allowed: Record<FlowMachine, ReadonlySet<EventKind> | undefined> = {
  unknown: undefined,
  tunnel: new Set<EventKind>(['http3_passthrough']),
  streamable_http: new Set<EventKind>([...exchangeKinds, 'http3_passthrough']),
  http1: new Set<EventKind>([...exchangeKinds, 'sse_event', ...websocketKinds]),
  http2: new Set<EventKind>([...exchangeKinds, 'sse_event', ...grpcKinds, ...websocketKinds]),
  websocket: new Set<EventKind>([...exchangeKinds, ...websocketKinds]),
  sse: new Set<EventKind>([...exchangeKinds, 'sse_event']),
};

/** The machine a flow runs after an event of the given protocol: `unknown` and `tunnel` give way, all others stay. */
export function promote(machine: FlowMachine, protocol: ApplicationProtocol): FlowMachine {
  return machine === 'unknown' || machine === 'tunnel' ? protocol : machine;
}

/** The state an event leads to, or undefined when it has no place in the present one. */
export function nextState(state: FlowState, machine: FlowMachine, kind: EventKind): FlowState | undefined {
  const step = steps[kind];
  if (!step.from.includes(state)) return undefined;
  if (step === protocolStep) {
    const kinds = allowed[machine];
    if (kinds !== undefined && !kinds.has(kind)) return undefined;
  }
  return step.to ?? state;
}
