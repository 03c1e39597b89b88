// Serves HTTP/1 on a client connection: one exchange after the other, each with a flow of its own, until either side has
// had enough.
import { type Exchange, Failure, type Flow, isPromise } from 'mitm-core';
import { HttpError } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { relayBytes } from '../relay/bytes.ts';
import { beginExchange, type ExchangePlanner } from '../relay/plan.ts';
import type { ExchangeEnd, Upgraded } from '../relay/sides.ts';
import { relayWebSocket } from '../relay/websocket.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { badRequest } from './bad-request.ts';
import { Http1Inbound } from './inbound.ts';
import { Http1Outbound } from './outbound.ts';

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
  session.server = inbound;
  try {
    for (;;) {
      const asked = inbound.nextRequest();
      if (runtime.isDraining()) inbound.drain();
      const head = await asked;
      if (head === undefined) return 'mitm_http_completed';
      const planned = plan(head);
      const { exchange, ending } = beginExchange(
        inbound,
        isPromise(planned) ? await planned : planned,
        runtime,
      );
      let end = await ending;
      if (end.upgraded !== undefined) end = await relayUpgrade(exchange, inbound, end.upgraded, session);
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
    session.server = undefined;
    runtime.pool.clientGone(flow.connection);
    inbound.close();
  }
}

/** After a 101 both connections carry what was agreed on: a WebSocket, or anything else, unread. Never rejects. */
async function relayUpgrade(
  exchange: Exchange,
  inbound: Http1Inbound,
  { outbound, webSocket }: Upgraded,
  session: Session,
): Promise<ExchangeEnd> {
  const { flow } = exchange;
  // Only HTTP/1 knows a 101.
  if (!(outbound instanceof Http1Outbound)) throw new Error('an upgraded connection that is not HTTP/1');
  const client = inbound.takeWire();
  const upstream = outbound.takeWire();
  const end = { isReusable: false, upgraded: undefined } as const;
  try {
    if (webSocket !== undefined)
      return { ...end, ...(await relayWebSocket(exchange, { client, upstream }, webSocket, session)) };
    const reason = await relayBytes(flow, client, upstream, flow.config.timeouts.tunnelIdleMs);
    return { ...end, reason, detail: undefined };
  } catch (error) {
    const { reason, detail } = Failure.from(error);
    upstream.destroy();
    return { ...end, reason, detail };
  }
}

/** How the end of its last exchange closes a connection: what concerns that exchange alone is an ordinary end. */
function connectionReason(reason: CloseReason): CloseReason {
  return reason === 'client_aborted' || reason === 'handler_error' ? reason : 'mitm_http_completed';
}
