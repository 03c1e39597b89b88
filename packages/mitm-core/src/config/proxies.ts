// Configuration of the proxies that traffic can go on through: how each is reached, and as whom. The same shapes read what a
// handler answers when it is asked for a route.
import { z } from 'zod';

import { parseEndpointHost } from './address.ts';
import { port, readAs, reading, text } from './field.ts';

/** What a next proxy speaks. */
export const proxyTypes = ['http', 'socks5'] as const;
export type ProxyType = (typeof proxyTypes)[number];

/** Says "straight to the target" where the name of a proxy may stand. */
export const DIRECT = 'direct';

/** The host of a next hop, in its canonical form. */
export const nextHost = text()
  .describe('Name or IP address of the next hop.')
  .transform(readAs(parseEndpointHost));

/** The port of a next hop. */
export const nextPort = port().describe('Port of the next hop.');

const isTls = z
  .boolean()
  .default(false)
  .describe(
    'Speak TLS with the proxy itself (an `https://` proxy). Its certificate is verified as that of an origin is, by `upstream.trust`, `upstream.caPaths` and `upstream.verifyUpstreamTls`.',
  );

const username = z
  .string()
  .optional()
  .describe('User name at the proxy. Given only together with `password`.');
const password = z.string().optional().describe('Password at the proxy. Never shown in messages and logs.');

/** An HTTP proxy, by the field that is for it. */
export const httpProxySchema = z
  .strictObject({ host: nextHost, port: nextPort, tls: isTls, username, password })
  .superRefine((proxy, ctx) => checkCredentials('http', proxy, ctx), reading());

/** A SOCKS5 proxy, by the field that is for it. */
export const socks5ProxySchema = z
  .strictObject({ host: nextHost, port: nextPort, username, password })
  .superRefine((proxy, ctx) => checkCredentials('socks5', proxy, ctx), reading());

const anyProxyFields = {
  type: z.enum(proxyTypes).describe('What the proxy speaks.'),
  host: nextHost,
  port: nextPort,
  tls: isTls,
  username,
  password,
};

/** A proxy of either kind, as a handler answers it. */
export const anyProxySchema = z
  .strictObject(anyProxyFields)
  .superRefine((proxy, ctx) => checkProxy(proxy, ctx), reading('type'));

/** A proxy of either kind with a name that rules and handlers call it by. */
export const namedProxySchema = z
  .strictObject({
    name: text()
      .refine((name) => name !== DIRECT, { error: `must not be ${DIRECT}, which stands for no proxy at all` })
      .describe('Name by which `routes` and handlers choose the proxy.'),
    ...anyProxyFields,
  })
  .superRefine((proxy, ctx) => checkProxy(proxy, ctx), reading('type'));

interface Credentials {
  readonly username?: unknown;
  readonly password?: unknown;
}

function checkProxy(
  proxy: Credentials & { readonly type: ProxyType; readonly tls?: unknown },
  ctx: z.core.$RefinementCtx,
): void {
  checkCredentials(proxy.type, proxy, ctx);
  if (proxy.type !== 'socks5' || proxy.tls !== true) return;
  ctx.addIssue({
    code: 'custom',
    path: ['tls'],
    message: 'must not be true for a SOCKS5 proxy, which has no TLS of its own',
    input: proxy.tls,
  });
}

/** Each half of the credentials keeps its rule, and neither stands alone. */
function checkCredentials(type: ProxyType, proxy: Credentials, ctx: z.core.$RefinementCtx): void {
  for (const field of ['username', 'password'] as const) {
    const value = proxy[field];
    if (value === undefined) {
      const other = field === 'username' ? proxy.password : proxy.username;
      if (other === undefined) continue;
      const message = 'must be given: user name and password belong together';
      ctx.addIssue({ code: 'custom', path: [field], message, input: undefined });
    } else {
      const message = typeof value === 'string' ? credentialFault(type, field, value) : undefined;
      if (message !== undefined) ctx.addIssue({ code: 'custom', path: [field], message, input: value });
    }
  }
}

function credentialFault(type: ProxyType, field: 'username' | 'password', value: string): string | undefined {
  if (type === 'socks5') {
    // RFC 1929 §2.
    const byteLength = new TextEncoder().encode(value).length;
    return byteLength >= 1 && byteLength <= 255 ? undefined : 'must have 1 to 255 bytes in UTF-8';
  }
  // RFC 7617 §2: a colon ends the user name, and neither part has control characters.
  if (field === 'username')
    return /^[^:\p{Cc}]+$/u.test(value) ? undefined : 'must be a name without colons and control characters';
  return /^[^\p{Cc}]+$/u.test(value) ? undefined : 'must be a text without control characters';
}
