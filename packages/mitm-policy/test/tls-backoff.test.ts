import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { TlsBackoff, type TlsBackoffKey } from '../src/tls-backoff.ts';

const limits = { strikes: 3, windowMs: 100, ttlMs: 1_000 };
const key: TlsBackoffKey = { client: 'program:/usr/bin/app', host: 'api.example.test' };

/** A back-off after so many strikes, one each millisecond from 0. */
function after(strikes: number): TlsBackoff {
  const backoff = new TlsBackoff();
  for (let at = 0; at < strikes; at += 1) backoff.strike(key, at, limits);
  return backoff;
}

test('the third strike in a row lets the client through, and says so once', () => {
  const backoff = new TlsBackoff();
  expect(backoff.strike(key, 0, limits)).toEqual({ strikes: 1, hasBegun: false });
  expect(backoff.strike(key, 1, limits)).toEqual({ strikes: 2, hasBegun: false });
  expect(backoff.isLetThrough(key, 1)).toBe(false);
  expect(backoff.strike(key, 2, limits)).toEqual({ strikes: 3, hasBegun: true });
  expect(backoff.isLetThrough(key, 2)).toBe(true);
  expect(backoff.strike(key, 3, limits).hasBegun).toBe(false);
});

describe('nobody else is let through', () => {
  test.each<[string, TlsBackoffKey]>([
    ['another process', { ...key, client: 'process:8 /usr/bin/app' }],
    ['a host below', { ...key, host: 'www.api.example.test' }],
    ['the parent domain', { ...key, host: 'example.test' }],
    ['a sibling', { ...key, host: 'www.example.test' }],
  ])('%s', (_who, other) => {
    expect(after(3).isLetThrough(other, 3)).toBe(false);
  });
});

test('strikes further apart than the window do not add up', () => {
  const backoff = new TlsBackoff();
  for (const at of [0, 60, 161, 262]) expect(backoff.strike(key, at, limits).hasBegun).toBe(false);
  expect(backoff.isLetThrough(key, 262)).toBe(false);
});

test('TL-15 a served request forgets the strikes', () => {
  const backoff = after(2);
  backoff.served(key);
  expect(backoff.strike(key, 3, limits)).toEqual({ strikes: 1, hasBegun: false });
});

test('it ends after its time, and begins anew without strikes', () => {
  const backoff = after(3);
  expect(backoff.isLetThrough(key, 1_001)).toBe(true);
  expect(backoff.isLetThrough(key, 1_002)).toBe(false);
  expect(backoff.isEmpty).toBe(true);
  expect(backoff.strike(key, 1_003, limits)).toEqual({ strikes: 1, hasBegun: false });
});

test('a strike at the end of the time is the first of a new row', () => {
  expect(after(3).strike(key, 5_000, limits)).toEqual({ strikes: 1, hasBegun: false });
});

test('everything is visible', () => {
  const backoff = after(3);
  backoff.strike({ ...key, host: 'a.test' }, 5, limits);
  expect(backoff.snapshot(502)).toEqual([
    { client: key.client, host: 'a.test', strikes: 1, isLetThrough: false, remainingMs: 0 },
    { client: key.client, host: 'api.example.test', strikes: 3, isLetThrough: true, remainingMs: 500 },
  ]);
  expect(backoff.letThroughCount(502)).toBe(1);
  expect(backoff.letThroughCount(2_000)).toBe(0);
});

test('it can be reset, for one host or for all', () => {
  const backoff = after(3);
  backoff.strike({ ...key, host: 'a.test' }, 5, limits);
  expect(backoff.reset('api.example.test')).toBe(1);
  expect(backoff.isLetThrough(key, 6)).toBe(false);
  expect(backoff.reset()).toBe(1);
  expect(backoff.snapshot(6)).toEqual([]);
});

test('memory is bounded', () => {
  const backoff = new TlsBackoff({ maxEntries: 2 });
  for (const host of ['a', 'b', 'a', 'c']) backoff.strike({ ...key, host }, 0, limits);
  expect(backoff.snapshot(0).map(({ host }) => host)).toEqual(['a', 'c']);
});

test('law: whoever is let through has struck often enough within the window, without being served', () => {
  const step = fc.record({ kind: fc.constantFrom('strike', 'served'), gapMs: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const backoff = new TlsBackoff();
      let now = 0;
      let strikes: number[] = [];
      let isLetThrough = false;
      for (const { kind, gapMs } of steps) {
        now += gapMs;
        const isStrike = kind === 'strike';
        if (isStrike) backoff.strike(key, now, { ...limits, ttlMs: 1e9 });
        else backoff.served(key);
        strikes = isStrike ? [...strikes.filter((at) => now - at <= limits.windowMs), now] : [];
        isLetThrough = isStrike && (isLetThrough || strikes.length >= limits.strikes);
        expect(backoff.isLetThrough(key, now)).toBe(isLetThrough);
      }
    }),
  );
});
