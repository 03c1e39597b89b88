// Which way a flow goes on: the target it is judged, verified and reported by, and the next hop its bytes go to.
// Planned once per flow and never changed afterwards.
import type { Authority } from 'mitm-http';

import type { MitmConfig } from './config/index.ts';
import { Failure } from './failure.ts';

/** How the request target is written towards the next hop (RFC 9112 §3.2). */
export type RequestTargetForm = 'origin' | 'absolute';

export interface Route {
  readonly mode: MitmConfig['routeMode'];
  /** What the client asked for; policy, certificate verification and events use this alone. */
  readonly target: Authority;
  /** Where the TCP connection goes. */
  readonly nextHop: Authority;
  readonly requestTargetForm: RequestTargetForm;
}

/**
 * Plans the way to a target.
 *
 * @throws Failure `route_planner_failed` when the mode's endpoint is missing (config validation prevents that).
 */
export function planRoute(config: MitmConfig, target: Authority): Route {
  const mode = config.routeMode;
  switch (mode) {
    case 'direct':
      return Object.freeze({ mode, target, nextHop: target, requestTargetForm: 'origin' });
    case 'reverse':
      return Object.freeze({
        mode,
        target,
        nextHop: endpoint(config.reverseUpstream, mode),
        requestTargetForm: 'origin',
      });
    case 'upstream_http':
      return Object.freeze({
        mode,
        target,
        nextHop: endpoint(config.upstreamHttpProxy, mode),
        requestTargetForm: 'absolute',
      });
    case 'upstream_socks5':
      return Object.freeze({
        mode,
        target,
        nextHop: endpoint(config.upstreamSocks5Proxy, mode),
        requestTargetForm: 'origin',
      });
  }
}

function endpoint(given: Authority | undefined, mode: string): Authority {
  if (given !== undefined) return given;
  throw new Failure('route_planner_failed', {
    side: 'internal',
    detail: `route mode ${mode} has no endpoint`,
    reply: { status: 502, body: 'the proxy has no route to this target\n' },
  });
}
