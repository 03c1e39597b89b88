// Processes remembered by pid and start token.
import { Metrics } from 'mitm-observe';
import { describe, expect, test, vi } from 'vitest';

import { IdentityCache } from '../../src/process/identity-cache.ts';

const limits = { cacheCapacity: 2 };

function cacheWithMetrics(): { cache: IdentityCache; metrics: Metrics } {
  const metrics = new Metrics();
  return { cache: new IdentityCache(metrics), metrics };
}

describe('a remembered process', () => {
  test('is known by pid and start token', () => {
    const { cache } = cacheWithMetrics();
    cache.set(7, 'noon', { pid: 7, exeName: 'curl' }, limits);
    expect(cache.get(7, 'noon', limits)).toEqual({ pid: 7, exeName: 'curl' });
    expect(cache.get(8, 'noon', limits)).toBeUndefined();
  });

  test('does not answer for another one that got its pid', () => {
    const { cache, metrics } = cacheWithMetrics();
    cache.set(7, 'noon', { pid: 7 }, limits);
    expect(cache.get(7, 'midnight', limits)).toBeUndefined();
    expect(cache.get(7, 'noon', limits)).toBeUndefined();
    expect(metrics.snapshot().processPidReuseDetectedCount).toBe(1);
  });

  test('makes room when it was used least recently', () => {
    const { cache, metrics } = cacheWithMetrics();
    cache.set(1, 'a', { pid: 1 }, limits);
    cache.set(2, 'a', { pid: 2 }, limits);
    cache.get(1, 'a', limits);
    cache.set(3, 'a', { pid: 3 }, limits);
    expect([1, 2, 3].map((pid) => cache.get(pid, 'a', limits)?.pid)).toEqual([1, undefined, 3]);
    expect(metrics.snapshot().processCacheEvictionCount).toBe(1);
  });

  test('displaces nobody when it is described again', () => {
    const { cache, metrics } = cacheWithMetrics();
    for (const pid of [1, 2, 1, 2]) cache.set(pid, 'a', { pid }, limits);
    expect([cache.size, metrics.snapshot().processCacheEvictionCount]).toEqual([2, 0]);
  });

  test('makes room when the capacity is reloaded to be smaller', () => {
    const { cache } = cacheWithMetrics();
    for (const pid of [1, 2, 3, 4]) cache.set(pid, 'a', { pid }, { cacheCapacity: 9 });
    cache.set(5, 'a', { pid: 5 }, { cacheCapacity: 2 });
    expect(cache.size).toBe(2);
  });

  test('PA-05 is forgotten after its time to live', () => {
    const { cache } = cacheWithMetrics();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    const withTtl = { ...limits, cacheTtlMs: 25 };
    cache.set(7, 'noon', { pid: 7 }, withTtl);
    clock.mockReturnValue(1_025);
    expect(cache.get(7, 'noon', withTtl)).toBeDefined();
    clock.mockReturnValue(1_026);
    expect(cache.get(7, 'noon', withTtl)).toBeUndefined();
    expect(cache.size).toBe(0);
  });
});
