// Which program opened a client connection. One lookup a connection, however many ask; each ends within its deadline, and
// none ever rejects.
import type { Duplex } from 'node:stream';

import type { ProcessAttributionConfig, SocketFamily } from 'mitm-core';
import type { Metrics } from 'mitm-observe';

import { DarwinProcesses } from './darwin.ts';
import { aborted, Flight, type Found, type LookupResult, timedOut } from './flight.ts';
import { type CacheMetrics, IdentityCache } from './identity-cache.ts';
import { LinuxProcesses } from './linux.ts';
import type { ProcessSource, Sighting } from './source.ts';
import { WindowsProcesses } from './win32.ts';

export interface ProcessLookupOptions {
  /** Read anew for each lookup, so that a reload takes effect. */
  readonly config: () => ProcessAttributionConfig;
  readonly metrics: CacheMetrics & Pick<Metrics, 'processLookup'>;
  /** In place of this platform's own; `undefined` when there is none. */
  readonly source?: ProcessSource | undefined;
}

export interface LookupOptions {
  /** Ends the waiting with `aborted`; others who ask for the same connection go on. */
  readonly signal?: AbortSignal | undefined;
  /** The connection's own stream; a client of a Unix socket has nothing else to be known by. */
  readonly stream?: Duplex | undefined;
}

/** No more lookups than this are under way at once. */
const MAX_FLIGHT_COUNT = 16_384;

interface Remembered {
  readonly result: LookupResult;
  readonly atMs: number;
}

/** Finds the process at the other end of client connections of this machine. */
export class ProcessLookup {
  readonly #config: () => ProcessAttributionConfig;
  readonly #metrics: ProcessLookupOptions['metrics'];
  readonly #source: ProcessSource | undefined;
  readonly #identities: IdentityCache;
  readonly #flights: Map<string | SocketFamily, Flight>;
  /** By the connection's own object, so that a later connection with the same ends can't meet it. */
  readonly #results: WeakMap<SocketFamily, Remembered>;
  #isClosed: boolean;

  constructor(options: ProcessLookupOptions) {
    this.#config = options.config;
    this.#metrics = options.metrics;
    this.#source = 'source' in options ? options.source : platformSource();
    this.#identities = new IdentityCache(options.metrics);
    this.#flights = new Map();
    this.#results = new WeakMap();
    this.#isClosed = false;
  }

  /**
   * Finds the client's process. Call it with the connection's own `socketFamily` object: what is remembered hangs on it. Behind a
   * redirect, `family.local` must be the address that the client dialled. Never rejects.
   */
  async lookup(family: SocketFamily, options: LookupOptions = {}): Promise<LookupResult> {
    const { signal } = options;
    const config = this.#config();
    if (!config.enabled) return { kind: 'disabled' };
    if (this.#isClosed || signal?.aborted === true) return aborted;
    const find = finder(this.#source, family, options.stream);
    if (find === undefined) {
      this.#metrics.processLookup('failed');
      return { kind: 'unsupported' };
    }
    const remembered = this.#recall(family, config);
    if (remembered !== undefined) return remembered;
    const running = this.#flights.get(flightKey(family));
    if (running !== undefined) {
      const result = await running.wait(signal);
      this.#countHit(result);
      return result;
    }
    if (this.#flights.size >= MAX_FLIGHT_COUNT) {
      this.#metrics.processLookup('timed_out');
      return timedOut;
    }
    return this.#begin(family, find, config).wait(signal);
  }

  /** Ends all lookups, which answer `aborted`, as do later ones. */
  close(): void {
    this.#isClosed = true;
    for (const flight of this.#flights.values()) flight.cancel(aborted);
    this.#source?.close?.();
  }

  #recall(family: SocketFamily, { cacheTtlMs }: ProcessAttributionConfig): LookupResult | undefined {
    const remembered = this.#results.get(family);
    if (remembered === undefined) return undefined;
    if (cacheTtlMs !== undefined && performance.now() - remembered.atMs > cacheTtlMs) return undefined;
    this.#countHit(remembered.result);
    return remembered.result;
  }

  #begin(family: SocketFamily, find: Find, config: ProcessAttributionConfig): Flight {
    const key = flightKey(family);
    const flight = new Flight((found) => {
      this.#flights.delete(key);
      this.#countEnd(found);
      const { result } = found;
      if (result.kind !== 'aborted') this.#results.set(family, { result, atMs: performance.now() });
    });
    this.#flights.set(key, flight);
    flight.begin(config.lookupTimeoutMs, this.#search(find, config, flight.signal));
    return flight;
  }

  async #search(find: Find, config: ProcessAttributionConfig, signal: AbortSignal): Promise<Found> {
    const sighting = await find(signal);
    if (sighting === undefined) return { result: { kind: 'unsupported' }, isIdentityHit: false };
    if (sighting.kind !== 'owner') return { result: sighting, isIdentityHit: false };
    const { pid, startToken } = sighting;
    const known = this.#identities.get(pid, startToken, config);
    if (known !== undefined) return { result: { kind: 'found', info: known }, isIdentityHit: true };
    const info = Object.freeze(await sighting.describe());
    this.#identities.set(pid, startToken, info, config);
    return { result: { kind: 'found', info }, isIdentityHit: false };
  }

  /** An answer without a search of its own. */
  #countHit({ kind }: LookupResult): void {
    if (kind === 'timed_out') this.#metrics.processLookup('timed_out');
    else if (kind !== 'remote' && kind !== 'aborted') this.#metrics.processLookup('connection_hit');
  }

  #countEnd({ result: { kind }, isIdentityHit }: Found): void {
    if (kind === 'found') this.#metrics.processLookup(isIdentityHit ? 'identity_hit' : 'miss');
    else if (kind === 'timed_out') this.#metrics.processLookup('timed_out');
    else if (kind !== 'remote' && kind !== 'aborted') this.#metrics.processLookup('failed');
  }
}

/** The source that suits an operating system, named as in `process.platform`; `undefined` where there is none. */
export function platformSource(platform: NodeJS.Platform = process.platform): ProcessSource | undefined {
  if (platform === 'linux') return new LinuxProcesses();
  if (platform === 'darwin') return new DarwinProcesses();
  return platform === 'win32' ? new WindowsProcesses() : undefined;
}

/** Connections with the same ends share a flight; those to a Unix socket have no ends, and each its own object. */
function flightKey(family: SocketFamily): string | SocketFamily {
  if (family.kind === 'unix_domain') return family;
  const { remote, local } = family;
  return `${remote.address}|${remote.port}|${local.address}|${local.port}`;
}

type Find = (signal: AbortSignal) => Promise<Sighting | undefined>;

/** How the source is asked for such a client; `undefined` where it can't be. */
function finder(
  source: ProcessSource | undefined,
  family: SocketFamily,
  stream: Duplex | undefined,
): Find | undefined {
  if (source === undefined) return undefined;
  if (family.kind !== 'unix_domain') return (signal) => source.find(family, signal);
  if (stream === undefined || source.findPeer === undefined) return undefined;
  return async () => await source.findPeer?.(stream);
}
