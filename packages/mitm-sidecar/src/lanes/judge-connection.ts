// The verdict on a target, asked for in the same way whichever way the client came in: by its name, and by who the client is.
import { type Flow, isPromise } from 'mitm-core';
import type { Authority, HeaderMap } from 'mitm-http';
import { http3Hint } from 'mitm-http';
import type { Decision } from 'mitm-policy';

import type { Runtime } from '../runtime.ts';
import { decideTarget, type TargetFacts } from './decide-target.ts';
import { decisionPayload } from './decision.ts';

export interface JudgeOptions {
  /** The fields of a CONNECT, in which a client may ask to be left alone. */
  readonly headers?: HeaderMap;
  /** What a ClientHello told, where the target is its server name. */
  readonly hello?: Pick<TargetFacts, 'sni' | 'alpn' | 'fingerprint'>;
}

/** What is done with a connection, and what policy had said. */
export interface Judgement {
  readonly action: Decision['action'];
  /** With the reason that counts in the end. */
  readonly decision: Decision;
}

/**
 * Judges the target of a connection: policy, the HTTP/3 hint, the handler. The flow has its route and its decision then.
 *
 * @throws Failure `route_planner_failed` when the target is the proxy itself, or no route leads there
 */
export async function judgeConnection(
  flow: Flow,
  runtime: Runtime,
  target: Authority,
  { headers, hello }: JudgeOptions = {},
): Promise<Judgement> {
  flow.nameTarget(target);
  runtime.loopGuard.refuse(target);
  const via = headers === undefined ? undefined : viaOf(headers);
  runtime.loopGuard.refuseMarked(() => via);
  flow.receivedVia = via;
  const decided = decideTarget(flow, runtime, target, { connectHost: target.host, ...hello });
  const decision = isPromise(decided) ? await decided : decided;
  const mayHint = decision.action !== 'block' && flow.config.http3Passthrough && headers !== undefined;
  const hint = mayHint ? http3Hint(headers) : undefined;
  const effective = await effectiveAction(flow, runtime, decision, hint !== undefined);
  flow.emit('connect_decision', {
    ...decisionPayload(decision, undefined, flow.route),
    ...(effective.reason === undefined
      ? {}
      : { effectiveAction: effective.action, effectiveReason: effective.reason }),
  });
  if (hint !== undefined) {
    flow.speak('streamable_http');
    flow.emit('http3_passthrough', {
      passthroughProtocol: 'http3',
      passthroughMode: 'tunnel',
      requestedBy: hint,
      policyAction: decision.action,
    });
  }
  const { action, reason } = effective;
  return { action, decision: reason === undefined ? decision : { ...decision, reason } };
}

/** Several fields of that name are one list (RFC 9110 §5.3). */
function viaOf(headers: HeaderMap): string | undefined {
  const values = headers.getAll('via');
  return values.length === 0 ? undefined : values.join(', ');
}

/** What is done when policy, the HTTP/3 hint and the handler have been heard. */
async function effectiveAction(
  flow: Flow,
  runtime: Runtime,
  decision: Decision,
  hasHint: boolean,
): Promise<{ readonly action: Decision['action']; readonly reason: string | undefined }> {
  if (decision.action !== 'intercept') return { action: decision.action, reason: undefined };
  if (hasHint) return { action: 'tunnel', reason: 'http3_hint' };
  const answer = await runtime.engine.handler.shouldInterceptTls(flow, flow.route.target.host);
  if (answer === 'decline') return { action: 'tunnel', reason: 'handler_declined' };
  if (answer === 'fail_closed') return { action: 'block', reason: 'handler_failed_closed' };
  if (await runtime.tls.isLetThrough(flow)) return { action: 'tunnel', reason: 'tls_backoff' };
  return { action: 'intercept', reason: undefined };
}
