// Configuration of the front door: where the proxy listens and how it reads what a client says first.
import { connectParseModes } from 'mitm-http';
import { z } from 'zod';

import { readBind } from './address.ts';
import { bytes, mebibyte, milliseconds, readAs } from './field.ts';
import { type ListenerConfig, listenersField, socketPath } from './listeners.ts';

/** What `bind` says when there is no listener of that kind. */
const noBind = 'none';

const bindField = z
  .union([z.string(), z.strictObject({ host: z.string(), port: z.number() })], {
    error: 'must be a text HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080',
  })
  .default('127.0.0.1:8080')
  .describe(
    'Address and port to listen on, as `HOST:PORT` with IPv6 in brackets. Port 0 lets the system choose. Others on the network can only reach the proxy if the host is not a loopback address. `none` opens no such listener; `unixSocketPath` or `listeners` then says where clients arrive.',
  )
  .transform(readAs((given) => (given === noBind ? noBind : readBind(given))));

export const listenFields = {
  bind: bindField,
  unixSocketPath: socketPath()
    .optional()
    .describe(
      'Path of a Unix socket on which clients are served as well, as on `bind`. Only its owner may connect (mode 0600); it is removed at the end. Not on Windows.',
    ),
  listeners: listenersField,
  connectParseMode: z
    .enum(connectParseModes)
    .default('strict')
    .describe(
      'How a CONNECT line is read. `strict` takes what RFC 9112 allows; `lenient` also a method in lower case, a missing port (443) and a target written as a URL.',
    ),
  maxConnectHeadBytes: bytes(16 * mebibyte)
    .default(65_536)
    .describe(
      'Largest first head of a connection, in bytes with its final empty line. A longer one gets 431.',
    ),
  acceptRetryBackoffMs: milliseconds()
    .default(100)
    .describe(
      'Pause before an address that is in use is tried again, in milliseconds. After eight attempts the start fails.',
    ),
};

type ListenValues = {
  readonly bind: unknown;
  readonly unixSocketPath?: unknown;
  readonly listeners: readonly ListenerConfig[];
  readonly proxyAuthentication: { readonly users: readonly unknown[] };
};

/** The rules across the front door: somebody can arrive, and nobody arrives unasked where names and passwords are wanted. */
export function checkListening(values: ListenValues, ctx: z.core.$RefinementCtx): void {
  const { bind, unixSocketPath, listeners, proxyAuthentication } = values;
  if (bind === noBind && unixSocketPath === undefined && listeners.length === 0) {
    ctx.addIssue({
      code: 'custom',
      path: ['bind'],
      message: 'must be an address, or unixSocketPath or listeners must say where clients arrive',
      input: undefined,
    });
  }
  if (proxyAuthentication.users.length === 0) return;
  for (const [index, { kind, requiresAuthentication }] of listeners.entries()) {
    if (!requiresAuthentication || kind === 'proxy' || kind === 'socks5') continue;
    ctx.addIssue({
      code: 'custom',
      path: ['listeners', index, 'requiresAuthentication'],
      message: `must be false: clients of a listener of kind ${kind} know of no proxy and can't name a user, so say that they need not`,
      input: undefined,
    });
  }
}
