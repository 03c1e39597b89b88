// The lane of a CONNECT that is read: reach the origin, hear who speaks first, shake hands with both sides, and serve the
// requests inside. This file sets the order and leaves the doing to others.

import { errorText, Failure, type Flow } from 'mitm-core';
import { connectEstablishedHead } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';
import type { Decision } from 'mitm-policy';
import type { ClientHello } from 'mitm-tls';

import { acceptTls, HandshakeError } from '../handshake/accept-tls.ts';
import { ConnectTlsError, connectTlsOver } from '../handshake/connect-tls.ts';
import { offersOnlyOtherProtocols } from '../handshake/first-bytes.ts';
import { type Beginning, peekBeginning } from '../handshake/peek.ts';
import { handshakeFailed, handshakeStarted, handshakeSucceeded } from '../handshake/report.ts';
import { serveHttp1 } from '../http1/serve.ts';
import { relayBytes } from '../relay/bytes.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { connectUpstream } from '../upstream/connect.ts';
import { dial } from '../upstream/dial.ts';
import { firstDial } from '../upstream/first-dial.ts';
import type { UpstreamTarget } from '../upstream/target.ts';
import { tlsFailure } from '../upstream/tls-failure.ts';
import { Wire } from '../wire.ts';
import { blockedByPolicy } from './block.ts';
import { decisionPayload } from './decision.ts';
import { interceptPlanner } from './intercept-plan.ts';

const httpAlpn: readonly string[] = ['http/1.1'];

/** Intercepts a CONNECT that has been judged. */
export async function intercept(flow: Flow, session: Session, runtime: Runtime): Promise<CloseReason> {
  const expected = targetOf(flow, runtime, undefined);
  const held = runtime.pool.hasIdleAt(expected.place) ? undefined : await dialled(flow, session);
  try {
    session.wire.writeText(connectEstablishedHead);
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
interface Begun {
  readonly beginning: Beginning;
  /** The connection that was dialled; undefined where the pool had one. */
  readonly held: Wire | undefined;
}

async function serveBeginning(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  begun: Begun,
): Promise<CloseReason> {
  const { beginning, held } = begun;
  switch (beginning.kind) {
    case 'tls':
      if (offersOnlyOtherProtocols(beginning.hello)) return relayUnknown(flow, session, held);
      return interceptTls(flow, session, runtime, beginning.hello, begun);
    case 'http1':
      return servePlain(flow, session, runtime, held);
    case 'http2':
    case 'unknown':
    case 'upstream_first':
      return relayUnknown(flow, session, held);
  }
}

/** Plain HTTP inside CONNECT: the same path without TLS. */
async function servePlain(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  held: Wire | undefined,
): Promise<CloseReason> {
  const target = runtime.targets.of({ route: flow.route, isTls: false, skipVerify: false, alpn: [] });
  if (held !== undefined) runtime.pool.adopt(target, held, flow);
  flow.speak('http1');
  return serveHttp1(
    flow,
    session,
    runtime,
    interceptPlanner(flow, runtime, { scheme: 'http', upstream: target, sni: undefined }),
  );
}

/** Anything that is not ours to read is relayed as it is, or refused. */
async function relayUnknown(flow: Flow, session: Session, held: Wire | undefined): Promise<CloseReason> {
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
  const upstream = held ?? (await dialled(flow, session));
  return relayBytes(flow, session.wire, upstream, flow.config.timeouts.tunnelIdleMs);
}

async function interceptTls(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  hello: ClientHello,
  begun: Begun,
): Promise<CloseReason> {
  const decision = judgeHello(flow, runtime, hello);
  if (decision.action === 'tunnel') {
    const upstream = begun.held ?? (await dialled(flow, session));
    return relayBytes(flow, session.wire, upstream, flow.config.timeouts.tunnelIdleMs);
  }
  const target = targetOf(flow, runtime, hello.sni);
  const origin =
    decision.action === 'block'
      ? { alpn: httpAlpn[0], failure: blockedByPolicy(decision) }
      : await reachOrigin(flow, runtime, target, begun);
  if (origin.failure !== undefined) begun.held?.destroy();
  const wire = await shakeHands(flow, session, runtime, hello, origin);
  session.wire = wire;
  flow.speak('http1');
  const plan = interceptPlanner(flow, runtime, {
    scheme: 'https',
    upstream: origin.failure ?? target,
    sni: hello.sni,
  });
  const reason = await serveHttp1(flow, session, runtime, plan);
  if (origin.failure === undefined) return reason;
  throw new Failure(origin.failure.reason, { side: 'upstream', detail: origin.failure.detail });
}

/** The facts of a ClientHello may make the verdict stricter, and a policy that reads them may change it either way. */
function judgeHello(flow: Flow, runtime: Runtime, hello: ClientHello): Decision {
  const { target } = flow.route;
  const input = {
    host: target.host,
    port: target.port,
    alpn: hello.alpn,
    ...(hello.sni === undefined ? {} : { sni: hello.sni }),
    ...(flow.connection.processInfo === undefined ? {} : { process: flow.connection.processInfo }),
  };
  const isOther = hello.sni !== undefined && hello.sni !== target.host;
  const decision = runtime.engine.decide(
    input,
    isOther ? { host: hello.sni ?? '', port: target.port } : undefined,
  );
  const before = flow.decision;
  if (before !== undefined && before.action === decision.action) return before;
  flow.decision = decision;
  flow.emit('connect_decision', {
    ...decisionPayload(decision, 'client_hello'),
    ...(hello.sni === undefined ? {} : { sni: hello.sni }),
  });
  return decision;
}

interface Origin {
  /** What the origin agreed to speak; undefined when it named nothing. */
  readonly alpn: string | undefined;
  /** Why it can't be spoken to: the client gets that as an answer, inside TLS. */
  readonly failure: Failure | undefined;
}

/** TLS with the origin, unless the pool has a connection already. A failure is kept for the client's first request. */
async function reachOrigin(
  flow: Flow,
  runtime: Runtime,
  target: UpstreamTarget,
  begun: Begun,
): Promise<Origin> {
  const { tls } = target;
  if (tls === undefined || runtime.pool.hasIdle(target.key)) {
    // Dialled for a name that the hello did not ask for, or overtaken by another client's connection.
    begun.held?.destroy();
    return { alpn: httpAlpn[0], failure: undefined };
  }
  const facts = {
    peer: 'upstream',
    role: 'own',
    sni: tls.servername === '' ? undefined : tls.servername,
  } as const;
  try {
    if (begun.held === undefined) {
      const wire = await connectUpstream(runtime, flow, target, runtime.pool.sessions);
      runtime.pool.adopt(target, wire, flow);
      return { alpn: httpAlpn[0], failure: undefined };
    }
    handshakeStarted(flow, facts);
    const connected = await connectTlsOver(begun.held.release(), tls, {
      connectTimeoutMs: flow.config.upstream.connectTimeoutMs,
      handshakeTimeoutMs: flow.config.timeouts.handshakeMs,
      session: runtime.pool.sessions.get(target.key),
      onSession: (session) => runtime.pool.sessions.set(target.key, session),
    });
    handshakeSucceeded(flow, { ...facts, alpn: connected.alpn, version: connected.version });
    runtime.pool.adopt(target, connected.wire, flow);
    return { alpn: connected.alpn, failure: undefined };
  } catch (error) {
    if (error instanceof Failure) return { alpn: httpAlpn[0], failure: error };
    if (!(error instanceof ConnectTlsError)) throw error;
    const { host } = target.route.target;
    const reason = handshakeFailed(runtime, flow, { ...facts, host, error: error.cause });
    return { alpn: httpAlpn[0], failure: tlsFailure(host, reason, error.cause) };
  }
}

/** TLS with the client, as the host it asked for, speaking what the origin speaks. */
async function shakeHands(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  hello: ClientHello,
  origin: Origin,
): Promise<Wire> {
  const { host } = flow.route.target;
  // After a failure of the origin the flow's course is over; what follows only explains it.
  const facts = {
    peer: 'downstream',
    role: origin.failure === undefined ? 'own' : 'dial',
    sni: hello.sni,
  } as const;
  const fail = (error: unknown, stage: string): Failure => {
    handshakeFailed(runtime, flow, { ...facts, host, error });
    return new Failure('tls_handshake_failed', {
      side: 'client',
      detail: `${stage}: ${errorText(error)}`,
      cause: error,
    });
  };
  let leaf: ReturnType<Runtime['certificates']['contextFor']>;
  try {
    leaf = runtime.certificates.contextFor(
      hello.sni === undefined || hello.sni === host ? [host] : [hello.sni, host],
    );
  } catch (error) {
    throw fail(error, 'downstream leaf issuance error');
  }
  handshakeStarted(flow, { ...facts, certCacheStatus: leaf.status });
  try {
    const accepted = await acceptTls(session.wire, {
      context: leaf.context,
      alpn: origin.alpn === undefined ? [] : [origin.alpn],
      timeoutMs: flow.config.timeouts.handshakeMs,
    });
    flow.connection.tlsInfo = {
      ...(hello.sni === undefined ? {} : { sni: hello.sni }),
      ...(accepted.alpn === undefined ? {} : { negotiatedProto: accepted.alpn }),
      ...(accepted.version === undefined ? {} : { version: accepted.version }),
      ...(accepted.cipher === undefined ? {} : { cipher: accepted.cipher }),
    };
    handshakeSucceeded(flow, { ...facts, alpn: accepted.alpn, version: accepted.version });
    return accepted.wire;
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    throw fail(error.cause ?? error, 'downstream handshake failed');
  }
}

/** A hello that can't be read is a handshake that failed. */
function reportedPeek(flow: Flow, runtime: Runtime, error: unknown): unknown {
  if (error instanceof Failure && error.reason === 'tls_handshake_failed') {
    const { host } = flow.route.target;
    handshakeFailed(runtime, flow, { peer: 'downstream', role: 'own', host, error: error.cause ?? error });
  }
  return error;
}

async function dialled(flow: Flow, session: Session): Promise<Wire> {
  return new Wire(await firstDial(flow, session.wire, dial));
}

function targetOf(flow: Flow, runtime: Runtime, sni: string | undefined): UpstreamTarget {
  return runtime.targets.of({
    route: flow.route,
    isTls: true,
    sni,
    skipVerify: flow.decision?.skipUpstreamVerify ?? false,
    alpn: httpAlpn,
  });
}

function peekOptions(flow: Flow): { readonly timeoutMs: number; readonly maxBytes: number } {
  return { timeoutMs: flow.config.timeouts.handshakeMs, maxBytes: flow.config.maxHttpHeadBytes };
}
