// The slope is that of the line through all samples.
import { expect, test } from 'vitest';

import { slopePerMinute } from './slope.ts';

test.each<[string, readonly number[], number]>([
  ['nothing', [], 0],
  ['one sample', [5], 0],
  ['a level figure', [3, 3, 3], 0],
  ['a unit each second', [1, 2, 3, 4], 60],
  ['a fall', [4, 2, 0], -120],
  ['an outlier in the middle does not tilt it', [1, 9, 1], 0],
])('of %s', (_what, values, expected) => {
  expect(slopePerMinute(values.map((value, index) => ({ atMs: 1_000 * index, value })))).toBeCloseTo(
    expected,
  );
});
