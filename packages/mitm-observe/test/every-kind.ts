// One event of every kind, with every field that it can have: the compiler and a count see to it that none is missing.
import { type EventKind, eventKinds, type EventPayloads, type MitmEvent } from '../src/events.ts';
import { asFlowId } from '../src/ids.ts';
import { contextOf, eventsOf } from './event-fixture.ts';

type Full<K extends EventKind> = {
  [F in keyof EventPayloads[K] & string]-?: Exclude<EventPayloads[K][F], undefined>;
};

const grpc = {
  grpcPath: '/pkg.Service/Call',
  grpcDetectionMode: 'content_type',
  grpcService: 'pkg.Service',
  grpcMethod: 'Call',
  grpcRequestContentType: 'application/grpc',
  http2StreamId: 3,
} as const;
const fingerprint = { tlsFingerprintMode: 'preset', tlsFingerprintClass: 'native' } as const;
const revocation = {
  upstreamOcspStaplePresent: 'false',
  upstreamOcspStapleStatus: 'missing',
  revocationPolicyMode: 'passive_observe',
  revocationDecision: 'no_signal',
} as const;
const provider = { tlsOpsProvider: 'mitmproxy', tlsOpsProviderHook: 'tls_start_client' } as const;

/** A payload of every kind with all of its fields. */
export const fullPayloads = {
  connect_received: { user: 'ann' },
  connect_parse_failed: { parseErrorCode: 'invalid_request_line', parseErrorDetail: 'no method in "x=1"' },
  connect_decision: {
    action: 'intercept',
    reason: 'default_intercept',
    effectiveAction: 'tunnel',
    effectiveReason: 'handler_declined',
    stage: 'connect',
    sni: 'a.test',
    authority: 'a.test:443',
    overrideRuleId: 'r1',
    overrideHostPattern: '*.test',
    overrideForceTunnel: false,
    overrideDisableH2: true,
    overrideStrictHeaderMode: false,
    overrideSkipUpstreamVerify: false,
  },
  http3_passthrough: {
    passthroughProtocol: 'http3',
    passthroughMode: 'tunnel',
    requestedBy: 'x-proxy-protocol',
    policyAction: 'intercept',
  },
  tls_handshake_started: {
    ...fingerprint,
    ...provider,
    peer: 'downstream',
    certCacheStatus: 'miss',
    sni: 'a.test',
    sniRelation: 'match',
    echOffered: true,
    tlsFingerprintDifferences: 'extension_order,grease',
    ja3: 'cd08e31494f9531f560d64c695473da9',
    ja4: 't13d1516h2_8daaf6152771_02713d6af862',
  },
  tls_handshake_succeeded: {
    ...fingerprint,
    ...provider,
    ...revocation,
    peer: 'upstream',
    negotiatedAlpn: 'h2',
    sni: 'a.test',
    tlsVersion: 'TLSv1.3',
  },
  tls_handshake_failed: {
    ...fingerprint,
    peer: 'downstream',
    detail: 'alert unknown ca',
    phase: 'handshake',
    tlsAlert: 48,
    tlsAlertName: 'unknown_ca',
    tlsFailureCause: 'own_certificate_refused',
    sni: 'a.test',
    tlsVersion: 'TLSv1.3',
    tlsFailureReason: 'unknown_ca',
    tlsFailureSource: 'downstream',
    tlsOpsProvider: 'node',
    tlsOpsProviderHook: 'hook',
    tlsOpsProviderErrorClass: 'Error',
    tlsOpsProviderErrorCode: 'ERR_X',
    tlsOpsProviderErrorDetail: 'none',
    normalizedReason: 'unknown_ca',
    rawProviderError: 'alert unknown ca',
    providerIdentity: 'node',
    sourceConfidence: 'authoritative',
    tlsFailureHostCount: 1,
    tlsFailureHostRollingCount: 1,
    tlsFailureSourceCount: 1,
    tlsFailureReasonCount: 1,
    tlsFailureGlobalCount: 1,
    tlsLearningDecision: 'applied',
    tlsLearningReasonCode: 'authoritative',
    tlsLearningHostCount: 1,
    tlsLearningGlobalApplied: 1,
    tlsLearningGlobalIgnored: 0,
    ...revocation,
  },
  tls_backoff_started: {
    backoffClient: 'process:7 /usr/bin/curl',
    backoffHost: 'a.test',
    strikes: 3,
    ttlMs: 900_000,
  },
  tls_learning_audit: {
    tlsLearningDecision: 'ignored',
    tlsLearningReasonCode: 'inferred_signal',
    tlsLearningGlobalApplied: 0,
    tlsLearningGlobalIgnored: 1,
    signalHost: 'a.test',
    signalReason: 'unknown_ca',
    signalSource: 'downstream',
    signalProvider: 'other',
    signalInferred: true,
  },
  request_headers: {
    method: 'GET',
    target: '/a?b=c',
    version: 'HTTP/2',
    headerCount: 4,
    scheme: 'https',
    authority: 'a.test',
    http2StreamId: 1,
  },
  request_body_chunk: { bytes: 10, http2StreamId: 1 },
  response_headers: {
    statusCode: 200,
    reasonPhrase: 'OK',
    version: 'HTTP/1.1',
    headerCount: 2,
    http2StreamId: 1,
  },
  response_body_chunk: { bytes: 10, http2StreamId: 1 },
  sse_event: {
    sequenceNo: 1,
    dataLineCount: 1,
    dataLen: 5,
    data: 'hällo',
    event: 'message',
    id: '7',
    retryMs: 100,
    http2StreamId: 1,
  },
  grpc_request_headers: {
    ...grpc,
    grpcEventSequence: 1,
    headerCount: 6,
    te: 'trailers',
    userAgent: 'client/1',
  },
  grpc_response_headers: {
    ...grpc,
    grpcEventSequence: 2,
    statusCode: 200,
    headerCount: 2,
    grpcResponseContentType: 'application/grpc',
  },
  grpc_response_trailers: {
    ...grpc,
    grpcEventSequence: 3,
    trailerCount: 2,
    grpcTrailersOnly: true,
    grpcStatus: '0',
    grpcMessage: 'fine',
  },
  decoder_failed: {
    decoder: 'sse',
    decoderErrorCode: 'frame_too_large',
    decoderErrorDetail: 'too large',
    decoderStage: 'protocol_frame_parse',
    bytesIn: 70_000,
    bytesOut: 12,
    direction: 'server_to_client',
    http2StreamId: 1,
  },
  websocket_opened: { relayMode: 'intercept', subprotocol: 'chat', extensions: 'permessage-deflate' },
  websocket_frame: {
    direction: 'client_to_server',
    frameKind: 'data',
    sequenceNo: 1,
    opcode: 1,
    opcodeLabel: 'text',
    fin: true,
    masked: true,
    payloadLen: 5,
    frameLen: 11,
  },
  websocket_turn_started: {
    turnId: 1,
    initiatedBy: 'client_to_server',
    firstFrameSequenceNo: 1,
    startedAtUnixMs: 5,
  },
  websocket_turn_completed: {
    turnId: 1,
    initiatedBy: 'client_to_server',
    startedAtUnixMs: 5,
    endedAtUnixMs: 9,
    firstFrameSequenceNo: 1,
    lastFrameSequenceNo: 2,
    clientFrameCount: 1,
    serverFrameCount: 1,
    clientPayloadBytes: 5,
    serverPayloadBytes: 6,
    flushReason: 'rollover',
  },
  websocket_closed: {
    closeReason: 'eof',
    bytesFromClient: 11,
    bytesFromServer: 8,
    reasonDetail: 'code 1000',
  },
  stream_closed: {
    reasonCode: 'mitm_http_completed',
    reasonDetail: 'over',
    bytesFromClient: 10,
    bytesFromServer: 20,
    eventsDropped: 3,
  },
  ca_rotation: {
    stage: 'announced',
    caFingerprint: 'aa',
    nextCaFingerprint: 'bb',
    certPath: '/ca.next.pem',
    activatesAtUnixMs: 1_700_000_000_000,
    detail: 'at its age',
  },
} as const satisfies { readonly [K in EventKind]: Full<K> };

/** One full event of every kind, numbered from 1. */
export function everyKind(): MitmEvent[] {
  const payloads: { readonly [K in EventKind]: EventPayloads[K] } = fullPayloads;
  return eventsOf((bus) => {
    for (const kind of eventKinds)
      bus.emit(kind, contextOf(2, { protocol: 'http2' }), 1, payloads[kind], asFlowId(1));
  });
}
