// Another proxy on the way to a target: how it is reached, as whom, and a name for it in keys that tells nothing of its password.
import { createHash } from 'node:crypto';

import { formatAuthority } from 'mitm-http';

import type { ProxyType } from './config/proxies.ts';

/** What is configured, or answered by a handler, about a proxy. */
export interface ProxySettings {
  /** Canonical: a name in lower case or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** TLS is spoken with the proxy itself; only for HTTP proxies. */
  readonly tls?: boolean | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** A proxy that traffic goes on through. */
export interface NextProxy {
  readonly type: ProxyType;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
  /** Where its settings come from, for messages: a field of the configuration, or the handler. */
  readonly source: string;
  /** Two proxies with one identity are the same, credentials included. */
  readonly identity: string;
}

/** Makes a next proxy of its settings. */
export function nextProxy(type: ProxyType, settings: ProxySettings, source: string): NextProxy {
  const { host, port, tls = false, username, password } = settings;
  const credentials =
    username === undefined || password === undefined ? undefined : Object.freeze({ username, password });
  const secret =
    credentials === undefined
      ? ''
      : createHash('sha256').update(JSON.stringify(credentials)).digest('base64url').slice(0, 22);
  return Object.freeze({
    type,
    host,
    port,
    isTls: tls,
    credentials,
    source,
    identity: `${type}${tls ? '+tls' : ''} ${formatAuthority(host, port)} ${secret}`,
  });
}
