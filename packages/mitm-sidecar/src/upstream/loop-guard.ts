// Refuses targets that are the proxy itself: a request sent there would come back for ever.
import { networkInterfaces } from 'node:os';

import { Failure } from 'mitm-core';
import type { Authority } from 'mitm-http';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const unspecified: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Knows where the proxy listens. */
export class LoopGuard {
  readonly #listeners: () => readonly ListenAddress[];

  constructor(listeners: () => readonly ListenAddress[]) {
    this.#listeners = listeners;
  }

  /** True when a connection to this target would arrive at one of our own listeners. */
  isOwn(target: Authority): boolean {
    return this.#listeners().some(
      (listener) => listener.port === target.port && reaches(target.host, listener.host),
    );
  }

  /** @throws Failure `route_planner_failed` with a 508 when the target is the proxy itself */
  refuse(target: Authority): void {
    if (!this.isOwn(target)) return;
    throw new Failure('route_planner_failed', {
      side: 'client',
      detail: 'target is the proxy itself',
      reply: { status: 508, body: 'this target is the proxy itself\n' },
    });
  }
}

/** Whether dialling a host arrives at a socket bound to an address; both are canonical. */
export function reaches(givenHost: string, givenBound: string): boolean {
  const host = unmapped(givenHost);
  const bound = unmapped(givenBound);
  if (host === bound || unspecified.has(host)) return true;
  const toLoopback = isLoopback(host);
  if (toLoopback) return isLoopback(bound) || unspecified.has(bound);
  return unspecified.has(bound) && isLocalAddress(host);
}

/** An IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2) is dialled as what it is. */
function unmapped(host: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/.test(host) ? host.slice('::ffff:'.length) : host;
}

function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
  );
}

function isLocalAddress(host: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === host));
}
