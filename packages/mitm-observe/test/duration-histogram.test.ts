import fc from 'fast-check';
import { expect, test } from 'vitest';

import { durationBoundsMs, DurationHistogram } from '../src/duration-histogram.ts';

test('each duration is in the first class whose bound it does not exceed', () => {
  const histogram = new DurationHistogram();
  for (const ms of [0, 0.25, 0.26, 1, 300_000, 300_001, Infinity]) histogram.record(ms);
  const { classes, count } = histogram.snapshot();
  expect(count).toBe(7);
  expect([classes[0], classes[1], classes[2], classes.at(-2), classes.at(-1)]).toEqual([2, 1, 1, 1, 2]);
});

test('count, sum and classes agree, whatever is recorded', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000 })), (durations) => {
      const histogram = new DurationHistogram();
      for (const ms of durations) histogram.record(ms);
      const { count, sumMs, classes } = histogram.snapshot();
      expect(count).toBe(durations.length);
      expect(sumMs).toBe(durations.reduce((sum, ms) => sum + ms, 0));
      expect(classes.reduce((sum, inClass) => sum + inClass, 0)).toBe(count);
    }),
  );
});

test('a clock that went back counts as no time', () => {
  const histogram = new DurationHistogram();
  histogram.record(-5);
  histogram.record(Number.NaN);
  expect(histogram.snapshot()).toMatchObject({ count: 2, sumMs: 0 });
});

test('bounds rise', () => {
  expect(durationBoundsMs.toSorted((a, b) => a - b)).toEqual([...durationBoundsMs]);
});
