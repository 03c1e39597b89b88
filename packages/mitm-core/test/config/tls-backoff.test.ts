// When a client that refuses our certificate is let through: ranges, defaults, and what a reload takes.
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { planReload } from '../../src/config/reload.ts';
import { tlsBackoffModes } from '../../src/config/tls-backoff.ts';
import { minimal, problemsWith } from './problems.ts';

test('by default three strikes within five minutes let a client through for a quarter of an hour', () => {
  expect(parseConfig(minimal).tls.backoff).toEqual({
    mode: 'auto',
    strikes: 3,
    windowMs: 300_000,
    ttlMs: 900_000,
  });
});

test.each([...tlsBackoffModes.map((mode) => ({ mode })), { strikes: 1 }, { windowMs: 1, ttlMs: 1 }])(
  '%j is accepted',
  (backoff) => {
    expect(parseConfig({ ...minimal, tls: { backoff } }).tls.backoff).toMatchObject(backoff);
  },
);

test.each([
  ['its mode is known', { mode: 'always' }, 'mode: must be one of auto, on, off'],
  ['a strike is needed', { strikes: 0 }, 'strikes: must be a whole number of strikes'],
  ['strikes lie within some time', { windowMs: 0 }, 'windowMs: must be a whole number of milliseconds'],
  ['it lasts for some time', { ttlMs: 0 }, 'ttlMs: must be a whole number of milliseconds'],
])('%s', (_rule, backoff, problem) => {
  expect(problemsWith({ tls: { backoff } })).toEqual([expect.stringContaining(`tls.backoff.${problem}`)]);
});

test('a running proxy takes all of it', () => {
  const next = parseConfig({ ...minimal, tls: { backoff: { mode: 'off', strikes: 9 } } });
  expect(planReload(parseConfig(minimal), next)).toEqual({
    changed: ['tls.backoff.mode', 'tls.backoff.strikes'],
    needsRestart: [],
  });
});
