// Refuses targets that are the proxy itself: a request sent there would come back for ever. A request that comes back by way
// of another proxy is known by the name it was marked with.
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';

import { Failure } from 'mitm-core';
import type { Authority } from 'mitm-http';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const unspecified: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Knows where the proxy listens, and what it has marked. */
export class LoopGuard {
  readonly #listeners: () => readonly ListenAddress[];
  /** Nobody else's name: two proxies with one configuration must not take each other for themselves. */
  readonly #pseudonym: string;
  #hasMarked: boolean;

  constructor(listeners: () => readonly ListenAddress[]) {
    this.#listeners = listeners;
    this.#pseudonym = `soth-mitm-${randomBytes(8).toString('hex')}`;
    this.#hasMarked = false;
  }

  /** True when a connection to this target would arrive at one of our own listeners. */
  isOwn(target: Authority): boolean {
    return this.#listeners().some(
      (listener) => listener.port === target.port && reaches(target.host, listener.host),
    );
  }

  /** True when one of our own listeners has this port. */
  hasPort(port: number): boolean {
    return this.#listeners().some((listener) => listener.port === port);
  }

  /** @throws Failure `route_planner_failed` with a 508 when the target is the proxy itself */
  refuse(target: Authority): void {
    if (this.isOwn(target)) throw this.failure();
  }

  /** What becomes of a request to the proxy itself. */
  failure(): Failure {
    return new Failure('route_planner_failed', {
      side: 'client',
      detail: 'target is the proxy itself',
      reply: { status: 508, body: 'this target is the proxy itself\n' },
    });
  }

  /**
   * The field by which a message that is given to another HTTP proxy is known again (RFC 9110 §7.6.3), with its CRLF.
   *
   * @param received what other proxies have said there before
   */
  mark(received?: string): string {
    this.#hasMarked = true;
    return `Via: ${received === undefined ? '' : `${received}, `}1.1 ${this.#pseudonym}\r\n`;
  }

  /**
   * Refuses a message that we have marked ourselves.
   *
   * @param via its Via fields; read only when anything was ever marked
   * @throws Failure `route_planner_failed` with a 508
   */
  refuseMarked(via: () => string | undefined): void {
    if (!this.#hasMarked || via()?.includes(this.#pseudonym) !== true) return;
    throw new Failure('route_planner_failed', {
      side: 'client',
      detail: 'the request came back through another proxy',
      reply: { status: 508, body: 'this request came back to the proxy that had sent it on\n' },
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

/** An IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2) is dialled as what it is; a zone is no part of it. */
function unmapped(host: string): string {
  const [address = host] = host.split('%', 1);
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/.test(address) ? address.slice('::ffff:'.length) : address;
}

function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
  );
}

function isLocalAddress(host: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === host));
}
