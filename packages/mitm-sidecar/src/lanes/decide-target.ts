// What every way in does with a target once it is named: plan the way to it, find out what the policy wants to know, and judge.
// It answers at once wherever nobody has to be waited for.
import { type Awaitable, errorText, type Flow, isPromise, type ResolvedTarget, type Route } from 'mitm-core';
import type { Authority } from 'mitm-http';
import type { Decision, PolicyInput } from 'mitm-policy';

import type { Runtime } from '../runtime.ts';
import { dialFailure } from '../upstream/dial.ts';
import { type Ja4Source, withJa4 } from './client-fingerprint.ts';

/** What is known of the client. */
export function clientFacts(flow: Flow): Pick<PolicyInput, 'process' | 'user'> {
  const { processInfo } = flow.connection;
  return {
    ...(processInfo === undefined ? {} : { process: processInfo }),
    ...(flow.user === undefined ? {} : { user: flow.user }),
  };
}

/** What was found out about the target's address before it was judged first. */
export function resolvedFacts({ route: { resolved } }: Flow): Pick<PolicyInput, 'address' | 'addressClass'> {
  return resolved === undefined ? {} : { address: resolved.address, addressClass: resolved.addressClass };
}

/** Says that a flow's target is known. */
export function targetReceived(flow: Flow): void {
  flow.emit('connect_received', flow.user === undefined ? {} : { user: flow.user });
}

/** What is known of a target besides its name. */
export interface TargetFacts extends Pick<PolicyInput, 'path' | 'connectHost' | 'sni' | 'alpn'> {
  /** Whose fingerprint the policy may read. */
  readonly fingerprint?: Ja4Source | undefined;
}

/**
 * Plans the way of a flow to its target, and judges it. The flow has its route and its decision then.
 *
 * @throws Failure `route_planner_failed` for a way that leads back to the proxy itself, or what a handler without a route leads to
 */
export function decideTarget(
  flow: Flow,
  runtime: Runtime,
  target: Authority,
  facts: TargetFacts,
): Awaitable<Decision> {
  const route = runtime.engine.planRoute(flow, target);
  return isPromise(route)
    ? route.then((planned) => judgeRoute(flow, runtime, planned, facts))
    : judgeRoute(flow, runtime, route, facts);
}

function judgeRoute(flow: Flow, runtime: Runtime, route: Route, facts: TargetFacts): Awaitable<Decision> {
  if (route.nextHop !== route.target) runtime.loopGuard.refuse(route.nextHop);
  flow.route = route;
  targetReceived(flow);
  if (route.mode !== 'direct' || !runtime.engine.policyWants('address'))
    return decide(flow, facts, undefined);
  return judgeResolved(flow, runtime, route, facts);
}

/** Judges a target by its address too: the one that is told is among those that are dialled, and no other is. */
async function judgeResolved(
  flow: Flow,
  runtime: Runtime,
  route: Route,
  facts: TargetFacts,
): Promise<Decision> {
  let resolved: ResolvedTarget;
  try {
    resolved = await runtime.addresses.resolve(route.target, flow.config.upstream.connectTimeoutMs);
  } catch (error) {
    const decision = decide(flow, facts, undefined);
    if (decision.action === 'block') return decision;
    // Looked up again it might have an address, which nobody would have judged.
    throw dialFailure(route, error instanceof Error ? error : new Error(errorText(error)));
  }
  flow.route = Object.freeze({ ...route, resolved });
  return decide(flow, facts, resolved);
}

function decide(
  flow: Flow,
  { path, connectHost, sni, alpn, fingerprint }: TargetFacts,
  resolved: ResolvedTarget | undefined,
): Decision {
  const { host, port } = flow.route.target;
  const input = {
    host,
    port,
    path,
    connectHost,
    sni,
    alpn,
    ...clientFacts(flow),
    ...(resolved === undefined ? {} : { address: resolved.address, addressClass: resolved.addressClass }),
  };
  const decision = flow.judge(withJa4(input, fingerprint));
  flow.decision = decision;
  return decision;
}
