// Long work gives way to the event loop.
import { expect, test } from 'vitest';

import { TimeSlice } from '../../src/process/time-slice.ts';
import { unhurried } from './fake-proc.ts';

function workUntilOver(slice: TimeSlice): number {
  const since = performance.now();
  while (!slice.isOver);
  return performance.now() - since;
}

test('a stretch is over after two milliseconds, and others run before the next', async () => {
  const slice = new TimeSlice(unhurried());
  expect(slice.isOver).toBe(false);
  expect(workUntilOver(slice)).toBeGreaterThan(1);
  let hasRun = false;
  setImmediate(() => {
    hasRun = true;
  });
  await slice.giveWay();
  expect(hasRun).toBe(true);
  expect(slice.isOver).toBe(false);
});

test('work that nobody wants ends there', async () => {
  const leaving = new AbortController();
  const slice = new TimeSlice(leaving.signal);
  leaving.abort(new Error('gone'));
  await expect(slice.giveWay()).rejects.toThrow('gone');
});
