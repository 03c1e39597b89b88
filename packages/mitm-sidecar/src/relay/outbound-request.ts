// What is asked of an origin for one exchange, put together from what the client sent and what its lane planned.
import type { Exchange } from 'mitm-core';

import type { Inbound, OutboundRequest, RelayOptions } from './sides.ts';

/** @param hasContinued the client was told to send its body, so that the origin need not be asked */
export function outboundRequest(
  exchange: Exchange,
  inbound: Inbound,
  options: RelayOptions,
  hasContinued: boolean,
): OutboundRequest {
  const { head, framing } = inbound;
  const { decision } = exchange.flow;
  return {
    head,
    framing,
    scheme: exchange.scheme,
    authority: exchange.authority,
    target: options.target,
    host: options.host,
    keepUpgrade: inbound.upgrade !== '',
    dropExpect: hasContinued,
    maxForwards: options.maxForwards,
    handedTo: options.handedTo,
    responseLeniency: decision?.responseLeniency,
    isStrict: decision?.strictHeaderMode,
    via: viaMember(options.via, head.version),
  };
}

/** What the proxy says of itself in a message that came in this version (RFC 9110 §7.6.3). */
export function viaMember(name: string | undefined, version: string): string | undefined {
  return name === undefined ? undefined : `${version.slice('HTTP/'.length)} ${name}`;
}
