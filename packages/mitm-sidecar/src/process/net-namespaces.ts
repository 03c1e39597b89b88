// Finds connections of clients that live in another network namespace of this machine, such as a container: their sockets are
// in tables of their own, which any process in the namespace shows as `/proc/PID/net`.
import { setTimeout as sleep } from 'node:timers/promises';

import { addressKey } from './address.ts';
import { Batch } from './batch.ts';
import { isRefusal, isVanished, type ProcFiles } from './proc-files.ts';
import type { SocketRow } from './proc-net.ts';
import { newestFirst, parseFibTrie, parseIfInet6 } from './proc-stat.ts';
import { findSockets } from './socket-tables.ts';
import type { TcpFamily } from './source.ts';
import { TimeSlice } from './time-slice.ts';

/** At most so many namespaces are looked into. */
const NAMESPACE_COUNT = 64;
/** How long an address that was in no namespace counts as remote, in milliseconds. */
const REMOTE_MS = 10_000;
/** How many such addresses are remembered. */
const REMOTE_COUNT = 4_096;
/** The time between two searches through all processes, in milliseconds. */
const SEARCH_GAP_MS = 100;

/** `remote` when no namespace of this machine has the client's address, `undefined` when one has, but not this socket. */
export type ForeignSocket = SocketRow | 'remote' | undefined;

interface Namespace {
  /** A process in it. */
  readonly pid: number;
  readonly addresses: ReadonlySet<string>;
}

/** The network namespaces other than our own, as they are when a client with an unknown address comes. */
export class NetNamespaces {
  readonly #files: ProcFiles;
  readonly #remoteUntil: Map<string, number>;
  readonly #search: Batch<TcpFamily, ForeignSocket>;
  #searchedAtMs: number;

  constructor(files: ProcFiles) {
    this.#files = files;
    this.#remoteUntil = new Map();
    this.#search = new Batch((families, signal) => this.#find(families, signal));
    this.#searchedAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * The client's socket in another namespace. Namespaces that we may not read count as another machine.
   * @throws when `/proc` can't be listed, or the signal's reason
   */
  async find(family: TcpFamily, signal: AbortSignal): Promise<ForeignSocket> {
    const key = addressKey(family.remote.address);
    if (key === undefined || this.#isKnownRemote(key)) return 'remote';
    return this.#search.ask(family, signal);
  }

  async #find(families: readonly TcpFamily[], signal: AbortSignal): Promise<readonly ForeignSocket[]> {
    const waitMs = this.#searchedAtMs + SEARCH_GAP_MS - performance.now();
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    const found = new Map<TcpFamily, ForeignSocket>(families.map((family) => [family, 'remote']));
    const namespaces = await this.#list(new TimeSlice(signal));
    for (const { pid, addresses } of namespaces) {
      const inside = families.filter(
        (family) =>
          typeof found.get(family) !== 'object' && addresses.has(addressKey(family.remote.address) ?? ''),
      );
      if (inside.length === 0) continue;
      const rows = await this.#rows(pid, inside, signal);
      for (const [index, family] of inside.entries()) found.set(family, rows[index]);
    }
    this.#searchedAtMs = performance.now();
    for (const [family, socket] of found) if (socket === 'remote') this.#rememberRemote(family);
    return families.map((family) => found.get(family));
  }

  /** One process of each namespace, found by the links `/proc/PID/ns/net`. */
  async #list(slice: TimeSlice): Promise<readonly Namespace[]> {
    const namespaces: Namespace[] = [];
    const seen = new Set([this.#link('self')]);
    // The oldest first: they are likelier to be there until the tables have been read.
    for (const pid of newestFirst(await this.#files.list('.'), Number.MAX_SAFE_INTEGER).toReversed()) {
      if (namespaces.length === NAMESPACE_COUNT) break;
      if (slice.isOver) await slice.giveWay();
      const link = this.#link(pid);
      if (link === undefined || seen.has(link)) continue;
      seen.add(link);
      namespaces.push({ pid, addresses: await this.#addresses(pid) });
    }
    return namespaces;
  }

  #link(pid: number | 'self'): string | undefined {
    try {
      return this.#files.link(`${pid}/ns/net`);
    } catch (error) {
      if (isRefusal(error) || isVanished(error)) return undefined;
      throw error;
    }
  }

  async #addresses(pid: number): Promise<ReadonlySet<string>> {
    const ipv4 = parseFibTrie(await this.#wholeText(`${pid}/net/fib_trie`));
    const ipv6 = parseIfInet6(await this.#wholeText(`${pid}/net/if_inet6`));
    return new Set([...ipv4, ...ipv6]);
  }

  async #wholeText(path: string): Promise<string> {
    let text = '';
    try {
      for await (const piece of this.#files.pieces(path)) text += piece.toString('latin1');
    } catch (error) {
      // A kernel without IPv6, or a process that has ended.
      if (!isVanished(error) && !isRefusal(error)) throw error;
    }
    return text;
  }

  async #rows(
    pid: number,
    families: readonly TcpFamily[],
    signal: AbortSignal,
  ): Promise<readonly (SocketRow | undefined)[]> {
    try {
      return await findSockets(this.#files, `${pid}/net`, families, signal);
    } catch (error) {
      if (isVanished(error) || isRefusal(error)) return [];
      throw error;
    }
  }

  #isKnownRemote(key: string): boolean {
    const until = this.#remoteUntil.get(key);
    return until !== undefined && performance.now() < until;
  }

  #rememberRemote(family: TcpFamily): void {
    const key = addressKey(family.remote.address);
    if (key === undefined) return;
    this.#remoteUntil.delete(key);
    this.#remoteUntil.set(key, performance.now() + REMOTE_MS);
    if (this.#remoteUntil.size <= REMOTE_COUNT) return;
    const [oldest] = this.#remoteUntil.keys();
    if (oldest !== undefined) this.#remoteUntil.delete(oldest);
  }
}
