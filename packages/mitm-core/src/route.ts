// Which way a flow goes on: the target it is judged, verified and reported by, and the next hop its bytes go to.
// Planned once per flow and never changed afterwards.
import type { Authority } from 'mitm-http';
import { type AddressClass, HostMatcher, NoProxyList, parseHostRule } from 'mitm-policy';

import type { MitmConfig } from './config/index.ts';
import { DIRECT } from './config/proxies.ts';
import { Failure } from './failure.ts';
import { type NextProxy, nextProxy } from './next-proxy.ts';

/** How the request target is written towards the next hop (RFC 9112 §3.2). */
export type RequestTargetForm = 'origin' | 'absolute';

/** What chose another way than `routeMode`. */
export type RouteReason = 'no_proxy' | 'route_rule' | 'handler';

/** The addresses of a target, found before it was judged. */
export interface ResolvedTarget {
  readonly addresses: readonly { readonly address: string; readonly family: number }[];
  /** The one that a policy was told. */
  readonly address: string;
  readonly addressClass: AddressClass;
}

export interface Route {
  readonly mode: MitmConfig['routeMode'];
  /** What the client asked for; policy, certificate verification and events use this alone. */
  readonly target: Authority;
  /** Where the TCP connection goes. */
  readonly nextHop: Authority;
  /** How plain HTTP is written to it; inside a tunnel of its own everything is in origin form. */
  readonly requestTargetForm: RequestTargetForm;
  /** The proxy that is the next hop; undefined where the next hop is spoken to itself. */
  readonly proxy: NextProxy | undefined;
  /** What chose this way; undefined where `routeMode` did. */
  readonly reason: RouteReason | undefined;
  /** The name of the way that was chosen, where it has one. */
  readonly via: string | undefined;
  /** The only addresses that the target may be dialled at; undefined where they are looked up for the dial. */
  readonly resolved?: ResolvedTarget | undefined;
}

/** What the planner reads of the configuration. */
export type RouteConfig = Pick<
  MitmConfig,
  | 'routeMode'
  | 'reverseUpstream'
  | 'upstreamHttpProxy'
  | 'upstreamSocks5Proxy'
  | 'upstreamProxies'
  | 'routes'
  | 'noProxy'
>;

/** A way that targets can take, and how it came to be taken. */
interface Way {
  readonly mode: MitmConfig['routeMode'];
  /** Undefined for the target itself. */
  readonly nextHop: Authority | undefined;
  readonly proxy: NextProxy | undefined;
  readonly reason: RouteReason | undefined;
  readonly via: string | undefined;
}

/** What a handler can choose, once it has been read: the target itself, a configured proxy by its name, or one of its own. */
export type RouteChoice = string | NextProxy;

/** The ways of one configuration. */
export class RoutePlanner {
  readonly #config: RouteConfig;
  readonly #exceptions: NoProxyList;
  readonly #named: ReadonlyMap<string, NextProxy>;
  readonly #rules: readonly { readonly hosts: HostMatcher; readonly way: Way }[];
  #usual: Way | undefined;

  /** Throws `DestinationError` for the first rule or exception that cannot be read. */
  constructor(config: RouteConfig) {
    this.#config = config;
    this.#exceptions = new NoProxyList(config.noProxy);
    this.#named = new Map(
      config.upstreamProxies.map((proxy, index) => [
        proxy.name,
        nextProxy(proxy.type, proxy, `upstreamProxies[${index}]`),
      ]),
    );
    this.#rules = config.routes.map(({ hosts, via }) => ({
      hosts: new HostMatcher(hosts.map(parseHostRule)),
      way: this.#wayBy(via, 'route_rule'),
    }));
    this.#usual = undefined;
  }

  /**
   * Plans the way to a target.
   *
   * @param choice what the handler chose, in place of what the configuration says
   * @throws Failure `route_planner_failed` when there is no such way (config validation prevents that)
   */
  plan(target: Authority, choice?: RouteChoice): Route {
    const { mode, nextHop = target, proxy, reason, via } = this.#wayOf(target, choice);
    const requestTargetForm = proxy?.type === 'http' ? 'absolute' : 'origin';
    return Object.freeze({ mode, target, nextHop, requestTargetForm, proxy, reason, via });
  }

  /** True when a proxy of this name is configured, or it stands for the target itself. */
  hasWay(name: string): boolean {
    return name === DIRECT || this.#named.has(name);
  }

  #wayOf(target: Authority, choice: RouteChoice | undefined): Way {
    if (typeof choice === 'string') return this.#wayBy(choice, 'handler');
    if (choice !== undefined) return wayThrough(choice, 'handler', undefined);
    if (this.#exceptions.covers(target.host, target.port)) return straight('no_proxy', undefined);
    const rule = this.#rules.find(({ hosts }) => hosts.match(target.host, target.port) !== undefined);
    if (rule !== undefined) return rule.way;
    this.#usual ??= usualWay(this.#config);
    return this.#usual;
  }

  #wayBy(name: string, reason: RouteReason): Way {
    if (name === DIRECT) return straight(reason, DIRECT);
    const proxy = this.#named.get(name);
    if (proxy === undefined) throw noRoute(`no way is called ${name}`);
    return wayThrough(proxy, reason, name);
  }
}

/** Plans one target by itself; a proxy keeps a {@link RoutePlanner}. @throws Failure `route_planner_failed` */
export function planRoute(config: RouteConfig, target: Authority): Route {
  return new RoutePlanner(config).plan(target);
}

function usualWay(config: RouteConfig): Way {
  const mode = config.routeMode;
  const plain = { proxy: undefined, reason: undefined, via: undefined };
  switch (mode) {
    case 'direct':
      return { mode, nextHop: undefined, ...plain };
    case 'reverse':
      return { mode, nextHop: endpoint(config.reverseUpstream, mode), ...plain };
    case 'upstream_http':
      return wayThrough(
        nextProxy('http', endpoint(config.upstreamHttpProxy, mode), 'upstreamHttpProxy'),
        undefined,
        undefined,
      );
    case 'upstream_socks5':
      return wayThrough(
        nextProxy('socks5', endpoint(config.upstreamSocks5Proxy, mode), 'upstreamSocks5Proxy'),
        undefined,
        undefined,
      );
  }
}

function straight(reason: RouteReason, via: string | undefined): Way {
  return { mode: 'direct', nextHop: undefined, proxy: undefined, reason, via };
}

function wayThrough(proxy: NextProxy, reason: RouteReason | undefined, via: string | undefined): Way {
  return {
    mode: proxy.type === 'http' ? 'upstream_http' : 'upstream_socks5',
    nextHop: { host: proxy.host, port: proxy.port },
    proxy,
    reason,
    via,
  };
}

function endpoint<E>(given: E | undefined, mode: string): E {
  if (given !== undefined) return given;
  throw noRoute(`route mode ${mode} has no endpoint`);
}

function noRoute(detail: string): Failure {
  return new Failure('route_planner_failed', {
    side: 'internal',
    detail,
    reply: { status: 502, body: 'the proxy has no route to this target\n' },
  });
}
