import { describe, expect, test } from 'vitest';

import {
  TlsLearning,
  type TlsLearningReason,
  tlsLearningReasons,
  type TlsSignal,
} from '../src/tls-learning.ts';

const signal = (facts: Partial<TlsSignal> = {}): TlsSignal => ({
  host: 'api.example.test',
  failureReason: 'unknown_ca',
  failureSource: 'downstream',
  provider: 'node',
  isInferred: false,
  ...facts,
});

describe('the first rule that fits decides', () => {
  const rows: readonly [string, Partial<TlsSignal>, TlsLearningReason][] = [
    ['no reason is given', { failureReason: ' ', isInferred: true }, 'missing_failure_reason'],
    [
      'concluded, second hand by engine',
      { isInferred: true, provider: 'hudsucker' },
      'inferred_hudsucker_signal',
    ],
    [
      'concluded, second hand by side',
      { isInferred: true, failureSource: 'Hudsucker' },
      'inferred_hudsucker_signal',
    ],
    ['TL-05 concluded', { isInferred: true }, 'inferred_signal'],
    ['second hand by engine', { provider: 'x-hudsucker-2' }, 'hudsucker_signal'],
    ['second hand by side', { failureSource: 'hudsucker' }, 'hudsucker_signal'],
    ['TL-06 another engine', { provider: 'mitmproxy' }, 'non_authoritative_provider'],
    ['no side that there is', { failureSource: 'sideways' }, 'non_authoritative_source'],
    ['TL-04 seen at first hand', {}, 'authoritative'],
    [
      'in any case and with space around',
      { provider: ' Node ', failureSource: ' UPSTREAM ' },
      'authoritative',
    ],
  ];
  test.each(rows)('%s', (_rule, facts, reasonCode) => {
    const result = new TlsLearning().ingest(signal(facts));
    expect(result).toMatchObject({
      reasonCode,
      decision: reasonCode === 'authoritative' ? 'applied' : 'ignored',
    });
  });

  test('each rule is in the table', () => {
    expect(new Set(rows.map(([, , reason]) => reason))).toEqual(new Set(tlsLearningReasons));
  });
});

test('TL-01 what may teach is remembered by host, whatever its case', () => {
  const learning = new TlsLearning();
  learning.ingest(signal());
  learning.ingest(signal({ host: 'API.example.test ', failureReason: 'Timeout', failureSource: 'upstream' }));
  expect(learning.snapshot()).toEqual({
    applied: 2,
    ignored: 0,
    evicted: 0,
    hosts: new Map([
      [
        'api.example.test',
        { total: 2, byReason: { unknown_ca: 1, timeout: 1 }, lastSource: 'upstream', lastProvider: 'node' },
      ],
    ]),
  });
});

test('TL-02 TL-03 what may not is counted, and changes nothing', () => {
  const learning = new TlsLearning();
  learning.ingest(signal());
  expect(learning.ingest(signal({ isInferred: true }))).toMatchObject({
    hostCount: 1,
    globalApplied: 1,
    globalIgnored: 1,
  });
  expect(learning.ingest(signal({ host: 'other.test', provider: 'mitmproxy' })).hostCount).toBe(0);
  expect([...learning.snapshot().hosts.keys()]).toEqual(['api.example.test']);
});

test('an engine of the caller’s own can be named', () => {
  const learning = new TlsLearning({ providers: ['mitmproxy'] });
  expect(learning.ingest(signal({ provider: 'mitmproxy' })).decision).toBe('applied');
  expect(learning.ingest(signal()).decision).toBe('ignored');
});

test('memory is bounded: the host that taught last stays', () => {
  const learning = new TlsLearning({ maxHosts: 2 });
  for (const host of ['a', 'b', 'a', 'c']) learning.ingest(signal({ host }));
  const { hosts, evicted, applied } = learning.snapshot();
  expect({ hosts: [...hosts.keys()], evicted, applied }).toEqual({
    hosts: ['a', 'c'],
    evicted: 1,
    applied: 4,
  });
});
