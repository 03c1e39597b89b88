// The one schema of the configuration: types, defaults, rules and the reference page all come from here. Sections live in
// the files beside; the rules between sections are at the end of this one.
import { z } from 'zod';

import { authenticationFields } from './authentication.ts';
import { reading } from './field.ts';
import type { DeepReadonly } from './freeze.ts';
import { handlerFields, resolveFlowRuntime } from './handler.ts';
import { httpFields } from './http.ts';
import { interceptionFields } from './interception.ts';
import { checkMemory, limitFields } from './limits.ts';
import { checkListening, listenFields } from './listen.ts';
import { observeFields } from './observe.ts';
import { overrideFields } from './overrides.ts';
import { checkRoute, checkRouteRules, routeFields, routeRuleFields } from './route.ts';
import { tlsSchema } from './tls.ts';
import { upstreamSchema } from './upstream.ts';

/** Parses what users write into a complete configuration. Prefer `parseConfig`, which names all problems and freezes. */
export const configSchema = z
  .strictObject({
    ...listenFields,
    ...authenticationFields,
    ...interceptionFields,
    ...overrideFields,
    tls: tlsSchema,
    upstream: upstreamSchema,
    ...routeFields,
    ...httpFields,
    ...limitFields,
    ...handlerFields,
    ...observeFields,
  })
  .superRefine(checkRoute, reading('routeMode'))
  .superRefine(checkListening, reading('bind', 'unixSocketPath', 'listeners', 'proxyAuthentication'))
  .superRefine(checkRouteRules, reading(...routeRuleFields))
  .superRefine(checkMemory, reading('maxInFlightBytes', 'maxConnectHeadBytes', 'maxHttpHeadBytes'))
  .transform((config) => ({
    ...config,
    flowRuntime: resolveFlowRuntime(config.flowRuntime, config.handler.responseTimeoutMs),
  }));

/** What users write: everything with a default may be left out. A parsed configuration is valid input again. */
export type MitmConfigInput = DeepReadonly<z.input<typeof configSchema>>;

/** A complete, valid configuration; it never changes. */
export type MitmConfig = DeepReadonly<z.output<typeof configSchema>>;

// The sections by name, for whoever needs only one.
export type ListenerConfig = MitmConfig['listeners'][number];
export type ProxyAuthenticationConfig = MitmConfig['proxyAuthentication'];
export type InterceptionConfig = MitmConfig['interception'];
export type ProcessAttributionConfig = MitmConfig['processAttribution'];
export type CompatibilityOverrideConfig = MitmConfig['compatibilityOverrides'][number];
export type TlsConfig = MitmConfig['tls'];
export type UpstreamConfig = MitmConfig['upstream'];
export type ReverseUpstreamConfig = NonNullable<MitmConfig['reverseUpstream']>;
export type UpstreamProxyConfig = NonNullable<MitmConfig['upstreamHttpProxy']>;
export type NamedProxyConfig = MitmConfig['upstreamProxies'][number];
export type RouteRuleConfig = MitmConfig['routes'][number];
export type ConnectionPoolConfig = MitmConfig['connectionPool'];
export type BodyConfig = MitmConfig['body'];
export type TimeoutsConfig = MitmConfig['timeouts'];
export type HandlerConfig = MitmConfig['handler'];
export type FlowRuntimeConfig = MitmConfig['flowRuntime'];
export type EventLogConfig = NonNullable<MitmConfig['eventLog']>;
