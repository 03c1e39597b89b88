// What becomes of each request inside an intercepted connection: it goes to the connection's origin, whatever it names.
// A request that names another authority is judged for both names, and is never sent anywhere else.
import { Failure, type Flow } from 'mitm-core';
import {
  type Authority,
  formatAuthority,
  formatHost,
  parseAuthority,
  parseTarget,
  type RequestHead,
} from 'mitm-http';

import type { ExchangePlan, ExchangePlanner } from '../http1/serve.ts';
import type { Runtime } from '../runtime.ts';
import type { UpstreamTarget } from '../upstream/target.ts';
import { blockedByPolicy } from './block.ts';
import { decisionPayload } from './decision.ts';

export interface InterceptScope {
  readonly scheme: 'http' | 'https';
  readonly upstream: UpstreamTarget | Failure;
  readonly sni: string | undefined;
}

const defaultPorts = { http: 80, https: 443 } as const;

/** Plans the exchanges of one intercepted connection. */
export function interceptPlanner(
  connectionFlow: Flow,
  runtime: Runtime,
  scope: InterceptScope,
): ExchangePlanner {
  const { target } = connectionFlow.route;
  return (head) => {
    const wanted = parseTarget(head);
    if (wanted.form === 'authority') throw notHere(head);
    const named = authorityOf(head, wanted.authority, scope.scheme, target);
    const isForeign = named.port !== target.port || (named.host !== target.host && named.host !== scope.sni);
    const shown = shownAuthority(named, scope.scheme);
    const flow = connectionFlow.openChild({ state: isForeign ? 'accepted' : 'tls_ready', protocol: 'http1' });
    const upstream = isForeign ? judgeForeign(flow, runtime, scope, named) : scope.upstream;
    return {
      flow,
      scheme: scope.scheme,
      authority: shown,
      path: wanted.path,
      upstream,
      // What policy refuses is nobody's to see, as on a plain proxy connection.
      isUnobserved: upstream instanceof Failure && upstream.reason === 'blocked',
      target: wanted.path,
      // It replaces a Host that an absolute target makes void, and one that HTTP/1.0 left out and HTTP/1.1 needs.
      ...(wanted.authority === undefined && head.host !== undefined ? {} : { host: shown }),
    } satisfies ExchangePlan;
  };
}

/** Judges a request that names an authority other than its connection's; a Failure answers it. */
function judgeForeign(
  flow: Flow,
  runtime: Runtime,
  scope: InterceptScope,
  named: Authority,
): UpstreamTarget | Failure {
  const { target } = flow.route;
  flow.emit('connect_received', {});
  const decision = runtime.engine.decide({ host: target.host, port: target.port }, named);
  flow.decision = decision;
  flow.emit('connect_decision', {
    ...decisionPayload(decision, 'request'),
    authority: formatAuthority(named.host, named.port),
  });
  if (decision.action === 'block') return blockedByPolicy(decision);
  if (flow.config.interception.authorityCheck !== 'block') return scope.upstream;
  return new Failure('blocked', {
    side: 'client',
    detail: 'authority_mismatch',
    reply: {
      status: 421,
      body: `this connection is for ${formatHost(target.host)}, not for ${formatHost(named.host)}\n`,
    },
  });
}

/** The authority a request names: its absolute target's (RFC 9112 §3.2.2), else its Host, else the connection's. */
export function authorityOf(
  head: RequestHead,
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

function notHere(head: RequestHead): Failure {
  return new Failure('mitm_http_error', {
    side: 'client',
    detail: `${head.method} inside an intercepted connection`,
    reply: { status: 501, body: 'CONNECT is not possible inside this connection\n' },
  });
}
