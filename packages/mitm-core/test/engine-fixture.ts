// What the tests of flows and exchanges share: a whole engine with everything it reports kept in memory, and messages to
// pass through it.
import { gzipSync } from 'node:zlib';

import { HeaderMap } from 'mitm-http';
import {
  createLogger,
  EventBus,
  type EventPayloads,
  EventRecorder,
  Metrics,
  TlsDiagnostics,
  tlsFailurePayload,
} from 'mitm-observe';
import { type PolicyEngine, TlsLearning } from 'mitm-policy';
import { noRevocation } from 'mitm-tls';

import { type MitmConfig, parseConfig } from '../src/config/index.ts';
import { Connection } from '../src/connection.ts';
import { Engine } from '../src/engine.ts';
import type { ExchangeInit, RequestFacts, ResponseFacts } from '../src/exchange-facts.ts';
import { Exchange } from '../src/exchange.ts';
import type { Flow } from '../src/flow.ts';
import type { InterceptHandler } from '../src/handler.ts';
import type { RawRequest } from '../src/messages.ts';
import { planRoute } from '../src/route.ts';

export interface TestEngine {
  readonly engine: Engine;
  readonly bus: EventBus;
  readonly recorder: EventRecorder;
  readonly metrics: Metrics;
  /** What was logged, from `debug` up. */
  readonly logs: readonly Readonly<Record<string, unknown>>[];
}

export interface TestEngineOptions {
  readonly handler?: InterceptHandler;
  readonly policy?: PolicyEngine;
  /** Leaves the bus without the recorder, as where nobody listens. */
  readonly isUnheard?: boolean;
}

/** A valid configuration with these fields added to the least one. */
export function testConfig(fields: object = {}): MitmConfig {
  return parseConfig({ interception: { destinations: ['*:*'] }, ...fields });
}

/** Fields that leave room for so many bytes in flight; no head may be larger than that. */
export function inFlightLimit(bytes: number): object {
  return { maxInFlightBytes: bytes, maxConnectHeadBytes: 1, maxHttpHeadBytes: 1 };
}

export function testEngine(fields: object = {}, options: TestEngineOptions = {}): TestEngine {
  const metrics = new Metrics();
  const bus = new EventBus({ metrics });
  const recorder = new EventRecorder();
  if (options.isUnheard !== true) bus.subscribe(recorder);
  const logs: Record<string, unknown>[] = [];
  const logger = createLogger({
    level: 'debug',
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- pino writes one object a line
    destination: { write: (line) => logs.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const engine = new Engine({
    config: testConfig(fields),
    handler: options.handler ?? {},
    bus,
    metrics,
    logger,
    policy: options.policy,
  });
  return { engine, bus, recorder, metrics, logs };
}

export function testConnection(): Connection {
  return new Connection({
    kind: 'tcp_v4',
    local: { address: '127.0.0.1', port: 8080 },
    remote: { address: '127.0.0.1', port: 50_000 },
  });
}

/** The flow of one request on an intercepted connection whose own flow is its parent. */
export function openExchangeFlow(engine: Engine, connection: Connection = testConnection()): Flow {
  const target = { host: 'api.example.test', port: 443 };
  const parent = engine.openFlow({ connection });
  parent.nameTarget(target);
  parent.route = planRoute(engine.config, target);
  return parent.openChild({ state: 'tls_ready', protocol: 'http1' });
}

/** A flow right after its target was judged, on a connection of its own. */
export function openJudgedFlow(engine: Engine): Flow {
  return engine.openFlow({ connection: testConnection(), state: 'policy_decided', protocol: 'http1' });
}

/** A request head with these header fields, as `[name, value, …]`. */
export function requestFacts(
  headers: readonly string[] = [],
  facts: Partial<RequestFacts> = {},
): RequestFacts {
  const map = new HeaderMap(['Host', 'api.example.test', ...headers]);
  return {
    method: 'POST',
    target: '/v1',
    version: 'HTTP/1.1',
    headers: map,
    headerCount: map.size,
    connection: (map.get('connection') ?? '').toLowerCase(),
    ...facts,
  };
}

/** A response head with these header fields, as `[name, value, …]`. */
export function responseFacts(headers: readonly string[] = [], status = 200): ResponseFacts {
  const map = new HeaderMap(headers);
  return {
    status,
    reason: 'OK',
    version: 'HTTP/1.1',
    headers: map,
    headerCount: map.size,
    connection: (map.get('connection') ?? '').toLowerCase(),
  };
}

/** Opens an exchange: a POST with a body unless told otherwise. */
export function openExchange(engine: Engine, init: Partial<ExchangeInit> = {}, flow?: Flow): Exchange {
  return new Exchange(flow ?? openExchangeFlow(engine), {
    request: requestFacts(),
    scheme: 'https',
    authority: 'api.example.test',
    path: '/v1',
    hasBody: true,
    isUpgrade: false,
    ...init,
  });
}

/** A request as a handler is shown it. */
export function rawRequest(flow: Flow): RawRequest {
  return {
    method: 'GET',
    scheme: 'https',
    authority: 'api.example.test',
    path: '/',
    httpVersion: 'HTTP/1.1',
    headers: new HeaderMap([]),
    body: Buffer.alloc(0),
    bodyTruncated: false,
    encodingError: false,
    flowId: flow.id,
    connectionMeta: flow.connection.meta,
  };
}

export const gzipped = gzipSync('plain text');

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A promise that the test settles. */
export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return {
    promise,
    resolve: (value) => settle?.resolve(value),
    reject: (error) => settle?.reject(error),
  };
}

/** An object that is no promise and has this `then`. */
export function thenable(then: unknown): object {
  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is for
  return Object.fromEntries([['then', then]]);
}

/** Lets everything that is ready to run do so; with fake timers, without moving them. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const grpc = { grpcEventSequence: 1, grpcPath: '/a.B/C', grpcDetectionMode: 'content_type' } as const;
const turnFacts = { turnId: 1, initiatedBy: 'client_to_server', startedAtUnixMs: 1 } as const;

/** One valid payload of each kind. */
export const samplePayloads: { readonly [K in keyof EventPayloads]: EventPayloads[K] } = {
  connect_received: {},
  connect_parse_failed: { parseErrorCode: 'read_error' },
  connect_decision: { action: 'intercept', reason: 'default_intercept' },
  http3_passthrough: {
    passthroughProtocol: 'http3',
    passthroughMode: 'tunnel',
    requestedBy: 'x-http3-passthrough',
    policyAction: 'intercept',
  },
  tls_handshake_started: { peer: 'downstream' },
  tls_handshake_succeeded: { peer: 'downstream' },
  tls_handshake_failed: tlsFailurePayload({
    peer: 'downstream',
    error: { reason: 'other', cause: 'unknown', alert: undefined, code: undefined },
    detail: 'sample',
    counts: new TlsDiagnostics().record({ host: 'a.test', source: 'downstream', reason: 'other', nowMs: 0 }),
    learning: new TlsLearning().ingest({
      host: 'a.test',
      failureReason: 'other',
      failureSource: 'downstream',
      provider: 'node',
      isInferred: false,
    }),
    revocation: noRevocation('passive_observe'),
    fingerprint: { mode: 'native', class: 'native' },
    isInferred: false,
    isLate: false,
  }),
  tls_backoff_started: { backoffClient: 'address:127.0.0.1', backoffHost: 'a.test', strikes: 3, ttlMs: 1 },
  tls_learning_audit: {
    tlsLearningDecision: 'ignored',
    tlsLearningReasonCode: 'sample',
    tlsLearningGlobalApplied: 0,
    tlsLearningGlobalIgnored: 1,
    signalHost: 'a.test',
    signalReason: 'other',
    signalSource: 'downstream',
    signalProvider: 'node',
    signalInferred: false,
  },
  decoder_failed: { decoder: 'sse', decoderErrorCode: 'frame_too_large' },
  request_headers: { method: 'GET', target: '/', version: 'HTTP/1.1', headerCount: 1 },
  request_body_chunk: { bytes: 1 },
  response_headers: { statusCode: 200, reasonPhrase: 'OK', version: 'HTTP/1.1', headerCount: 1 },
  response_body_chunk: { bytes: 1 },
  sse_event: { sequenceNo: 1, dataLineCount: 1, dataLen: 1, data: 'a' },
  grpc_request_headers: { ...grpc, headerCount: 1 },
  grpc_response_headers: { ...grpc, statusCode: 200, headerCount: 1 },
  grpc_response_trailers: { ...grpc, trailerCount: 1 },
  websocket_opened: { relayMode: 'intercept' },
  websocket_frame: {
    direction: 'client_to_server',
    frameKind: 'data',
    sequenceNo: 1,
    opcode: 1,
    opcodeLabel: 'text',
    fin: true,
    masked: true,
    payloadLen: 1,
    frameLen: 7,
  },
  websocket_turn_started: { ...turnFacts, firstFrameSequenceNo: 1 },
  websocket_turn_completed: {
    ...turnFacts,
    endedAtUnixMs: 2,
    firstFrameSequenceNo: 1,
    lastFrameSequenceNo: 1,
    clientFrameCount: 1,
    serverFrameCount: 0,
    clientPayloadBytes: 1,
    serverPayloadBytes: 0,
    flushReason: 'eof',
  },
  websocket_closed: { closeReason: 'eof', bytesFromClient: 7, bytesFromServer: 0 },
  ca_rotation: { stage: 'activated', caFingerprint: 'aa', nextCaFingerprint: 'bb' },
  stream_closed: { reasonCode: 'relay_eof' },
};
