// The course of a CONNECT: judged by its target and by the program that sent it, then tunnelled, intercepted or refused.
import { type Flow, planRoute } from 'mitm-core';
import type { Authority, HeaderMap } from 'mitm-http';
import { http3Hint } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';
import type { Decision } from 'mitm-policy';

import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { blockedByPolicy } from './block.ts';
import { decisionPayload } from './decision.ts';
import { intercept } from './intercept.ts';
import { tunnel } from './tunnel.ts';

export interface ConnectRequest extends Authority {
  readonly headers: HeaderMap;
}

/** Serves a CONNECT whose head has been read and parsed. */
export async function serveConnect(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  request: ConnectRequest,
): Promise<CloseReason> {
  const target: Authority = { host: request.host, port: request.port };
  flow.nameTarget(target);
  runtime.loopGuard.refuse(target);
  flow.route = planRoute(flow.config, target);
  flow.emit('connect_received', {});
  const decision = runtime.engine.decide({
    host: target.host,
    port: target.port,
    ...(flow.connection.processInfo === undefined ? {} : { process: flow.connection.processInfo }),
  });
  flow.decision = decision;
  const hint =
    decision.action === 'block' || !flow.config.http3Passthrough ? undefined : http3Hint(request.headers);
  const effective = await effectiveAction(flow, runtime, decision, hint !== undefined);
  flow.emit('connect_decision', {
    ...decisionPayload(decision),
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
  switch (effective.action) {
    case 'block':
      throw blockedByPolicy(
        effective.reason === undefined ? decision : { ...decision, reason: effective.reason },
      );
    case 'tunnel':
      return tunnel(flow, session);
    case 'intercept':
      return intercept(flow, session, runtime);
  }
}

/** What is done with a CONNECT when policy, the HTTP/3 hint and the handler have been heard. */
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
  return { action: 'intercept', reason: undefined };
}
