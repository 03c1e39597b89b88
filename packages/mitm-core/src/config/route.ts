// Configuration of which way traffic leaves: straight to its target, to one fixed origin, or through another proxy. A mode
// has exactly the endpoint that belongs to it; rules choose another way for single targets.
import { parseHostRule, parseNoProxyEntry } from 'mitm-policy';
import { z } from 'zod';

import { readableBy, text } from './field.ts';
import {
  DIRECT,
  httpProxySchema,
  namedProxySchema,
  nextHost,
  nextPort,
  socks5ProxySchema,
} from './proxies.ts';

/** Which way traffic leaves the proxy. */
export const routeModes = ['direct', 'reverse', 'upstream_http', 'upstream_socks5'] as const;
export type RouteMode = (typeof routeModes)[number];

/** The endpoint field that each mode needs; it must not have any other. */
export const routeEndpointFields = {
  direct: undefined,
  reverse: 'reverseUpstream',
  upstream_http: 'upstreamHttpProxy',
  upstream_socks5: 'upstreamSocks5Proxy',
} as const satisfies Record<RouteMode, string | undefined>;

const endpointFields = ['reverseUpstream', 'upstreamHttpProxy', 'upstreamSocks5Proxy'] as const;

const routeRule = z.strictObject({
  hosts: z
    .array(readableBy(parseHostRule))
    .min(1, { error: 'must name at least one host; `*` is every host' })
    .describe(
      'Targets that take this way. Written like a destination, the port may be left out. Names are compared as the client gave them.',
    ),
  via: text().describe(`The name of one of \`upstreamProxies\`, or \`${DIRECT}\` for the target itself.`),
});

export const routeFields = {
  routeMode: z
    .enum(routeModes)
    .default('direct')
    .describe(
      'Which way traffic leaves: `direct` to its target, `reverse` always to `reverseUpstream`, `upstream_http` and `upstream_socks5` through that proxy. `noProxy` and `routes` make exceptions.',
    ),
  reverseUpstream: z
    .strictObject({ host: nextHost, port: nextPort })
    .optional()
    .describe('The origin that gets everything in mode `reverse`.'),
  upstreamHttpProxy: httpProxySchema
    .optional()
    .describe(
      'The HTTP proxy of mode `upstream_http`; with credentials, they are sent as Basic. Plain HTTP goes to it in absolute form, everything else through CONNECT.',
    ),
  upstreamSocks5Proxy: socks5ProxySchema
    .optional()
    .describe('The SOCKS5 proxy of mode `upstream_socks5`. It resolves the names.'),
  upstreamProxies: z
    .array(namedProxySchema)
    .default([])
    .describe('Further proxies, by name, for `routes` and for the handler’s `resolveRoute`.'),
  routes: z
    .array(routeRule)
    .default([])
    .describe(
      'Which targets take another way than `routeMode` says. The first rule that has the target applies.',
    ),
  noProxy: z
    .array(readableBy(parseNoProxyEntry))
    .default([])
    .describe(
      'Targets that are reached directly whatever `routes` and `routeMode` say, written as in NO_PROXY: `example.org` (with everything below it), an address, a range such as `10.0.0.0/8`, each but the range with `:PORT` if need be, or `*`. Names are not looked up for it.',
    ),
};

type RouteValues = { readonly routeMode: RouteMode } & {
  readonly [Field in (typeof endpointFields)[number]]?: unknown;
};

/** The rule across the route fields: the endpoint of the mode must be there, the others must not. */
export function checkRoute(values: RouteValues, ctx: z.core.$RefinementCtx): void {
  const needed = routeEndpointFields[values.routeMode];
  for (const field of endpointFields) {
    const isGiven = values[field] !== undefined;
    if (isGiven === (field === needed)) continue;
    ctx.addIssue({
      code: 'custom',
      path: [field],
      message: isGiven
        ? `must not be given while routeMode is ${values.routeMode}: remove it, or choose its mode`
        : `must be given while routeMode is ${values.routeMode}`,
      input: undefined,
    });
  }
}

interface RuleValues {
  readonly routeMode: RouteMode;
  readonly upstreamProxies: readonly { readonly name: string }[];
  readonly routes: readonly { readonly via: string }[];
  readonly noProxy: readonly string[];
}

/** The rules across names and rules: each proxy has its own name, each rule names one, and exceptions have a rule to except from. */
export function checkRouteRules(values: RuleValues, ctx: z.core.$RefinementCtx): void {
  const names = values.upstreamProxies.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    const first = names.indexOf(name);
    if (first === index) continue;
    const message = `is already the name of upstreamProxies[${first}]: give each proxy its own`;
    ctx.addIssue({ code: 'custom', path: ['upstreamProxies', index, 'name'], message, input: name });
  }
  for (const [index, { via }] of values.routes.entries()) {
    if (via === DIRECT || names.includes(via)) continue;
    const message = `must be ${[DIRECT, ...names].join(' or ')}: only upstreamProxies have names`;
    ctx.addIssue({ code: 'custom', path: ['routes', index, 'via'], message, input: via });
  }
  const hasOtherWay = values.routeMode !== 'direct' || values.routes.length > 0;
  if (values.noProxy.length === 0 || hasOtherWay) return;
  const message = 'has nothing to except from while routeMode is direct and there are no routes: remove it';
  ctx.addIssue({ code: 'custom', path: ['noProxy'], message, input: undefined });
}

export const routeRuleFields = ['routeMode', 'upstreamProxies', 'routes', 'noProxy'] as const;
