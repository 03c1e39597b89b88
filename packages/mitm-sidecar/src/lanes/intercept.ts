// The lane of a CONNECT that is read: reach the origin, hear who speaks first, and serve what the connection carries. This file
// sets the order and leaves the doing to others.
import { Failure, type Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';
import type { TlsClientFingerprint } from 'mitm-tls';

import { offersOnlyOtherProtocols } from '../handshake/first-bytes.ts';
import { type Beginning, peekBeginning } from '../handshake/peek.ts';
import { handshakeFailed } from '../handshake/report.ts';
import { serveHttp1 } from '../http1/serve.ts';
import { serveHttp2 } from '../http2/serve.ts';
import { relayBytes } from '../relay/bytes.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { firstDialled } from '../upstream/first-dial.ts';
import type { Wire } from '../wire.ts';
import { decisionPayload } from './decision.ts';
import { interceptPlanner } from './intercept-plan.ts';
import { interceptTls } from './intercept-tls.ts';
import type { Lane } from './lane.ts';

/** Intercepts a CONNECT that has been judged. */
export async function intercept(flow: Flow, session: Session, runtime: Runtime): Promise<CloseReason | Lane> {
  const place = runtime.targets.placeOf(flow.config, flow.route);
  const held = runtime.pool.hasIdleAt(place) ? undefined : await firstDialled(flow, session, runtime);
  try {
    session.grant();
    const beginning = await peekBeginning(session.wire, held, peekOptions(flow)).catch((error: unknown) => {
      throw reportedPeek(flow, runtime, error);
    });
    return await serveBeginning(flow, session, runtime, { beginning, held });
  } catch (error) {
    held?.destroy();
    throw error;
  }
}

/** The origin's side while it is not yet known what the connection carries. */
export interface Begun {
  readonly beginning: Beginning;
  /** The connection that was dialled; undefined where the pool had one. */
  readonly held: Wire | undefined;
  /** The fingerprints of its hello, where somebody has asked for them before. */
  readonly fingerprint?: TlsClientFingerprint | undefined;
}

/** Serves what a connection begins with, to the target that it was judged for. */
export async function serveBeginning(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  begun: Begun,
): Promise<CloseReason | Lane> {
  const { beginning, held } = begun;
  switch (beginning.kind) {
    case 'tls':
      if (offersOnlyOtherProtocols(beginning.hello)) return relayUnknown(flow, session, runtime, held);
      return interceptTls(flow, session, runtime, {
        hello: beginning.hello,
        held,
        fingerprint: begun.fingerprint,
      });
    case 'http1':
      return plainLane(flow, runtime, held);
    case 'http2':
      return flow.config.http2Enabled && flow.decision?.disableH2 !== true
        ? plainLane(flow, runtime, held, true)
        : relayUnknown(flow, session, runtime, held);
    case 'unknown':
    case 'upstream_first':
      return relayUnknown(flow, session, runtime, held);
  }
}

/** Plain HTTP inside CONNECT: the same path without TLS. HTTP/2 goes on as HTTP/2, unless bridging is asked for. */
function plainLane(flow: Flow, runtime: Runtime, held: Wire | undefined, isHttp2 = false): Lane {
  const target = runtime.targets.of(flow.config, {
    route: flow.route,
    isTls: false,
    skipVerify: false,
    alpn: [],
    hasPriorKnowledge: isHttp2 && !flow.config.http2Bridge,
  });
  if (held !== undefined) runtime.pool.adopt(target, { wire: held, alpn: undefined }, flow);
  const plan = interceptPlanner(flow, { scheme: 'http', upstream: target, sni: undefined });
  flow.speak(isHttp2 ? 'http2' : 'http1');
  return isHttp2
    ? (...all) => serveHttp2(...all, { plan, upstream: runtime.pool.sharedFor(target, flow.connection) })
    : (...all) => serveHttp1(...all, plan);
}

/** Anything that is not ours to read is relayed as it is, or refused. */
async function relayUnknown(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  held: Wire | undefined,
): Promise<CloseReason> {
  const isBlocked = flow.config.interception.unknownProtocol === 'block';
  const decision = flow.decision;
  if (decision !== undefined) {
    flow.emit('connect_decision', {
      ...decisionPayload(decision, 'client_hello'),
      effectiveAction: isBlocked ? 'block' : 'tunnel',
      effectiveReason: 'unknown_protocol',
    });
  }
  if (isBlocked) throw new Failure('blocked', { side: 'internal', detail: 'unknown_protocol' });
  const upstream = held ?? (await firstDialled(flow, session, runtime));
  return relayBytes(flow, session.wire, upstream, flow.config.timeouts.tunnelIdleMs);
}

/** A hello that can't be read is a handshake that failed. */
function reportedPeek(flow: Flow, runtime: Runtime, error: unknown): unknown {
  if (error instanceof Failure && error.reason === 'tls_handshake_failed') {
    const { host } = flow.route.target;
    handshakeFailed(runtime, flow, { peer: 'downstream', role: 'own', host, error: error.cause ?? error });
  }
  return error;
}

/** How long, and how much, a client may take to say what it speaks. */
export function peekOptions(flow: Flow): { readonly timeoutMs: number; readonly maxBytes: number } {
  return { timeoutMs: flow.config.timeouts.handshakeMs, maxBytes: flow.config.maxHttpHeadBytes };
}
