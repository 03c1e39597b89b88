// Long work gives way to the event loop.
import { expect, test, vi } from 'vitest';

import { TimeSlice } from '../../src/process/time-slice.ts';
import { unhurried } from './fake-proc.ts';

test('a stretch is over after two milliseconds, and others run before the next', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
  const slice = new TimeSlice(unhurried());
  clock.mockReturnValue(1_001.9);
  expect(slice.isOver).toBe(false);
  clock.mockReturnValue(1_002);
  expect(slice.isOver).toBe(true);
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
