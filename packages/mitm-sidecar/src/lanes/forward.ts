// The lane of plain proxy requests: each names its own target and is judged and routed by it, one exchange at a time.
import {
  type Awaitable,
  Failure,
  type Flow,
  isPromise,
  type NextProxy,
  type SocketEndpoint,
} from 'mitm-core';
import {
  type Authority,
  AuthorityError,
  formatAuthority,
  H2RequestHead,
  HttpError,
  parseTarget,
  type RequestTarget,
} from 'mitm-http';
import type { CloseReason } from 'mitm-observe';
import type { Decision } from 'mitm-policy';

import { UserCheck } from '../arrival/authenticate.ts';
import { serveHttp1 } from '../http1/serve.ts';
import { serveHttp2 } from '../http2/serve.ts';
import type { ExchangePlan, ExchangePlanner } from '../relay/plan.ts';
import type { RequestMessage } from '../relay/sides.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { proxyFields } from '../upstream/http-proxy.ts';
import { blockedByPolicy } from './block.ts';
import { decideTarget } from './decide-target.ts';
import { decisionPayload } from './decision.ts';
import { remainingForwards } from './max-forwards.ts';
import { authorityOf, shownAuthority } from './named-authority.ts';
import { asksForRevocationList, revocationListAnswer } from './revocation-list.ts';
import { requireStrict } from './strict-mode.ts';

/** Serves plain requests on the proxy's own port. */
export function forward(flow: Flow, session: Session, runtime: Runtime): Promise<CloseReason> {
  flow.speak('http1');
  return serveHttp1(flow, session, runtime, forwardPlanner(flow, session, runtime));
}

/** Serves the same for a client that begins in HTTP/2 (RFC 9113 §3.3): each stream names its own target. */
export function forwardStreams(flow: Flow, session: Session, runtime: Runtime): Promise<CloseReason> {
  flow.speak('http2');
  return serveHttp2(flow, session, runtime, { plan: forwardPlanner(flow, session, runtime) });
}

/** Plans one exchange of a plain proxy connection after the other. */
function forwardPlanner(connectionFlow: Flow, session: Session, runtime: Runtime): ExchangePlanner {
  const users = new UserCheck(runtime, session);
  const { originalTarget } = session;
  return (head) => {
    const { target, path, needsHost } = wantedTarget(head, connectionFlow, originalTarget);
    const protocol = head instanceof H2RequestHead ? 'http2' : 'http1';
    const flow = connectionFlow.openChild({
      state: 'accepted',
      protocol,
      // Each of these is judged by itself: by what is in force now, not when its connection came.
      settings: runtime.engine.settings,
    });
    flow.nameTarget(target);
    const shown = shownAuthority(target, 'http');
    const plan = {
      flow,
      scheme: 'http',
      authority: shown,
      path,
      target: path,
      via: flow.config.via,
      ...(needsHost ? { host: shown } : {}),
    } as const;
    if (asksForRevocationList(head, { target, path }, flow, runtime)) {
      return revocationListAnswer(runtime).then((upstream) => ({ ...plan, upstream, isUnobserved: true }));
    }
    const refused = (error: unknown): ExchangePlan => ({
      ...plan,
      upstream: Failure.from(error),
      isUnobserved: true,
    });
    try {
      users.require(flow, head.headers);
      const maxForwards = remainingForwards(head);
      const judgedPlan = judged(flow, runtime, head, { target, plan });
      const complete = (made: ExchangePlan): ExchangePlan => {
        if (flow.decision?.strictHeaderMode === true) requireStrict(head);
        return maxForwards === undefined ? made : { ...made, maxForwards };
      };
      return isPromise(judgedPlan) ? judgedPlan.then(complete).catch(refused) : complete(judgedPlan);
    } catch (error) {
      return refused(error);
    }
  };
}

interface Wish {
  readonly target: Authority;
  readonly plan: Omit<ExchangePlan, 'upstream'>;
}

function judged(
  flow: Flow,
  runtime: Runtime,
  head: RequestMessage,
  { target, plan }: Wish,
): Awaitable<ExchangePlan> {
  // With a fixed next hop, requests for the proxy itself are what it is there for.
  if (flow.config.routeMode !== 'reverse') runtime.loopGuard.refuse(target);
  runtime.loopGuard.refuseMarked(() => head.headers.getAll('via').join(', '));
  const decision = decideTarget(flow, runtime, target, { path: plan.path });
  return isPromise(decision)
    ? decision.then((made) => decided(flow, runtime, head, { plan, decision: made }))
    : decided(flow, runtime, head, { plan, decision });
}

function decided(
  flow: Flow,
  runtime: Runtime,
  head: RequestMessage,
  { plan, decision }: { readonly plan: Omit<ExchangePlan, 'upstream'>; readonly decision: Decision },
): ExchangePlan {
  flow.emit('connect_decision', decisionPayload(decision, 'request', flow.route));
  if (decision.action === 'block') throw blockedByPolicy(decision);
  const { route } = flow;
  const upstream = runtime.targets.of(flow.config, {
    route,
    isTls: false,
    skipVerify: false,
    alpn: [],
    hasPriorKnowledge: flow.context.protocol === 'http2' && !flow.config.http2Bridge,
    // Proxies seldom pass an upgrade on, and a tunnel is what RFC 6455 §4.1 asks for.
    isHandedOn: !wantsUpgrade(head),
  });
  const observed = { ...plan, upstream, isUnobserved: decision.action === 'tunnel' };
  if (upstream.form === 'origin' || route.proxy === undefined) return observed;
  return { ...observed, ...handedOn(flow, runtime, plan, route.proxy) };
}

/** How a request is written for a proxy that is handed it: with its whole target, who we are, and a mark to know it again. */
function handedOn(
  flow: Flow,
  runtime: Runtime,
  plan: Omit<ExchangePlan, 'upstream'>,
  proxy: NextProxy,
): Partial<ExchangePlan> {
  const { host, port } = flow.route.target;
  const authority = port === 80 ? plan.authority : formatAuthority(host, port);
  return {
    // A star stands for the origin itself, which an absolute target names without a path (RFC 9112 §3.2.4).
    target: `http://${authority}${plan.path === '*' ? '' : plan.path}`,
    host: authority,
    handedTo: { proxy, fields: `${proxyFields(proxy)}${runtime.loopGuard.mark()}` },
  };
}

function wantsUpgrade(head: RequestMessage): boolean {
  if (head instanceof H2RequestHead) return false;
  return head.upgrade !== '' && !/^h2c$/i.test(head.upgrade);
}

interface WantedTarget {
  readonly target: Authority;
  readonly path: string;
  /** The authority is written as Host: an absolute target's replaces the received one, and HTTP/1.1 can't lack it. */
  readonly needsHost: boolean;
}

/** Which origin a plain proxy request is for. @throws Failure with a 400 for one that names none */
function wantedTarget(head: RequestMessage, flow: Flow, original: SocketEndpoint | undefined): WantedTarget {
  try {
    const wanted = head instanceof H2RequestHead ? h2Target(head) : parseTarget(head);
    if (wanted.form === 'authority')
      throw bad('CONNECT is possible only as the first request of a connection');
    if (wanted.scheme === 'https')
      throw bad('https needs CONNECT: this proxy does not open TLS for a plain request');
    const fallback = original === undefined ? flow.config.reverseUpstream : placeOf(original);
    if (
      wanted.authority === undefined &&
      (head.host === undefined || head.host === '') &&
      fallback === undefined
    ) {
      throw bad('the request names no host: send an absolute target or a Host field');
    }
    const named = authorityOf(head, wanted.authority, 'http', fallback ?? { host: '', port: 80 });
    // Behind a redirect the client names the host, and the port is the one that it had dialled.
    const target = original === undefined ? named : { host: named.host, port: original.port };
    const needsHost = wanted.authority !== undefined || head.host === undefined;
    return { target, path: wanted.path, needsHost };
  } catch (error) {
    if (error instanceof HttpError || error instanceof AuthorityError) throw bad(error.message);
    throw error;
  }
}

function placeOf({ address, port }: SocketEndpoint): Authority {
  return { host: address, port };
}

/** In HTTP/2 every request names its scheme and authority; CONNECT has its own way in. */
function h2Target(head: H2RequestHead): RequestTarget {
  if (head.method === 'CONNECT') {
    throw new Failure('mitm_http_error', {
      side: 'client',
      detail: 'CONNECT over HTTP/2',
      reply: { status: 501, body: 'CONNECT is not possible over HTTP/2\n' },
    });
  }
  return { form: 'origin', path: head.path, ...(head.scheme === 'https' ? { scheme: 'https' } : {}) };
}

function bad(message: string): Failure {
  return new Failure('mitm_http_error', {
    side: 'client',
    detail: message,
    reply: { status: 400, body: `${message}\n` },
  });
}
