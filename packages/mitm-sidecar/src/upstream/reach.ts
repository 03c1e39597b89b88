// Brings a connection to where a route leads: straight to its next hop, or through the greeting of the proxy that is its next hop,
// with TLS around that where the proxy wants it.
import { errorText, type Flow, type NextProxy, type Route } from 'mitm-core';
import { classifyTlsError } from 'mitm-tls';

import { ConnectTlsError, connectTlsOver } from '../handshake/connect-tls.ts';
import type { Runtime } from '../runtime.ts';
import { Wire } from '../wire.ts';
import { dial, type DialOptions, dialVolatile } from './dial.ts';
import { greetHttpProxy } from './http-proxy.ts';
import { proxyFailure } from './proxy-failure.ts';
import { greetSocks5 } from './socks5.ts';

/** Told of each socket as soon as it is made. */
type OnSocket = NonNullable<DialOptions['onSocket']>;

/**
 * Reaches the target of a route, whatever is on the way: what is written to the wire arrives there.
 *
 * @throws Failure `upstream_connect_failed`, `route_planner_failed` or `blocked`, each with its answer
 */
export async function reach(flow: Flow, route: Route, runtime: Runtime, onSocket?: OnSocket): Promise<Wire> {
  const { proxy } = route;
  if (proxy === undefined) return new Wire(await dial(route, dialOptions(flow, route, runtime, onSocket)));
  return throughProxy(flow, route, proxy, runtime, onSocket);
}

/** The same for bytes that are passed on at once: where nothing is on the way, they are read into one buffer. */
export async function reachVolatile(
  flow: Flow,
  route: Route,
  runtime: Runtime,
  onSocket?: OnSocket,
): Promise<Wire> {
  const { proxy } = route;
  if (proxy === undefined) return dialVolatile(route, dialOptions(flow, route, runtime, onSocket));
  return throughProxy(flow, route, proxy, runtime, onSocket);
}

/** Reaches the proxy of a route and no further: for requests that are handed to it in absolute form. */
export async function reachProxy(
  flow: Flow,
  route: Route,
  proxy: NextProxy,
  runtime: Runtime,
  onSocket?: OnSocket,
): Promise<Wire> {
  const options = dialOptions(flow, route, runtime, onSocket);
  await runtime.addresses.refuseOwnName(route.target, options.timeoutMs);
  const socket = await dial(route, options);
  if (!proxy.isTls) return new Wire(socket);
  try {
    const { wire } = await connectTlsOver(socket, runtime.targets.proxyTls(flow.config, proxy), {
      connectTimeoutMs: options.timeoutMs,
      handshakeTimeoutMs: flow.config.timeouts.handshakeMs,
    });
    return wire;
  } catch (error) {
    if (!(error instanceof ConnectTlsError)) throw error;
    const reason = classifyTlsError(error.cause);
    throw proxyFailure(proxy, route.target.host, {
      detail: `TLS with the next proxy failed (${reason}): ${errorText(error.cause)}`,
      sentence: `could not be spoken to securely (${reason})`,
      isTimeout: reason === 'timeout',
      isLost: reason === 'eof_or_reset',
    });
  }
}

/** What each dial of a flow is bound to. */
export function dialOptions(
  flow: Flow,
  route: Route,
  runtime: Runtime,
  onSocket: OnSocket | undefined,
): DialOptions {
  return {
    timeoutMs: flow.config.upstream.connectTimeoutMs,
    guard: runtime.addresses.of(flow, route),
    onSocket,
  };
}

async function throughProxy(
  flow: Flow,
  route: Route,
  proxy: NextProxy,
  runtime: Runtime,
  onSocket: OnSocket | undefined,
): Promise<Wire> {
  const wire = await reachProxy(flow, route, proxy, runtime, onSocket);
  const { target } = route;
  const timeoutMs = flow.config.timeouts.handshakeMs;
  try {
    if (proxy.type === 'socks5') await greetSocks5(wire, proxy, target, { timeoutMs });
    else
      await greetHttpProxy(wire, proxy, target, {
        timeoutMs,
        fields: runtime.loopGuard.mark(flow.receivedVia),
      });
    return wire;
  } catch (error) {
    wire.destroy();
    throw error;
  }
}
