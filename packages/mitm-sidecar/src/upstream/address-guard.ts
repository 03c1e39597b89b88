// Watches over the addresses that names turn out to have: none of them may be the proxy itself, nor one that the configuration
// refuses. What was looked at is what is dialled; no name is looked up twice on the way to one connection.
import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';

import { Failure, type Flow, type ResolvedTarget, type Route } from 'mitm-core';
import { type Authority, canonicalHost } from 'mitm-http';
import { addressClasses, addressClassOf } from 'mitm-policy';

import type { LoopGuard } from './loop-guard.ts';

type Found = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void;

/** Looks a name up: all its addresses, in the order in which they are to be tried. */
export type Resolver = (
  host: string,
  options: { readonly family: number; readonly hints: number },
  found: Found,
) => void;

/** The system's own resolver. */
const systemResolver: Resolver = (host, { family, hints }, found) => {
  systemLookup(host, { family, hints, all: true }, found);
};

/** What keeps one dial from an address that it must not reach. */
export interface DialGuard {
  /** For an address in a name's place. @throws Failure for one that is refused */
  check(address: string): void;
  /** For a name: gives only what may be dialled; where that is nothing, its error is a Failure. */
  readonly lookup: LookupFunction;
}

export class AddressGuard {
  readonly #loopGuard: LoopGuard;
  readonly #resolve: Resolver;

  constructor(loopGuard: LoopGuard, resolve: Resolver = systemResolver) {
    this.#loopGuard = loopGuard;
    this.#resolve = resolve;
  }

  /** The guard of a dial to a route's next hop, reporting on that flow. */
  of(flow: Flow, route: Route): DialGuard {
    const judge = (address: string): Failure | undefined => this.#judge(flow, route, canonicalHost(address));
    return {
      check: (address) => {
        const failure = judge(address);
        if (failure !== undefined) throw failure;
      },
      lookup: (host, { family, hints, all }, callback) => {
        const found: Found = (error, addresses) => {
          if (error !== null) {
            callback(error, []);
            return;
          }
          const failures = addresses.map(({ address }) => judge(address));
          const allowed = addresses.filter((_, index) => failures[index] === undefined);
          const [first] = allowed;
          if (first === undefined) callback(failures[0] ?? nothingFound(host), []);
          else if (all === true) callback(null, allowed);
          else callback(null, first.address, first.family);
        };
        const { resolved } = route;
        if (resolved !== undefined && host === route.target.host) found(null, resolved.addresses);
        else this.#resolve(host, { family: familyOf(family), hints: hints ?? 0 }, found);
      },
    };
  }

  /**
   * The addresses of a target, for a policy that wants to know them before it judges.
   *
   * @throws Error as the resolver gives it, or when it takes too long
   */
  async resolve(target: Authority, timeoutMs: number): Promise<ResolvedTarget> {
    const addresses =
      isIP(target.host) === 0 ? await this.#all(target.host, timeoutMs) : [literal(target.host)];
    // The most telling one first: what a policy would refuse must not hide behind what it would not.
    const classes = addresses.map(({ address }) => addressClassOf(canonicalHost(address)) ?? 'public');
    const addressClass = addressClasses.findLast((name) => classes.includes(name)) ?? 'public';
    const address = addresses[classes.indexOf(addressClass)]?.address ?? '';
    return Object.freeze({ addresses, address, addressClass });
  }

  /**
   * A target that another proxy looks up: one with a port of ours is looked up here as well, and refused where it is us.
   *
   * @throws Failure `route_planner_failed` with a 508
   */
  async refuseOwnName(target: Authority, timeoutMs: number): Promise<void> {
    if (!this.#loopGuard.hasPort(target.port) || isIP(target.host) !== 0) return;
    let addresses: readonly LookupAddress[];
    try {
      addresses = await this.#all(target.host, timeoutMs);
    } catch (error) {
      // A name that means nothing here is not ours: what it means there is the other proxy's to say.
      if (error instanceof Error) return;
      throw error;
    }
    for (const { address } of addresses) {
      this.#loopGuard.refuse({ host: canonicalHost(address), port: target.port });
    }
  }

  #judge(flow: Flow, route: Route, address: string): Failure | undefined {
    const { port } = route.nextHop;
    if (this.#loopGuard.isOwn({ host: address, port })) return this.#loopGuard.failure();
    // Only what the client named is judged so; the operator's own proxies and origins may be anywhere.
    return route.mode === 'direct' ? privateFailure(flow, route.target, address) : undefined;
  }

  #all(host: string, timeoutMs: number): Promise<readonly LookupAddress[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(Object.assign(new Error(`lookup timed out after ${timeoutMs} ms`), { code: 'ETIMEDOUT' })),
        timeoutMs,
      );
      this.#resolve(host, { family: 0, hints: 0 }, (error, addresses) => {
        clearTimeout(timer);
        if (error === null && addresses.length > 0) resolve(addresses);
        else reject(error ?? nothingFound(host));
      });
    });
  }
}

/** Reports a target whose address nobody should reach from here, and refuses it where the configuration says so. */
function privateFailure(flow: Flow, target: Authority, address: string): Failure | undefined {
  const { checks } = flow.rules;
  if (checks.privateTargetMode === 'off') return undefined;
  const addressClass = addressClassOf(address);
  if (addressClass === undefined || !checks.isPrivate(target, addressClass)) return undefined;
  const isBlocked = checks.privateTargetMode === 'block';
  // An address that the client wrote itself has been judged, and reported, with its target.
  if (isIP(target.host) === 0) {
    flow.note('connect_decision', {
      action: isBlocked ? 'block' : (flow.decision?.action ?? 'intercept'),
      reason: isBlocked ? 'private_target' : (flow.decision?.reason ?? 'private_target'),
      stage: 'address',
      findings: 'private_target',
      address,
      addressClass,
    });
  }
  if (!isBlocked) return undefined;
  return new Failure('blocked', {
    side: 'internal',
    detail: 'private_target',
    reply: { status: 403, body: 'private_target\n' },
    cause: new Error(`${target.host} has the ${addressClass} address ${address}`),
  });
}

function literal(host: string): LookupAddress {
  return { address: host, family: isIP(host) };
}

function familyOf(family: number | 'IPv4' | 'IPv6' | undefined): number {
  if (typeof family === 'number') return family;
  return family === undefined ? 0 : Number(family.slice('IPv'.length));
}

function nothingFound(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
}
