// Configuration of which way traffic leaves: straight to its target, to one fixed origin, or through another proxy. A mode
// has exactly the endpoint that belongs to it.
import { z } from 'zod';

import { parseEndpointHost } from './address.ts';
import { port, readAs, reading, text } from './field.ts';

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

const host = text().describe('Name or IP address of the next hop.').transform(readAs(parseEndpointHost));

const hopPort = port().describe('Port of the next hop.');

/** RFC 7617 section 2: a colon ends the user name, and neither part has control characters. */
const httpProxySchema = proxySchema(
  z.string().regex(/^[^:\p{Cc}]+$/u, { error: 'must be a name without colons and control characters' }),
  z.string().regex(/^[^\p{Cc}]+$/u, { error: 'must be a text without control characters' }),
);

/** RFC 1929 section 2: both parts have 1 to 255 bytes. */
const socks5ProxySchema = proxySchema(socksCredential(), socksCredential());

export const routeFields = {
  routeMode: z
    .enum(routeModes)
    .default('direct')
    .describe(
      'Which way traffic leaves: `direct` to its target, `reverse` always to `reverseUpstream`, `upstream_http` and `upstream_socks5` through that proxy.',
    ),
  reverseUpstream: z
    .strictObject({ host, port: hopPort })
    .optional()
    .describe('The origin that gets everything in mode `reverse`.'),
  upstreamHttpProxy: httpProxySchema
    .optional()
    .describe('The HTTP proxy of mode `upstream_http`; with credentials, they are sent as Basic.'),
  upstreamSocks5Proxy: socks5ProxySchema
    .optional()
    .describe('The SOCKS5 proxy of mode `upstream_socks5`. It resolves the names.'),
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

function proxySchema<User extends z.ZodType<string>, Password extends z.ZodType<string>>(
  username: User,
  password: Password,
) {
  return z
    .strictObject({
      host,
      port: hopPort,
      username: username.optional().describe('User name at the proxy. Given only together with `password`.'),
      password: password.optional().describe('Password at the proxy. Never shown in messages and logs.'),
    })
    .superRefine((proxy: { readonly username?: unknown; readonly password?: unknown }, ctx) => {
      if ((proxy.username === undefined) === (proxy.password === undefined)) return;
      const missing = proxy.username === undefined ? 'username' : 'password';
      ctx.addIssue({
        code: 'custom',
        path: [missing],
        message: 'must be given: user name and password belong together',
        input: undefined,
      });
    }, reading());
}

function socksCredential() {
  return z.string().refine(
    (value) => {
      const byteLength = new TextEncoder().encode(value).length;
      return byteLength >= 1 && byteLength <= 255;
    },
    { error: 'must have 1 to 255 bytes in UTF-8' },
  );
}
