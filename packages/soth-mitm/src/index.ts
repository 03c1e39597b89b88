// The public face of soth-mitm: the proxy, its contract, and what a program needs of the packages below.
export { MitmProxyBuilder } from './builder.ts';
export { createMitmProxy, type MitmProxy, type MitmProxyHandle, type MitmProxyOptions } from './proxy.ts';
export {
  allow,
  type AllowDecision,
  type Awaitable,
  block,
  type BlockDecision,
  ConfigError,
  type ConfigProblem,
  type ConnectionMeta,
  type Direction,
  type HandlerContext,
  type HandlerDecision,
  type InterceptHandler,
  type MitmConfig,
  type MitmConfigInput,
  MitmError,
  type MitmErrorCode,
  type ProcessInfo,
  type RawRequest,
  type RawResponse,
  ReloadError,
  type SocketFamily,
  type StreamChunk,
  type TlsInfo,
} from 'mitm-core';
export { type FrameKind, HeaderMap, type HeaderList } from 'mitm-http';
export {
  type CloseReason,
  type ConnectionId,
  createLogger,
  EventBus,
  type EventKind,
  type EventPayloads,
  EventRecorder,
  type EventSink,
  type FlowContext,
  type FlowId,
  type Logger,
  type MitmEvent,
  type ProxyMetrics,
  silentLogger,
} from 'mitm-observe';
export { type FlowAction, type PolicyEngine, type PolicyInput, type Verdict } from 'mitm-policy';
export type { ListenAddress } from 'mitm-sidecar';
export {
  CaError,
  CertificateAuthority,
  generateCa,
  type Leaf,
  LeafIssuer,
  loadCa,
  loadCaFromFiles,
  loadOrCreateCa,
  saveCa,
} from 'mitm-tls';
