// Remembers processes by pid and start token. A pid with another token is another process: it never answers from memory.
import type { ProcessAttributionConfig, ProcessInfo } from 'mitm-core';
import type { Metrics } from 'mitm-observe';

interface Known {
  readonly startToken: string;
  readonly info: ProcessInfo;
  readonly atMs: number;
}

export type CacheLimits = Pick<ProcessAttributionConfig, 'cacheCapacity' | 'cacheTtlMs'>;
export type CacheMetrics = Pick<Metrics, 'processCacheEvicted' | 'processPidReused'>;

/** Holds the processes that were asked for last. The limits may differ from call to call, since they can be reloaded. */
export class IdentityCache {
  readonly #metrics: CacheMetrics;
  /** The one used last at the end. */
  readonly #known: Map<number, Known>;

  constructor(metrics: CacheMetrics) {
    this.#metrics = metrics;
    this.#known = new Map();
  }

  get size(): number {
    return this.#known.size;
  }

  /** The process, when it is still the one with this start token and was described within the time to live. */
  get(pid: number, startToken: string, { cacheTtlMs }: CacheLimits): ProcessInfo | undefined {
    const known = this.#known.get(pid);
    if (known === undefined) return undefined;
    this.#known.delete(pid);
    if (known.startToken !== startToken) {
      this.#metrics.processPidReused();
      return undefined;
    }
    if (cacheTtlMs !== undefined && performance.now() - known.atMs > cacheTtlMs) return undefined;
    this.#known.set(pid, known);
    return known.info;
  }

  /** Remembers a process; the least recently used ones make room. */
  set(pid: number, startToken: string, info: ProcessInfo, { cacheCapacity }: CacheLimits): void {
    this.#known.delete(pid);
    this.#known.set(pid, { startToken, info, atMs: performance.now() });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= cacheCapacity) return;
      this.#known.delete(oldest);
      this.#metrics.processCacheEvicted();
    }
  }
}
