// Serves HTTP/1 on a client connection: one exchange after the other, each with a flow of its own, until either side has
// had enough.
import { type Awaitable, Exchange, Failure, type Flow, isPromise } from 'mitm-core';
import { HttpError, type RequestHead } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { isRepeatable } from '../relay/attempt.ts';
import { relayBytes } from '../relay/bytes.ts';
import { relayExchange } from '../relay/exchange.ts';
import type { ExchangeEnd, Outbound, Upstream } from '../relay/sides.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import type { UpstreamTarget } from '../upstream/target.ts';
import { badRequest } from './bad-request.ts';
import { Http1Inbound } from './inbound.ts';
import { Http1Outbound } from './outbound.ts';

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
  /** The name under which the proxy enters itself into Via. */
  readonly via?: string | undefined;
  /** Passed on unseen: policy wants this target tunnelled. */
  readonly isUnobserved?: boolean;
}

/** Decides what becomes of each request on a connection. @throws Failure to end the connection */
export type ExchangePlanner = (head: RequestHead) => Awaitable<ExchangePlan>;

/**
 * Serves requests until the connection ends.
 *
 * @returns `mitm_http_completed` when the client or the proxy ended it between two requests
 * @throws Failure when the connection can't go on
 */
export async function serveHttp1(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  plan: ExchangePlanner,
): Promise<CloseReason> {
  const inbound = new Http1Inbound(session.wire, flow.config);
  session.http1 = inbound;
  try {
    for (;;) {
      if (runtime.isDraining()) return 'mitm_http_completed';
      const head = await inbound.nextRequest();
      if (head === undefined) return 'mitm_http_completed';
      const planned = plan(head);
      const { exchange, ending } = beginExchange(
        inbound,
        isPromise(planned) ? await planned : planned,
        runtime,
      );
      let end = await ending;
      if (end.upgraded instanceof Http1Outbound)
        end = await relayUpgrade(exchange.flow, inbound, end.upgraded);
      // What broke when both sides were cut is no fault of either.
      if (session.isKilled) exchange.close('shutdown');
      else exchange.close(end.reason, end.detail);
      if (!end.isReusable) return connectionReason(end.reason);
    }
  } catch (error) {
    const failure = error instanceof HttpError ? badRequest(error) : Failure.from(error);
    if (failure.reply !== undefined) inbound.reply(failure.reply, { isLast: true });
    throw failure;
  } finally {
    session.http1 = undefined;
    runtime.pool.clientGone(flow.connection);
    inbound.close();
  }
}

interface BegunExchange {
  readonly exchange: Exchange;
  readonly ending: Promise<ExchangeEnd>;
}

function beginExchange(inbound: Http1Inbound, plan: ExchangePlan, runtime: Runtime): BegunExchange {
  const { flow } = plan;
  const { head } = inbound;
  const exchange = new Exchange(flow, {
    request: head,
    scheme: plan.scheme,
    authority: plan.authority,
    path: plan.path,
    hasBody: !inbound.isRequestComplete,
    isUpgrade: head.upgrade !== '',
    isUnobserved: plan.isUnobserved ?? false,
  });
  const ending = relayExchange(exchange, inbound, new PlannedUpstream(plan, exchange, inbound, runtime), {
    target: plan.target,
    host: plan.host,
    maxForwards: plan.maxForwards,
    via: plan.via,
    isDraining: runtime.isDraining,
    bufferIdleMs: flow.config.body.bufferIdleMs,
    retryDelayMs: flow.config.upstream.retryOnFailure ? flow.config.upstream.retryDelayMs : undefined,
  });
  return { exchange, ending };
}

/** The way to the origin of one exchange, through the pool. */
class PlannedUpstream implements Upstream {
  readonly #plan: ExchangePlan;
  readonly #exchange: Exchange;
  readonly #inbound: Http1Inbound;
  readonly #runtime: Runtime;

  constructor(plan: ExchangePlan, exchange: Exchange, inbound: Http1Inbound, runtime: Runtime) {
    this.#plan = plan;
    this.#exchange = exchange;
    this.#inbound = inbound;
    this.#runtime = runtime;
  }

  acquire(isRepeat: boolean): Awaitable<Outbound> {
    const { upstream, flow } = this.#plan;
    if (upstream instanceof Failure) throw upstream;
    return this.#runtime.pool.acquire({
      target: upstream,
      flow,
      isRepeatable: isRepeatable(this.#exchange, this.#inbound.isRequestComplete),
      isFresh: isRepeat,
    });
  }

  cancel(): void {
    const { upstream, flow } = this.#plan;
    if (!(upstream instanceof Failure)) this.#runtime.pool.cancel(upstream, flow);
  }
}

/** After a 101 both connections carry whatever was agreed on, unread. Never rejects. */
async function relayUpgrade(
  flow: Flow,
  inbound: Http1Inbound,
  outbound: Http1Outbound,
): Promise<ExchangeEnd> {
  const client = inbound.upgrade();
  const upstream = outbound.upgrade();
  try {
    const reason = await relayBytes(flow, client, upstream, flow.config.timeouts.tunnelIdleMs);
    return { reason, detail: undefined, isReusable: false, upgraded: undefined };
  } catch (error) {
    const { reason, detail } = Failure.from(error);
    return { reason, detail, isReusable: false, upgraded: undefined };
  }
}

/** How the end of its last exchange closes a connection: what concerns that exchange alone is an ordinary end. */
function connectionReason(reason: CloseReason): CloseReason {
  return reason === 'client_aborted' || reason === 'handler_error' ? reason : 'mitm_http_completed';
}
