// Which authority a request names, and how it is shown: for the lanes that judge requests by it.

import { type Authority, formatAuthority, formatHost, parseAuthority } from 'mitm-http';

import type { RequestMessage } from '../relay/sides.ts';

const defaultPorts = { http: 80, https: 443 } as const;

/**
 * The authority a request names: its absolute target's (RFC 9112 §3.2.2), else its Host, else the connection's. In HTTP/2
 * `host` is what `:authority` says (RFC 9113 §8.3.1).
 */
export function authorityOf(
  head: RequestMessage,
  absolute: Authority | undefined,
  scheme: 'http' | 'https',
  fallback: Authority,
): Authority {
  if (absolute !== undefined) return absolute;
  if (head.host === undefined || head.host === '') return fallback;
  return parseAuthority(head.host, { defaultPort: defaultPorts[scheme] });
}

/** An authority as requests and handlers write it: without the scheme's own port. */
export function shownAuthority(authority: Authority, scheme: 'http' | 'https'): string {
  return authority.port === defaultPorts[scheme]
    ? formatHost(authority.host)
    : formatAuthority(authority.host, authority.port);
}
