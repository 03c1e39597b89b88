// What becomes of each request inside an intercepted connection: it goes to the connection's origin, whatever it names.
// A request that names another authority is judged for both names, and is never sent anywhere else.
import { Failure, type Flow } from 'mitm-core';
import {
  type ApplicationProtocol,
  type Authority,
  checkTargetHost,
  formatAuthority,
  formatHost,
  H2RequestHead,
  parseTarget,
} from 'mitm-http';
import type { UpstreamIdentity } from 'mitm-policy';

import type { ExchangePlan, ExchangePlanner } from '../relay/plan.ts';
import type { RequestMessage } from '../relay/sides.ts';
import type { UpstreamTarget } from '../upstream/target.ts';
import { blockedByPolicy } from './block.ts';
import { withJa4 } from './client-fingerprint.ts';
import { clientFacts, resolvedFacts, targetReceived } from './decide-target.ts';
import { decisionPayload } from './decision.ts';
import { authorityOf, shownAuthority } from './named-authority.ts';
import { requireStrict } from './strict-mode.ts';

export interface InterceptScope {
  readonly scheme: 'http' | 'https';
  readonly upstream: UpstreamTarget | Failure;
  readonly sni: string | undefined;
  /** Who the origin proved to be, where the policy wants to know. */
  readonly identity?: UpstreamIdentity | undefined;
}

/** Plans the exchanges of one intercepted connection. */
export function interceptPlanner(connectionFlow: Flow, scope: InterceptScope): ExchangePlanner {
  const { target } = connectionFlow.route;
  // Clients repeat their Host from request to request: what was read once is not read again.
  let last: NamedAuthority | undefined;
  return (head) => {
    const wanted = wantedOf(head);
    if (connectionFlow.decision?.strictHeaderMode === true) requireStrict(head);
    const isRepeated = last !== undefined && wanted.authority === undefined && head.host === last.text;
    const name =
      isRepeated && last !== undefined ? last : namedAuthority(head, wanted.authority, scope, target);
    last = name;
    const { named, shown, isForeign } = name;
    const { protocol } = wanted;
    const isJudged = isForeign || connectionFlow.engine.policyWants('request');
    const flow = connectionFlow.openChild({ state: isJudged ? 'accepted' : 'tls_ready', protocol });
    const upstream = isJudged
      ? judgeRequest(flow, scope, { named, isForeign, path: wanted.path })
      : scope.upstream;
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
      host: wanted.authority === undefined && head.host !== undefined ? undefined : shown,
    } satisfies ExchangePlan;
  };
}

interface Wanted {
  readonly path: string;
  /** What an absolute target names. */
  readonly authority: Authority | undefined;
  readonly protocol: ApplicationProtocol;
}

/** @throws Failure 501 for a CONNECT, HttpError for a target that can't be read or contradicts its Host */
function wantedOf(head: RequestMessage): Wanted {
  if (head instanceof H2RequestHead) {
    // Of the CONNECT kind only a WebSocket is relayed (RFC 8441).
    if (head.method === 'CONNECT' && head.protocol !== 'websocket') throw notHere(head);
    return { path: head.path, authority: undefined, protocol: 'http2' };
  }
  const wanted = parseTarget(head);
  if (wanted.form === 'authority') throw notHere(head);
  checkTargetHost(head, wanted);
  return { path: wanted.path, authority: wanted.authority, protocol: 'http1' };
}

/** What a request names, and whether that is what its connection is for. */
interface NamedAuthority {
  /** The Host it was read from; undefined where an absolute target named it. */
  readonly text: string | undefined;
  readonly named: Authority;
  readonly shown: string;
  readonly isForeign: boolean;
}

function namedAuthority(
  head: RequestMessage,
  absolute: Authority | undefined,
  scope: InterceptScope,
  target: Authority,
): NamedAuthority {
  const named = authorityOf(head, absolute, scope.scheme, target);
  return {
    text: absolute === undefined ? head.host : undefined,
    named,
    shown: shownAuthority(named, scope.scheme),
    isForeign: named.port !== target.port || (named.host !== target.host && named.host !== scope.sni),
  };
}

interface JudgedRequest {
  readonly named: Authority;
  readonly isForeign: boolean;
  readonly path: string;
}

/** Judges a request, for both names where it names another authority than its connection's; a Failure answers it. */
function judgeRequest(
  flow: Flow,
  scope: InterceptScope,
  { named, isForeign, path }: JudgedRequest,
): UpstreamTarget | Failure {
  const { target } = flow.route;
  targetReceived(flow);
  const input = {
    host: target.host,
    port: target.port,
    scheme: scope.scheme,
    path,
    connectHost: target.host,
    authority: formatAuthority(named.host, named.port),
    ...clientFacts(flow),
    ...(scope.sni === undefined ? {} : { sni: scope.sni }),
    ...resolvedFacts(flow),
    ...(scope.identity === undefined ? {} : { upstreamIdentity: scope.identity }),
  };
  const decision = flow.judge(withJa4(input, flow.connection.tlsInfo), isForeign ? named : undefined);
  flow.decision = decision;
  flow.emit('connect_decision', {
    ...decisionPayload(decision, 'request'),
    authority: formatAuthority(named.host, named.port),
  });
  if (decision.action === 'block') return blockedByPolicy(decision);
  if (!isForeign || flow.config.interception.authorityCheck !== 'block') return scope.upstream;
  return new Failure('blocked', {
    side: 'client',
    detail: 'authority_mismatch',
    reply: {
      status: 421,
      body: `this connection is for ${formatHost(target.host)}, not for ${formatHost(named.host)}\n`,
    },
  });
}

function notHere(head: RequestMessage): Failure {
  return new Failure('mitm_http_error', {
    side: 'client',
    detail: `${head.method} inside an intercepted connection`,
    reply: { status: 501, body: 'CONNECT is not possible inside this connection\n' },
  });
}
