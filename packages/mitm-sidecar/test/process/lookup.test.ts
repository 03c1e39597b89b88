// One lookup a connection, its deadline, what is remembered, and what is counted.
import { type ProcessAttributionConfig, type ProcessInfo, type SocketFamily } from 'mitm-core';
import { Metrics } from 'mitm-observe';
import { describe, expect, test, vi } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { DarwinProcesses } from '../../src/process/darwin.ts';
import { LinuxProcesses } from '../../src/process/linux.ts';
import { platformSource, ProcessLookup } from '../../src/process/lookup.ts';
import type { ProcessSource, Sighting } from '../../src/process/source.ts';
import { WindowsProcesses } from '../../src/process/win32.ts';
import { clientOf } from './fake-proc.ts';

const curl: ProcessInfo = { pid: 7, exeName: 'curl' };

/** A source whose answers the test decides on; counts how often it was asked, and how often for details. */
class FakeSource implements ProcessSource {
  answer: (signal: AbortSignal) => Promise<Sighting>;
  findCount: number;
  describeCount: number;

  constructor() {
    this.answer = () => Promise.resolve(this.owner());
    this.findCount = 0;
    this.describeCount = 0;
  }

  find(_family: SocketFamily, signal: AbortSignal): Promise<Sighting> {
    this.findCount += 1;
    return this.answer(signal);
  }

  owner(pid = 7, startToken = 'noon'): Sighting {
    const describeOwner = (): Promise<ProcessInfo> => {
      this.describeCount += 1;
      return Promise.resolve({ ...curl, pid });
    };
    return { kind: 'owner', pid, startToken, describe: describeOwner };
  }
}

function lab(changes: Partial<ProcessAttributionConfig> = {}): {
  source: FakeSource;
  metrics: Metrics;
  lookup: ProcessLookup;
  counts: () => Record<string, number>;
} {
  const source = new FakeSource();
  const metrics = new Metrics();
  const config = { enabled: true, lookupTimeoutMs: 5_000, cacheCapacity: 4_096, ...changes };
  return {
    source,
    metrics,
    lookup: new ProcessLookup({ config: () => config, metrics, source }),
    counts: () => {
      const numbers = Object.entries(metrics.snapshot()).filter(
        ([name, value]) => name.startsWith('process') && value !== 0,
      );
      return Object.fromEntries(numbers.map(([name, value]) => [name.replace('process', ''), Number(value)]));
    },
  };
}

describe('one connection', () => {
  test('PA-02 is resolved once', async () => {
    const { lookup, source, counts } = lab();
    const family = clientOf('127.0.0.1 40000');
    expect(await lookup.lookup(family)).toEqual({ kind: 'found', info: curl });
    expect(await lookup.lookup(family)).toEqual({ kind: 'found', info: curl });
    expect(source.findCount).toBe(1);
    expect(counts()).toEqual({ CacheMissCount: 1, CacheConnectionHitCount: 1 });
  });

  test('PA-04 is searched for once, however many ask at the same time', async () => {
    const { lookup, source, counts } = lab();
    const asked = Array.from({ length: 8 }, () => lookup.lookup(clientOf('127.0.0.1 40000')));
    for (const result of await Promise.all(asked)) expect(result).toEqual({ kind: 'found', info: curl });
    expect([source.findCount, source.describeCount]).toEqual([1, 1]);
    expect(counts()).toEqual({ CacheMissCount: 1, CacheConnectionHitCount: 7 });
  });

  test('does not answer for a later one with the same ends', async () => {
    const { lookup, source } = lab();
    await lookup.lookup(clientOf('127.0.0.1 40000'));
    source.answer = () => Promise.resolve(source.owner(8));
    expect(await lookup.lookup(clientOf('127.0.0.1 40000'))).toMatchObject({ info: { pid: 8 } });
  });

  test('PA-05 is looked up again after the time to live', async () => {
    const { lookup, source, counts } = lab({ cacheTtlMs: 25 });
    const family = clientOf('127.0.0.1 40000');
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    await lookup.lookup(family);
    clock.mockReturnValue(1_035);
    await lookup.lookup(family);
    expect([source.findCount, source.describeCount]).toEqual([2, 2]);
    expect(counts()).toEqual({ CacheMissCount: 2 });
  });
});

describe('one process', () => {
  test('PA-03 is described once for all its connections', async () => {
    const { lookup, source, counts } = lab();
    await lookup.lookup(clientOf('127.0.0.1 40000'));
    expect(await lookup.lookup(clientOf('127.0.0.1 40001'))).toEqual({ kind: 'found', info: curl });
    expect([source.findCount, source.describeCount]).toEqual([2, 1]);
    expect(counts()).toEqual({ CacheMissCount: 1, CacheIdentityHitCount: 1 });
  });

  test('is not taken for a later one with the same pid', async () => {
    const { lookup, source, counts } = lab();
    await lookup.lookup(clientOf('127.0.0.1 40000'));
    source.answer = () => Promise.resolve(source.owner(7, 'midnight'));
    await lookup.lookup(clientOf('127.0.0.1 40001'));
    expect(source.describeCount).toBe(2);
    expect(counts()).toEqual({ CacheMissCount: 2, PidReuseDetectedCount: 1 });
  });

  test('makes room for others', async () => {
    const { lookup, source, counts } = lab({ cacheCapacity: 1 });
    for (const pid of [7, 8, 7]) {
      source.answer = () => Promise.resolve(source.owner(pid));
      await lookup.lookup(clientOf(`127.0.0.1 ${40_000 + source.findCount}`));
    }
    expect(source.describeCount).toBe(3);
    expect(counts()).toEqual({ CacheMissCount: 3, CacheEvictionCount: 2 });
  });
});

describe('a lookup without a process', () => {
  test('PA-01 ends at its deadline, stops the search, and stays so', async () => {
    const { lookup, source, counts } = lab({ lookupTimeoutMs: 5 });
    let wasStopped = false;
    source.answer = (signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          wasStopped = true;
        });
        setTimeout(() => resolve(source.owner()), 75);
      });
    const family = clientOf('127.0.0.1 40000');
    expect(await lookup.lookup(family)).toEqual({ kind: 'timed_out' });
    expect(await lookup.lookup(family)).toEqual({ kind: 'timed_out' });
    expect([source.findCount, wasStopped]).toEqual([1, true]);
    expect(counts()).toEqual({ CacheMissCount: 2, AttributionTimeoutCount: 2 });
  });

  test.each(['not_found', 'not_permitted'] as const)('says %s, and is counted as failed', async (kind) => {
    const { lookup, source, counts } = lab();
    source.answer = () => Promise.resolve({ kind });
    expect(await lookup.lookup(clientOf('127.0.0.1 40000'))).toEqual({ kind });
    expect(counts()).toEqual({ CacheMissCount: 1, AttributionFailureCount: 1 });
  });

  test('of a remote client is not counted', async () => {
    const { lookup, source, counts } = lab();
    source.answer = () => Promise.resolve({ kind: 'remote' });
    const family = clientOf('127.0.0.1 40000');
    expect(await Promise.all([lookup.lookup(family), lookup.lookup(family)])).toEqual([
      { kind: 'remote' },
      { kind: 'remote' },
    ]);
    expect(await lookup.lookup(family)).toEqual({ kind: 'remote' });
    expect(counts()).toEqual({});
  });

  test('gives the cause when the system can not be asked', async () => {
    const { lookup, source, counts } = lab();
    const cause = new Error('no lsof');
    source.answer = () => Promise.reject(cause);
    expect(await lookup.lookup(clientOf('127.0.0.1 40000'))).toEqual({ kind: 'failed', cause });
    expect(counts()).toEqual({ CacheMissCount: 1, AttributionFailureCount: 1 });
  });

  test('PA-32 of a Unix socket is unsupported, since Node does not tell who is at its other end', async () => {
    const { lookup, source, counts } = lab();
    expect(await lookup.lookup({ kind: 'unix_domain', path: '/run/proxy' })).toEqual({ kind: 'unsupported' });
    expect(source.findCount).toBe(0);
    expect(counts()).toEqual({ CacheMissCount: 1, AttributionFailureCount: 1 });
  });

  test('on an unknown system is unsupported', async () => {
    const { metrics } = lab();
    const config = { enabled: true, lookupTimeoutMs: 5_000, cacheCapacity: 1 };
    const lookup = new ProcessLookup({ config: () => config, metrics, source: undefined });
    expect(await lookup.lookup(clientOf('127.0.0.1 40000'))).toEqual({ kind: 'unsupported' });
  });

  test('is what switching off means, without counting', async () => {
    const { lookup, source, counts } = lab({ enabled: false });
    expect(await lookup.lookup(clientOf('127.0.0.1 40000'))).toEqual({ kind: 'disabled' });
    expect([source.findCount, counts()]).toEqual([0, {}]);
  });

  test('answers those who come when too many are under way', async () => {
    const { lookup, source, counts } = lab();
    source.answer = () => new Promise(() => {});
    for (let i = 0; i < 16_384; i++) void lookup.lookup(clientOf(`127.0.${i >> 8}.${i & 255} 40000`));
    expect(await lookup.lookup(clientOf('127.0.0.1 1'))).toEqual({ kind: 'timed_out' });
    expect(counts()).toEqual({ CacheMissCount: 1, AttributionTimeoutCount: 1 });
    lookup.close();
  });
});

describe('who does not want to wait', () => {
  test('leaves with its signal, and others get the result', async () => {
    const { lookup, source, counts } = lab();
    const gate = new EventTarget();
    source.answer = () =>
      new Promise((resolve) => {
        gate.addEventListener('open', () => resolve(source.owner()));
      });
    const leaving = new AbortController();
    const family = clientOf('127.0.0.1 40000');
    const left = lookup.lookup(family, { signal: leaving.signal });
    const staying = lookup.lookup(family);
    leaving.abort();
    expect(await left).toEqual({ kind: 'aborted' });
    gate.dispatchEvent(new Event('open'));
    expect(await staying).toEqual({ kind: 'found', info: curl });
    expect(counts()).toEqual({ CacheMissCount: 1, CacheConnectionHitCount: 1 });
  });

  test('leaves nothing behind when it was the only one; the next one searches anew', async () => {
    const { lookup, source, counts } = lab();
    source.answer = () => new Promise(() => {});
    const leaving = new AbortController();
    const family = clientOf('127.0.0.1 40000');
    const left = lookup.lookup(family, { signal: leaving.signal });
    leaving.abort();
    expect(await left).toEqual({ kind: 'aborted' });
    expect(counts()).toEqual({});
    source.answer = () => Promise.resolve(source.owner());
    expect(await lookup.lookup(family)).toEqual({ kind: 'found', info: curl });
    expect(await lookup.lookup(clientOf('127.0.0.1 2'), { signal: AbortSignal.abort() })).toEqual({
      kind: 'aborted',
    });
  });
});

test('closing ends what is under way, and what comes later', async () => {
  const before = openHandles();
  const { lookup, source } = lab();
  source.answer = () => new Promise(() => {});
  const waiting = [1, 2, 3].map((port) => lookup.lookup(clientOf(`127.0.0.1 ${port}`)));
  lookup.close();
  expect(await Promise.all(waiting)).toEqual(Array.from({ length: 3 }, () => ({ kind: 'aborted' })));
  expect(await lookup.lookup(clientOf('127.0.0.1 4'))).toEqual({ kind: 'aborted' });
  await expectNothingLeft(before);
});

test('each system has its own source, if any', () => {
  expect(platformSource('linux')).toBeInstanceOf(LinuxProcesses);
  expect(platformSource('darwin')).toBeInstanceOf(DarwinProcesses);
  expect(platformSource('win32')).toBeInstanceOf(WindowsProcesses);
  expect(platformSource('aix')).toBeUndefined();
});
