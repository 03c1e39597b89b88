// Makes one connection to an origin for an exchange: TCP, and TLS where the target asks for it, with what is reported
// about both.
import type { Duplex } from 'node:stream';

import { type Flow } from 'mitm-core';

import { ConnectTlsError, connectTlsOver, dialTls } from '../handshake/connect-tls.ts';
import { handshakeFailed, handshakeStarted, handshakeSucceeded, towardsOrigin } from '../handshake/report.ts';
import type { Runtime } from '../runtime.ts';
import type { Wire } from '../wire.ts';
import { dialFailure } from './dial.ts';
import { dialOptions, reach, reachProxy } from './reach.ts';
import type { UpstreamTarget } from './target.ts';
import { tlsFailure } from './tls-failure.ts';

/** TLS sessions by upstream key. */
export interface SessionCache {
  get(key: string): Buffer | undefined;
  set(key: string, session: Buffer): void;
}

/** A connection that stands. */
export interface Connected {
  readonly wire: Wire;
  /** What the origin chose; undefined when it chose nothing. */
  readonly alpn: string | undefined;
}

/**
 * Connects to a target, reporting on the exchange's flow.
 *
 * @throws Failure `upstream_connect_failed` or `tls_handshake_failed`, each with its answer, or what an address is refused with
 */
export async function connectUpstream(
  runtime: Runtime,
  flow: Flow,
  target: UpstreamTarget,
  sessions: SessionCache,
): Promise<Connected> {
  const { tls, route } = target;
  const { proxy } = route;
  const beganMs = performance.now();
  const reached = (): void => runtime.engine.metrics.took('dial', performance.now() - beganMs);
  const onSocket = (socket: Duplex): void => runtime.sockets.add(socket);
  if (tls === undefined) {
    const isHandedOn = target.form === 'absolute' && proxy !== undefined;
    const wire = isHandedOn
      ? await reachProxy(flow, route, proxy, runtime, onSocket)
      : await reach(flow, route, runtime, onSocket);
    reached();
    return { wire, alpn: undefined };
  }
  const facts = towardsOrigin(tls, 'dial');
  try {
    const { timeoutMs: connectTimeoutMs, guard } = dialOptions(flow, route, runtime, onSocket);
    const options = {
      connectTimeoutMs,
      onSocket,
      handshakeTimeoutMs: flow.config.timeouts.handshakeMs,
      session: sessions.get(target.key),
      onSession: (session: Buffer) => sessions.set(target.key, session),
      onConnected: () => {
        reached();
        handshakeStarted(flow, facts);
      },
      keyLog: runtime.keyLog,
      guard,
    };
    const connected = await (proxy === undefined
      ? dialTls(target, tls, options)
      : reach(flow, route, runtime, onSocket).then((wire) => {
          options.onConnected();
          return connectTlsOver(wire.release(), tls, options);
        }));
    handshakeSucceeded(flow, { ...facts, ...connected });
    if (runtime.engine.policyWants('upstream_identity')) runtime.identities.remember(target, connected.wire);
    return connected;
  } catch (error) {
    if (!(error instanceof ConnectTlsError)) throw error;
    if (error.stage === 'connect') throw dialFailure(route, error.cause);
    const { cause, revocation } = error;
    const { host } = route.target;
    throw tlsFailure(
      host,
      cause,
      handshakeFailed(runtime, flow, { ...facts, host, error: cause, revocation }),
    );
  }
}
