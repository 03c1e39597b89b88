// The public face of mitm-core.
export { ByteBudget, FlowPermits } from './budget.ts';
export { Capture } from './capture.ts';
export {
  altSvcModes,
  type AltSvcMode,
  authorityChecks,
  type AuthorityCheck,
  type BodyConfig,
  type CompatibilityOverrideConfig,
  configFields,
  type ConfigField,
  type ConfigProblem,
  configSchema,
  type ConnectionPoolConfig,
  type DeepReadonly,
  type Endpoint,
  type EventLogConfig,
  failureModes,
  type FailureMode,
  type FlowRuntimeConfig,
  type HandlerConfig,
  type InterceptionConfig,
  interceptModes,
  type InterceptMode,
  type ListenerConfig,
  type ListenerKind,
  listenerKinds,
  type MitmConfig,
  type MitmConfigInput,
  type NamedProxyConfig,
  parseConfig,
  planReload,
  type ProcessAttributionConfig,
  type ProxyAuthenticationConfig,
  type Redirection,
  redirections,
  proxyTypes,
  type ProxyType,
  type ReloadPlan,
  responseOverflowModes,
  type ResponseOverflowMode,
  type ReverseUpstreamConfig,
  routeModes,
  type RouteMode,
  type RouteRuleConfig,
  type TimeoutsConfig,
  type TlsConfig,
  trustSources,
  type TrustSource,
  unknownProtocolActions,
  type UnknownProtocolAction,
  type UpstreamConfig,
  type UpstreamProxyConfig,
} from './config/index.ts';
export {
  Connection,
  type ConnectionMeta,
  type Endpoint as SocketEndpoint,
  type ProcessInfo,
  type SocketFamily,
  type TlsInfo,
} from './connection.ts';
export { decide, decideBoth, type Rules } from './decide.ts';
export { Engine, type EngineOptions } from './engine.ts';
export { ConfigError, MitmError, type MitmErrorCode, mitmErrorCodes, ReloadError } from './errors.ts';
export { type DispatchOverflow, dispatchOverflows } from './config/handler.ts';
export { Exchange } from './exchange.ts';
export type { ExchangeInit, RequestFacts, ResponseFacts } from './exchange-facts.ts';
export {
  errorCode,
  errorText,
  Failure,
  type FailureOptions,
  type FailureSide,
  failureSides,
} from './failure.ts';
export { Flow, type FlowInit } from './flow.ts';
export { FlowQueue, isPromise, type QueuedCall } from './flow-queue.ts';
export { type FlowMachine, type FlowState, flowStates, nextState, promote } from './flow-state.ts';
export {
  allow,
  type AllowDecision,
  type Awaitable,
  block,
  type BlockDecision,
  type HandlerContext,
  type HandlerDecision,
  type InterceptHandler,
} from './handler.ts';
export { HandlerRunner } from './handler-runner.ts';
export {
  type BodyDecoding,
  type Direction,
  directions,
  endToEndHeaders,
  type RawRequest,
  type RawResponse,
  type StreamChunk,
} from './messages.ts';
export {
  type ExternalTlsEvent,
  type ExternalTlsEventKind,
  MitmproxyTlsAdapter,
  type MitmproxyTlsAdapterOptions,
  type TlsSignalGuard,
} from './mitmproxy/adapter.ts';
export {
  parseTlsCallback,
  type TlsCallback,
  TlsCallbackError,
  type TlsCallbackHook,
  tlsCallbackHooks,
  tlsCallbackSchema,
} from './mitmproxy/callback.ts';
export { type NextProxy, nextProxy, type ProxySettings } from './next-proxy.ts';
export {
  planRoute,
  type RequestTargetForm,
  type ResolvedTarget,
  type Route,
  type RouteChoice,
  type RouteConfig,
  RoutePlanner,
  type RouteReason,
} from './route.ts';
export { readRouteAnswer, type RouteAnswer, RouteAnswerError, type RouteProxy } from './route-answer.ts';
export type { RuntimeSnapshot } from './runtime-snapshot.ts';
