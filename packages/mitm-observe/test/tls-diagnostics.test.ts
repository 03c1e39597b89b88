import { describe, expect, test } from 'vitest';

import { TlsDiagnostics, type TlsFailureRecord } from '../src/tls-diagnostics.ts';

const failure = (facts: Partial<TlsFailureRecord> = {}): TlsFailureRecord => ({
  host: 'api.example.test',
  source: 'upstream',
  reason: 'unknown_ca',
  nowMs: 0,
  ...facts,
});

describe('counts are kept by host', () => {
  test('TT-12 by side and by reason within the host, names in lower case', () => {
    const diagnostics = new TlsDiagnostics();
    diagnostics.record(failure({ host: 'API.example.test' }));
    diagnostics.record(failure({ source: 'downstream', reason: 'unknown_ca' }));
    diagnostics.record(failure({ host: 'other.example.test' }));
    expect(diagnostics.record(failure({ reason: 'timeout' }))).toEqual({
      hostCount: 3,
      hostRollingCount: 3,
      sourceCount: 2,
      reasonCount: 1,
      globalCount: 4,
    });
    const { total, hosts } = diagnostics.snapshot(0);
    expect(total).toBe(4);
    expect([...hosts.keys()]).toEqual(['api.example.test', 'other.example.test']);
    expect(hosts.get('api.example.test')).toEqual({
      total: 3,
      rolling: 3,
      bySource: { upstream: 2, downstream: 1 },
      byReason: { unknown_ca: 2, timeout: 1 },
    });
  });

  test('TT-02 repeated failures count on', () => {
    const diagnostics = new TlsDiagnostics();
    expect(diagnostics.record(failure()).hostCount).toBe(1);
    expect(diagnostics.record(failure()).hostCount).toBe(2);
  });
});

describe('the rolling window', () => {
  test('TT-13 forgets what is older than the window, never the total', () => {
    const diagnostics = new TlsDiagnostics({ windowMs: 30 });
    diagnostics.record(failure({ nowMs: 0 }));
    expect(diagnostics.record(failure({ nowMs: 30 })).hostRollingCount).toBe(2);
    expect(diagnostics.record(failure({ nowMs: 45 }))).toMatchObject({ hostCount: 3, hostRollingCount: 2 });
    expect(diagnostics.snapshot(75).hosts.get('api.example.test')).toMatchObject({ total: 3, rolling: 1 });
    expect(diagnostics.snapshot(76).hosts.get('api.example.test')).toMatchObject({ total: 3, rolling: 0 });
  });

  test.each([
    ['is 5 minutes when not given', {}, 300_000],
    ['of 0 means one second', { windowMs: 0 }, 1000],
  ])('%s', (_rule, options, windowMs) => {
    const diagnostics = new TlsDiagnostics(options);
    diagnostics.record(failure({ nowMs: 0 }));
    expect(diagnostics.snapshot(windowMs).hosts.get('api.example.test')?.rolling).toBe(1);
    expect(diagnostics.snapshot(windowMs + 1).hosts.get('api.example.test')?.rolling).toBe(0);
  });
});

describe('memory is bounded', () => {
  test('the host touched least recently is forgotten first', () => {
    const diagnostics = new TlsDiagnostics({ maxHosts: 2 });
    for (const host of ['a', 'b', 'a', 'c']) diagnostics.record(failure({ host }));
    expect([...diagnostics.snapshot(0).hosts.keys()]).toEqual(['a', 'c']);
    expect(diagnostics.snapshot(0).evicted).toBe(1);
    expect(diagnostics.record(failure({ host: 'b' }))).toMatchObject({ hostCount: 1, globalCount: 5 });
  });

  test('10 000 hosts are remembered when not given', () => {
    const diagnostics = new TlsDiagnostics();
    for (let index = 0; index <= 10_000; index += 1) diagnostics.record(failure({ host: `h${index}` }));
    const { hosts } = diagnostics.snapshot(0);
    expect(hosts.size).toBe(10_000);
    expect(hosts.has('h0')).toBe(false);
  });

  test('the window counts no further than its bound; the total does', () => {
    const diagnostics = new TlsDiagnostics({ maxFailuresPerHost: 3 });
    for (let index = 0; index < 5; index += 1) diagnostics.record(failure({ nowMs: index }));
    expect(diagnostics.record(failure({ nowMs: 5 }))).toMatchObject({ hostCount: 6, hostRollingCount: 3 });
  });
});
