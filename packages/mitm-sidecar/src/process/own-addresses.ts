// Knows which addresses belong to this machine: only their connections can come from a process that we can see.
import { networkInterfaces } from 'node:os';

import { addressKey, isLoopback } from './address.ts';
import type { TcpFamily } from './source.ts';

/** How long the list of interfaces is believed, in milliseconds. */
const REFRESH_MS = 1_000;

/** The addresses of this machine's interfaces, read again when they are a second old. */
export class OwnAddresses {
  readonly #read: () => readonly string[];
  #keys: ReadonlySet<string>;
  #readAtMs: number;

  /** @param read gives the addresses of all interfaces */
  constructor(read: () => readonly string[] = interfaceAddresses) {
    this.#read = read;
    this.#keys = new Set();
    this.#readAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether the client of a connection has one of this machine's addresses. */
  isClientOf(family: TcpFamily): boolean {
    const { address } = family.remote;
    if (isLoopback(address) || address === family.local.address) return true;
    const key = addressKey(address);
    return key !== undefined && this.#current().has(key);
  }

  #current(): ReadonlySet<string> {
    const now = performance.now();
    if (now - this.#readAtMs < REFRESH_MS) return this.#keys;
    this.#readAtMs = now;
    this.#keys = new Set(this.#read().flatMap((address) => addressKey(address) ?? []));
    return this.#keys;
  }
}

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}
