// The vocabulary of what can happen to a flow: one row per event kind. Emitters, log, metrics and documentation derive
// from these tables; field names are the camelCase of the log's attribute names.
import type { ApplicationProtocol, ConnectParseCode, DecoderStage } from 'mitm-http';
import type { AddressClass, FlowAction } from 'mitm-policy';
import type { CaRotationStage } from 'mitm-tls';

import type { CloseReason } from './close-reason.ts';
import type { FlowId } from './ids.ts';
import type {
  RevocationFields,
  SniRelation,
  TlsFingerprintFields,
  TlsHandshakeFailedPayload,
  TlsPeer,
  TlsProviderFields,
} from './tls-event-fields.ts';

/** Which way a message goes. */
export type EventDirection = 'client_to_server' | 'server_to_client';

/** Where an event of an HTTP exchange stands on a multiplexed connection. */
interface Http2Fields {
  readonly http2StreamId?: number | undefined;
}

interface GrpcFields extends Http2Fields {
  readonly grpcEventSequence: 1 | 2 | 3;
  readonly grpcPath: string;
  readonly grpcDetectionMode: 'content_type_and_path' | 'content_type' | 'path_pattern';
  readonly grpcService?: string | undefined;
  readonly grpcMethod?: string | undefined;
  readonly grpcRequestContentType?: string | undefined;
}

/** What each kind of event carries besides its header. Lengths are bytes, `…UnixMs` milliseconds since 1970. */
export interface EventPayloads {
  connect_received: {
    /** Whose credentials the client gave to the proxy. */
    readonly user?: string | undefined;
  };
  connect_parse_failed: {
    readonly parseErrorCode: ConnectParseCode;
    readonly parseErrorDetail?: string | undefined;
  };
  connect_decision: {
    /** What the policy and the overrides said. */
    readonly action: FlowAction;
    readonly reason: string;
    /** What is done, where something after the policy changed it. */
    readonly effectiveAction?: FlowAction | undefined;
    /** Who changed it, such as `handler_declined`, `http3_hint`, `tls_backoff` or `unknown_protocol`. */
    readonly effectiveReason?: string | undefined;
    /** Which facts were judged: the CONNECT target, the ClientHello, a request's authority, the address found, or the origin. */
    readonly stage?: 'connect' | 'client_hello' | 'request' | 'address' | 'upstream' | undefined;
    /** Server name of the ClientHello. */
    readonly sni?: string | undefined;
    /** Authority of the request, where it is what was judged. */
    readonly authority?: string | undefined;
    /** What the built-in checks found, joined by commas: `ip_literal`, `private_target`, `sni_mismatch`. */
    readonly findings?: string | undefined;
    /** The address of the target, where it was looked at. */
    readonly address?: string | undefined;
    readonly addressClass?: AddressClass | undefined;
    /** Which way the flow goes on, where something else than `routeMode` chose it. */
    readonly routeMode?: string | undefined;
    /** What chose it: `no_proxy`, `route_rule` or `handler`. */
    readonly routeReason?: string | undefined;
    /** The name of the way that was chosen. */
    readonly routeVia?: string | undefined;
    readonly overrideRuleId?: string | undefined;
    readonly overrideHostPattern?: string | undefined;
    readonly overrideForceTunnel?: boolean | undefined;
    readonly overrideDisableH2?: boolean | undefined;
    readonly overrideStrictHeaderMode?: boolean | undefined;
    readonly overrideSkipUpstreamVerify?: boolean | undefined;
  };
  http3_passthrough: {
    readonly passthroughProtocol: 'http3';
    readonly passthroughMode: 'tunnel';
    readonly requestedBy: 'x-proxy-protocol' | 'x-http3-passthrough';
    readonly policyAction: FlowAction;
  };
  tls_handshake_started: TlsFingerprintFields &
    TlsProviderFields & {
      readonly peer: TlsPeer;
      /** Whether the leaf was in the certificate cache; downstream only. */
      readonly certCacheStatus?: 'hit' | 'miss' | undefined;
      readonly sni?: string | undefined;
      /** How the server name stands to the target; downstream only. */
      readonly sniRelation?: SniRelation | undefined;
      /** The hello has an encrypted one inside, or pretends to; downstream only. */
      readonly echOffered?: boolean | undefined;
      /** In which respects our hello differs from the browser it resembles, joined by commas; upstream only. */
      readonly tlsFingerprintDifferences?: string | undefined;
      /** The fingerprints of the client's hello; downstream only. */
      readonly ja3?: string | undefined;
      readonly ja4?: string | undefined;
    };
  tls_handshake_succeeded: TlsFingerprintFields &
    TlsProviderFields &
    RevocationFields & {
      readonly peer: TlsPeer;
      readonly negotiatedAlpn?: 'h2' | 'http/1.1' | undefined;
      readonly sni?: string | undefined;
      readonly tlsVersion?: string | undefined;
    };
  tls_handshake_failed: TlsHandshakeFailedPayload;
  tls_learning_audit: {
    readonly tlsLearningDecision: 'ignored';
    readonly tlsLearningReasonCode: string;
    readonly tlsLearningGlobalApplied: number;
    readonly tlsLearningGlobalIgnored: number;
    readonly signalHost: string;
    readonly signalReason: string;
    readonly signalSource: string;
    readonly signalProvider: string;
    readonly signalInferred: boolean;
  };
  tls_backoff_started: {
    /** `process:PID PATH`, or `address:IP` where the process is not known. */
    readonly backoffClient: string;
    readonly backoffHost: string;
    readonly strikes: number;
    /** How long the client is let through, in milliseconds. */
    readonly ttlMs: number;
  };
  request_headers: Http2Fields & {
    readonly method: string;
    /** Request target as received; path and query for HTTP/2. */
    readonly target: string;
    readonly version: string;
    readonly headerCount: number;
    readonly scheme?: string | undefined;
    readonly authority?: string | undefined;
  };
  /** A piece of body without its framing. */
  request_body_chunk: Http2Fields & { readonly bytes: number };
  response_headers: Http2Fields & {
    readonly statusCode: number;
    /** Empty for HTTP/2. */
    readonly reasonPhrase: string;
    readonly version: string;
    readonly headerCount: number;
  };
  response_body_chunk: Http2Fields & { readonly bytes: number };
  sse_event: Http2Fields & {
    /** From 1 within the response. */
    readonly sequenceNo: number;
    readonly dataLineCount: number;
    readonly dataLen: number;
    /** The event's text. It reaches listeners, and the log only where the log's `includeData` asks for it. */
    readonly data: string;
    readonly event?: string | undefined;
    readonly id?: string | undefined;
    readonly retryMs?: number | undefined;
  };
  grpc_request_headers: GrpcFields & {
    readonly headerCount: number;
    readonly te?: string | undefined;
    readonly userAgent?: string | undefined;
  };
  grpc_response_headers: GrpcFields & {
    readonly statusCode: number;
    readonly headerCount: number;
    readonly grpcResponseContentType?: string | undefined;
  };
  grpc_response_trailers: GrpcFields & {
    readonly trailerCount: number;
    /** The status stood in the only header block of the answer. */
    readonly grpcTrailersOnly?: boolean | undefined;
    readonly grpcStatus?: string | undefined;
    readonly grpcMessage?: string | undefined;
  };
  decoder_failed: Http2Fields & {
    /** Which observer gave up: a frame kind such as `sse`, or a content coding such as `gzip`. */
    readonly decoder: string;
    /** The observer's own error code, such as `frame_too_large`. */
    readonly decoderErrorCode: string;
    readonly decoderErrorDetail?: string | undefined;
    /** Which step of decoding it was. */
    readonly decoderStage?: DecoderStage | undefined;
    /** What this step had been given, and what it had handed on. */
    readonly bytesIn?: number | undefined;
    readonly bytesOut?: number | undefined;
    readonly direction?: EventDirection | undefined;
  };
  websocket_opened: {
    readonly relayMode: 'intercept';
    /** The subprotocol that was agreed on. */
    readonly subprotocol?: string | undefined;
    /** The names of the extensions that were agreed on, joined by commas. */
    readonly extensions?: string | undefined;
  };
  websocket_frame: {
    readonly direction: EventDirection;
    readonly frameKind: 'data' | 'control';
    /** From 1, shared by both directions. */
    readonly sequenceNo: number;
    readonly opcode: number;
    readonly opcodeLabel: 'continuation' | 'text' | 'binary' | 'close' | 'ping' | 'pong' | 'other';
    readonly fin: boolean;
    readonly masked: boolean;
    readonly payloadLen: number;
    readonly frameLen: number;
  };
  websocket_turn_started: {
    readonly turnId: number;
    readonly initiatedBy: EventDirection;
    readonly firstFrameSequenceNo: number;
    readonly startedAtUnixMs: number;
  };
  websocket_turn_completed: {
    readonly turnId: number;
    readonly initiatedBy: EventDirection;
    readonly startedAtUnixMs: number;
    readonly endedAtUnixMs: number;
    readonly firstFrameSequenceNo: number;
    readonly lastFrameSequenceNo: number;
    readonly clientFrameCount: number;
    readonly serverFrameCount: number;
    readonly clientPayloadBytes: number;
    readonly serverPayloadBytes: number;
    readonly flushReason: 'rollover' | 'idle_timeout' | 'close_frame' | 'eof' | 'error';
  };
  websocket_closed: {
    readonly closeReason: 'close_frame' | 'eof' | 'error';
    readonly bytesFromClient: number;
    readonly bytesFromServer: number;
    readonly reasonDetail?: string | undefined;
  };
  stream_closed: {
    readonly reasonCode: CloseReason;
    readonly reasonDetail?: string | undefined;
    readonly bytesFromClient?: number | undefined;
    readonly bytesFromServer?: number | undefined;
    /** How many chunk-rate events of this flow were left out. */
    readonly eventsDropped?: number | undefined;
  };
  ca_rotation: {
    readonly stage: CaRotationStage;
    /** SHA-256 of the authority that signed until now, in hex. */
    readonly caFingerprint: string;
    /** SHA-256 of its successor. */
    readonly nextCaFingerprint?: string | undefined;
    /** Where the successor's certificate can be read. */
    readonly certPath?: string | undefined;
    /** When an announced successor begins to sign. */
    readonly activatesAtUnixMs?: number | undefined;
    readonly detail?: string | undefined;
  };
}
export type EventKind = keyof EventPayloads;
/** Kinds that belong to no flow; their flow id is 0. */
export type EngineEventKind = 'ca_rotation';

/** One row per kind: whether it may come with every piece of a body, and when it is emitted. */
export const eventTable = {
  connect_received: { rate: 'lifecycle', meaning: 'The target of a flow is known and about to be judged.' },
  connect_parse_failed: { rate: 'lifecycle', meaning: 'The first head could not be read or accepted.' },
  connect_decision: {
    rate: 'lifecycle',
    meaning: 'A flow was judged; again when new facts change the verdict.',
  },
  http3_passthrough: { rate: 'lifecycle', meaning: 'The client asked for HTTP/3 and is tunnelled for it.' },
  tls_handshake_started: { rate: 'lifecycle', meaning: 'A TLS handshake with one side begins.' },
  tls_handshake_succeeded: { rate: 'lifecycle', meaning: 'A TLS handshake with one side is complete.' },
  tls_handshake_failed: {
    rate: 'lifecycle',
    meaning: 'A TLS handshake failed, or what it needs, or TLS after it.',
  },
  tls_learning_audit: { rate: 'lifecycle', meaning: 'A TLS failure was not allowed to teach anything.' },
  tls_backoff_started: {
    rate: 'lifecycle',
    meaning:
      'A client that keeps refusing our certificate for a host is let through to it unread for a time.',
  },
  request_headers: { rate: 'lifecycle', meaning: 'The head of a request was read.' },
  request_body_chunk: { rate: 'chunk', meaning: 'A piece of a request body was relayed.' },
  response_headers: { rate: 'lifecycle', meaning: 'The head of an answer was read.' },
  response_body_chunk: { rate: 'chunk', meaning: 'A piece of an answer body was relayed.' },
  sse_event: { rate: 'chunk', meaning: 'A server-sent event was complete.' },
  grpc_request_headers: { rate: 'lifecycle', meaning: 'A request was recognised as a gRPC call.' },
  grpc_response_headers: { rate: 'lifecycle', meaning: 'The answer to a gRPC call began.' },
  grpc_response_trailers: { rate: 'lifecycle', meaning: 'The trailers of a gRPC call arrived.' },
  decoder_failed: { rate: 'lifecycle', meaning: 'An observer could not read what was relayed.' },
  websocket_opened: { rate: 'lifecycle', meaning: 'An upgrade to WebSocket was accepted.' },
  websocket_frame: { rate: 'chunk', meaning: 'A WebSocket frame was relayed.' },
  websocket_turn_started: { rate: 'lifecycle', meaning: 'A side began to speak after the other.' },
  websocket_turn_completed: { rate: 'lifecycle', meaning: 'A turn was answered or ended.' },
  websocket_closed: { rate: 'lifecycle', meaning: 'Both directions of a WebSocket ended.' },
  stream_closed: {
    rate: 'lifecycle',
    meaning: 'The flow ended; the last event of every flow, exactly once.',
  },
  ca_rotation: {
    rate: 'lifecycle',
    meaning:
      'The authority got a successor, was replaced by it, or could not be. Belongs to no flow: its flow id is 0.',
  },
} as const satisfies Record<EventKind, { readonly rate: 'lifecycle' | 'chunk'; readonly meaning: string }>;

type KindsAtRate<Rate extends 'lifecycle' | 'chunk'> = {
  [K in EventKind]: (typeof eventTable)[K]['rate'] extends Rate ? K : never;
}[EventKind];
/** Kinds that may come with every piece of a body or every frame; the ones that are dropped under pressure. */
export type ChunkKind = KindsAtRate<'chunk'>;
/** Kinds that come a few times per flow and are never left out. */
export type LifecycleKind = KindsAtRate<'lifecycle'>;

/** Every kind, in the order in which a flow meets them. */
export const eventKinds: readonly EventKind[] = Object.keys(eventTable).filter(isEventKind);
export const chunkKinds: readonly ChunkKind[] = eventKinds.filter(isChunkKind);
export const lifecycleKinds: readonly LifecycleKind[] = eventKinds.filter(isLifecycleKind);

/** Whether a string names an event kind. */
export function isEventKind(text: string): text is EventKind {
  return Object.hasOwn(eventTable, text);
}

/** Whether events of this kind come at the rate of body pieces or frames. */
export function isChunkKind(kind: EventKind): kind is ChunkKind {
  return eventTable[kind].rate === 'chunk';
}

function isLifecycleKind(kind: EventKind): kind is LifecycleKind {
  return !isChunkKind(kind);
}

/** The facts of a flow that each of its events carries. */
export interface FlowContext {
  readonly flowId: FlowId;
  /** `ip:port`, `[v6]:port` or `unix:…`. */
  readonly clientAddr: string;
  /** `<unknown>` before the target is known. */
  readonly serverHost: string;
  /** 0 before the target is known. */
  readonly serverPort: number;
  readonly protocol: ApplicationProtocol;
}

/** What every event carries. */
export interface EventHeader {
  /** From 1, across all flows of an engine: the order of events. */
  readonly sequenceId: number;
  /** From 1 within the flow. */
  readonly flowSequenceId: number;
  readonly context: FlowContext;
  readonly occurredAtUnixMs: number;
  /** Nanoseconds since the bus was made; strictly increasing. */
  readonly occurredAtMonotonicNs: bigint;
  /** The connection's own flow, on the first event of a flow within it. */
  readonly parentFlowId?: FlowId | undefined;
}

/** A numbered fact. Narrow it by `kind`. */
export type MitmEvent<K extends EventKind = EventKind> = {
  [P in K]: EventHeader & { readonly kind: P } & EventPayloads[P];
}[K];

/** Whoever observes all events. */
export interface EventSink {
  /** Called once per event, in order. It must return at once; what it throws is counted and goes no further. */
  consume(event: MitmEvent): void;
  /** Resolves when everything consumed so far is where it belongs. */
  flush?(): Promise<void>;
  /** Flushes and lets go of resources. */
  close?(): Promise<void>;
}
