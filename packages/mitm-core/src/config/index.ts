// The public face of the configuration: named exports only.
export type { ConfigProblem } from '../errors.ts';
export type { Endpoint } from './address.ts';
export { configFields, type ConfigField } from './fields.ts';
export type { DeepReadonly } from './freeze.ts';
export { failureModes, type FailureMode } from './handler.ts';
export { listenerKinds, redirections, type ListenerKind, type Redirection } from './listeners.ts';
export { altSvcModes, type AltSvcMode } from './http.ts';
export {
  authorityChecks,
  interceptModes,
  unknownProtocolActions,
  type AuthorityCheck,
  type InterceptMode,
  type UnknownProtocolAction,
} from './interception.ts';
export { parseConfig } from './parse.ts';
export { planReload, type ReloadPlan } from './reload.ts';
export { proxyTypes, type ProxyType } from './proxies.ts';
export { routeModes, type RouteMode } from './route.ts';
export { configSchema } from './schema.ts';
export type {
  BodyConfig,
  CompatibilityOverrideConfig,
  ConnectionPoolConfig,
  EventLogConfig,
  FlowRuntimeConfig,
  HandlerConfig,
  InterceptionConfig,
  ListenerConfig,
  MitmConfig,
  MitmConfigInput,
  NamedProxyConfig,
  ProcessAttributionConfig,
  ProxyAuthenticationConfig,
  ReverseUpstreamConfig,
  RouteRuleConfig,
  TimeoutsConfig,
  TlsConfig,
  UpstreamConfig,
  UpstreamProxyConfig,
} from './schema.ts';
export {
  responseOverflowModes,
  trustSources,
  type ResponseOverflowMode,
  type TrustSource,
} from './upstream.ts';
