// TLS inside an accepted CONNECT: judge the hello, shake hands with the origin and then with the client, and serve the requests
// in the version that both agreed on.
import { Failure, type Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';
import type { Decision, UpstreamIdentity } from 'mitm-policy';
import type { ClientHello, TlsClientFingerprint } from 'mitm-tls';

import { ConnectTlsError, connectTlsOver } from '../handshake/connect-tls.ts';
import { handshakeFailed, handshakeStarted, handshakeSucceeded, towardsOrigin } from '../handshake/report.ts';
import { isBackoffOn } from '../handshake/tls-memory.ts';
import { serveHttp1 } from '../http1/serve.ts';
import { serveHttp2 } from '../http2/serve.ts';
import { relayBytes } from '../relay/bytes.ts';
import type { ExchangePlanner } from '../relay/plan.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { connectUpstream } from '../upstream/connect.ts';
import { firstDialled } from '../upstream/first-dial.ts';
import type { TargetOptions, UpstreamTarget } from '../upstream/target.ts';
import { tlsFailure } from '../upstream/tls-failure.ts';
import type { Wire } from '../wire.ts';
import { agreedDownstream, agreedWithoutOrigin, type AlpnRules, offeredUpstream } from './alpn.ts';
import { blockedByPolicy } from './block.ts';
import { fingerprintOf, withJa4 } from './client-fingerprint.ts';
import { shakeHands } from './client-handshake.ts';
import { clientFacts, resolvedFacts } from './decide-target.ts';
import { decisionPayload } from './decision.ts';
import { interceptPlanner } from './intercept-plan.ts';
import type { Lane } from './lane.ts';

/** An origin sends its settings first of all; longer than this nobody waits for them. */
const SETTINGS_WAIT_MS = 250;

/** What is known when the client has said what it wants. */
export interface TlsBeginning {
  readonly hello: ClientHello;
  /** The connection that was dialled; undefined where the pool had one. */
  readonly held: Wire | undefined;
  /** The hello's fingerprints, where somebody has asked for them before. */
  readonly fingerprint?: TlsClientFingerprint | undefined;
}

/** Intercepts TLS whose hello has been read, and is still on the wire; the requests inside are served by the lane that goes on. */
export async function interceptTls(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  begun: TlsBeginning,
): Promise<CloseReason | Lane> {
  const { hello } = begun;
  const fingerprint = begun.fingerprint ?? fingerprintOf(flow, hello);
  const decision = judgeHello(flow, { hello, fingerprint });
  if (decision.action === 'tunnel') {
    const upstream = begun.held ?? (await firstDialled(flow, session, runtime));
    return relayBytes(flow, session.wire, upstream, flow.config.timeouts.tunnelIdleMs);
  }
  const rules: AlpnRules = {
    allowsHttp2: flow.config.http2Enabled && !decision.disableH2,
    bridges: flow.config.http2Bridge,
  };
  const asked = { sni: hello.sni, alpn: offeredUpstream(hello.alpn, rules), hello };
  const target = targetOrFailure(flow, runtime, asked);
  const reached = await originOf(
    flow,
    runtime,
    decision.action === 'block' ? blockedByPolicy(decision) : target,
    begun,
  );
  const identity = target instanceof Failure ? undefined : runtime.identities.get(target.key);
  const origin = judgeOrigin(flow, reached, { hello, fingerprint, identity });
  if (origin.failure !== undefined) begun.held?.destroy();
  const alpn =
    origin.failure === undefined
      ? agreedDownstream(hello.alpn, origin.alpn, rules)
      : agreedWithoutOrigin(hello.alpn);
  // Who refuses the certificate must be known by then; the lookup has run beside all this.
  if (isBackoffOn(flow.config)) await flow.connection.attributed;
  const accepted = await shakeHands(flow, session, runtime, {
    hello,
    fingerprint,
    alpn,
    failure: origin.failure,
  });
  session.wire = accepted.wire;
  const plan = interceptPlanner(flow, {
    scheme: 'https',
    upstream: origin.failure ?? target,
    sni: hello.sni,
    identity,
  });
  return requestsLane({
    isHttp2: accepted.alpn === 'h2',
    plan: noticingUse(flow, runtime, plan),
    target,
    failure: origin.failure,
  });
}

/** What the connection is for once both handshakes are done. */
interface AgreedWay {
  readonly isHttp2: boolean;
  readonly plan: ExchangePlanner;
  readonly target: UpstreamTarget | Failure;
  /** Why the origin can't be spoken to: every request is answered with it. */
  readonly failure: Failure | undefined;
}

/** Serves what comes inside TLS. It stands by itself so that a connection that stays open holds nothing of its handshakes. */
function requestsLane({ isHttp2, plan, target, failure }: AgreedWay): Lane {
  return async (flow, session, runtime) => {
    flow.speak(isHttp2 ? 'http2' : 'http1');
    const reason = isHttp2
      ? await serveStreams(flow, session, runtime, { plan, target })
      : await serveHttp1(flow, session, runtime, plan);
    if (failure === undefined) return reason;
    throw new Failure(failure.reason, { side: 'upstream', detail: failure.detail });
  };
}

async function serveStreams(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  way: Pick<AgreedWay, 'plan' | 'target'>,
): Promise<CloseReason> {
  const upstream =
    way.target instanceof Failure ? undefined : runtime.pool.sharedFor(way.target, flow.connection);
  // What the origin offers beyond plain requests is offered to the client too, so its settings are awaited.
  await upstream?.known(SETTINGS_WAIT_MS);
  return serveHttp2(flow, session, runtime, { plan: way.plan, upstream });
}

/** The facts of a ClientHello may make the verdict stricter, and a policy that reads them may change it either way. */
function judgeHello(flow: Flow, facts: NamedFacts): Decision {
  const { hello } = facts;
  const decision = decideNamed(flow, facts);
  const before = flow.decision;
  if (before !== undefined && before.action === decision.action && !hasNews(before, decision)) return before;
  flow.decision = decision;
  flow.emit('connect_decision', {
    ...decisionPayload(decision, 'client_hello'),
    ...(hello.sni === undefined ? {} : { sni: hello.sni }),
  });
  return decision;
}

/** What is known once the hello has been read, and once the origin has proved who it is. */
interface NamedFacts {
  readonly hello: ClientHello;
  readonly fingerprint: TlsClientFingerprint | undefined;
  readonly identity?: UpstreamIdentity | undefined;
}

/** Judges a target under its own name and under the server name that the client asked for. */
function decideNamed(flow: Flow, { hello, fingerprint, identity }: NamedFacts): Decision {
  const { host, port } = flow.route.target;
  const { sni } = hello;
  const input = {
    host,
    port,
    connectHost: host,
    ...resolvedFacts(flow),
    alpn: hello.alpn,
    ...(sni === undefined ? {} : { sni }),
    ...(identity === undefined ? {} : { upstreamIdentity: identity }),
    ...clientFacts(flow),
  };
  const other = sni === undefined || sni === host ? undefined : { host: sni, port };
  return flow.judge(withJa4(input, fingerprint), other);
}

/** Judges once more when the origin has proved who it is. What has been begun can only be refused then. */
function judgeOrigin(flow: Flow, reached: Origin, facts: NamedFacts): Origin {
  if (facts.identity === undefined || reached.failure !== undefined) return reached;
  const decision = decideNamed(flow, facts);
  if (decision.action !== 'block') return reached;
  flow.decision = decision;
  flow.note('connect_decision', decisionPayload(decision, 'upstream'));
  return { alpn: undefined, failure: blockedByPolicy(decision) };
}

/** Whether a check found something that it had not found before. */
function hasNews(before: Decision, decision: Decision): boolean {
  return decision.findings?.some((finding) => before.findings?.includes(finding) !== true) ?? false;
}

interface Origin {
  /** What the origin agreed to speak; undefined when it named nothing. */
  readonly alpn: string | undefined;
  /** Why it can't be spoken to: the client gets that as an answer, inside TLS. */
  readonly failure: Failure | undefined;
}

/** What a client wants of its origin. */
type Asked = Pick<TargetOptions, 'sni' | 'alpn' | 'hello'>;

/** The target of a hello, or why there is none: its server name is not one that may be asked for. */
function targetOrFailure(flow: Flow, runtime: Runtime, asked: Asked): UpstreamTarget | Failure {
  try {
    return tlsTarget(flow, runtime, asked);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { host } = flow.route.target;
    handshakeFailed(runtime, flow, { peer: 'upstream', role: 'own', host, error: error.cause ?? error });
    return error;
  }
}

/** A client that asks for something has accepted our certificate: what it is remembered for otherwise is forgotten. */
function noticingUse(flow: Flow, runtime: Runtime, plan: ExchangePlanner): ExchangePlanner {
  if (!isBackoffOn(flow.config)) return plan;
  let isUsed = false;
  return (head) => {
    if (!isUsed) runtime.tls.served(flow);
    isUsed = true;
    return plan(head);
  };
}

async function originOf(
  flow: Flow,
  runtime: Runtime,
  target: UpstreamTarget | Failure,
  begun: TlsBeginning,
): Promise<Origin> {
  return target instanceof Failure
    ? { alpn: undefined, failure: target }
    : await runtime.certificates.turns.run(() => reachOrigin(flow, runtime, target, begun));
}

/** TLS with the origin, unless the pool has a connection already. A failure is kept for the client's first request. */
async function reachOrigin(
  flow: Flow,
  runtime: Runtime,
  target: UpstreamTarget,
  begun: TlsBeginning,
): Promise<Origin> {
  const { tls } = target;
  if (tls === undefined || runtime.pool.hasIdle(target.key)) {
    // Dialled for a name that the hello did not ask for, or overtaken by another client's connection.
    begun.held?.destroy();
    return { alpn: runtime.pool.protocolOf(target.key), failure: undefined };
  }
  const facts = towardsOrigin(tls, 'own');
  try {
    if (begun.held === undefined) {
      const connected = await connectUpstream(runtime, flow, target, runtime.pool.sessions);
      runtime.pool.adopt(target, connected, flow);
      return { alpn: connected.alpn, failure: undefined };
    }
    handshakeStarted(flow, facts);
    const connected = await connectTlsOver(begun.held.release(), tls, {
      connectTimeoutMs: flow.config.upstream.connectTimeoutMs,
      handshakeTimeoutMs: flow.config.timeouts.handshakeMs,
      session: runtime.pool.sessions.get(target.key),
      onSession: (session) => runtime.pool.sessions.set(target.key, session),
      keyLog: runtime.keyLog,
    });
    handshakeSucceeded(flow, { ...facts, ...connected });
    if (runtime.engine.policyWants('upstream_identity')) runtime.identities.remember(target, connected.wire);
    runtime.pool.adopt(target, connected, flow);
    return { alpn: connected.alpn, failure: undefined };
  } catch (error) {
    if (error instanceof Failure) return { alpn: undefined, failure: error };
    if (!(error instanceof ConnectTlsError)) throw error;
    const { host } = target.route.target;
    const { cause, revocation } = error;
    const understood = handshakeFailed(runtime, flow, { ...facts, host, error: cause, revocation });
    return { alpn: undefined, failure: tlsFailure(host, cause, understood) };
  }
}

/** The origin of a CONNECT as TLS is spoken to it. */
export function tlsTarget(flow: Flow, runtime: Runtime, asked: Asked): UpstreamTarget {
  return runtime.targets.of(flow.config, {
    route: flow.route,
    isTls: true,
    sni: asked.sni,
    skipVerify: flow.decision?.skipUpstreamVerify ?? false,
    alpn: asked.alpn,
    hello: asked.hello,
  });
}
