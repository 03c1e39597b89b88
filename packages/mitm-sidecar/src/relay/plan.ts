// What becomes of one request, decided by its lane, and its way to the origin through the pool: the same for every version
// of HTTP that the client may speak.
import { type Awaitable, Exchange, Failure, type Flow } from 'mitm-core';
import { isTlsLayerError } from 'mitm-tls';

import { handshakeFailed } from '../handshake/report.ts';
import type { Runtime } from '../runtime.ts';
import { overHttp1, type UpstreamTarget } from '../upstream/target.ts';
import { tlsFailure } from '../upstream/tls-failure.ts';
import { isRepeatable } from './attempt.ts';
import { authenticatesConnection } from './connection-auth.ts';
import { relayExchange } from './exchange.ts';
import type { ExchangeEnd, HandedTo, Inbound, Outbound, RequestMessage, Upstream } from './sides.ts';

/** What is to become of one request. */
export interface ExchangePlan {
  readonly flow: Flow;
  readonly scheme: 'http' | 'https';
  /** As handlers and events see it, without a default port. */
  readonly authority: string;
  readonly path: string;
  /** Where it goes; a Failure answers in the origin's place. */
  readonly upstream: UpstreamTarget | Failure;
  /** The request target to write, and a Host in the received one's place. */
  readonly target: string;
  readonly host?: string | undefined;
  readonly maxForwards?: number | undefined;
  /** The proxy that is handed the request; the origin itself, or a tunnel to it, unless given. */
  readonly handedTo?: HandedTo | undefined;
  /** The name under which the proxy enters itself into Via. */
  readonly via?: string | undefined;
  /** Passed on unseen: policy wants this target tunnelled. */
  readonly isUnobserved?: boolean;
}

/** Decides what becomes of each request on a connection. @throws Failure to end the connection */
export type ExchangePlanner = (head: RequestMessage) => Awaitable<ExchangePlan>;

/** An exchange that is under way. */
export interface BegunExchange {
  readonly exchange: Exchange;
  readonly ending: Promise<ExchangeEnd>;
}

/** Starts an exchange as planned. Its end never rejects. */
export function beginExchange(inbound: Inbound, plan: ExchangePlan, runtime: Runtime): BegunExchange {
  const { flow } = plan;
  const { head } = inbound;
  const exchange = new Exchange(flow, {
    request: head,
    scheme: plan.scheme,
    authority: plan.authority,
    path: plan.path,
    hasBody: !inbound.isRequestComplete,
    isUpgrade: inbound.upgrade !== '',
    isUnobserved: plan.isUnobserved ?? false,
  });
  const ending = relayExchange(exchange, inbound, new PlannedUpstream(plan, exchange, inbound, runtime), {
    target: plan.target,
    host: plan.host,
    maxForwards: plan.maxForwards,
    handedTo: plan.handedTo,
    via: plan.via,
    dropsQuic: exchange.isObserved && flow.config.altSvc === 'strip',
    isDraining: runtime.isDraining,
    bufferIdleMs: flow.config.body.bufferIdleMs,
    retryDelayMs: flow.config.upstream.retryOnFailure ? flow.config.upstream.retryDelayMs : undefined,
  });
  return { exchange, ending };
}

/** The way to the origin of one exchange, through the pool. */
class PlannedUpstream implements Upstream {
  readonly #flow: Flow;
  readonly #target: UpstreamTarget | Failure;
  readonly #exchange: Exchange;
  readonly #inbound: Inbound;
  readonly #runtime: Runtime;

  constructor(plan: ExchangePlan, exchange: Exchange, inbound: Inbound, runtime: Runtime) {
    const { flow, upstream } = plan;
    this.#flow = flow;
    // Where the sides may speak different versions, the origin would choose HTTP/2, which has no upgrade.
    const needsHttp1 = inbound.upgrade !== '' && flow.config.http2Bridge && !(upstream instanceof Failure);
    this.#target = needsHttp1 ? overHttp1(upstream) : upstream;
    this.#exchange = exchange;
    this.#inbound = inbound;
    this.#runtime = runtime;
  }

  acquire(isRepeat: boolean): Awaitable<Outbound> {
    const target = this.#target;
    if (target instanceof Failure) throw target;
    return this.#runtime.pool.acquire({
      target,
      flow: this.#flow,
      isRepeatable: isRepeatable(this.#exchange, this.#inbound.isRequestComplete),
      isFresh: isRepeat,
      isAuthenticating: target.http2 !== 'never' && authenticatesConnection(this.#inbound.head),
    });
  }

  explain(failure: Failure, isFirst: boolean): Failure {
    const { cause } = failure;
    if (!isTlsLayerError(cause)) return failure;
    const flow = this.#flow;
    const { host } = flow.route.target;
    const late = { peer: 'upstream', role: 'dial', host, error: cause, isLate: true } as const;
    const understood = this.#runtime.tls.isNews(cause)
      ? handshakeFailed(this.#runtime, flow, late)
      : undefined;
    // In TLS 1.3 an origin judges the client's certificate when our side of the handshake is done.
    return isFirst ? tlsFailure(host, cause, understood) : failure;
  }

  cancel(): void {
    const target = this.#target;
    if (!(target instanceof Failure)) this.#runtime.pool.cancel(target, this.#flow);
  }
}
