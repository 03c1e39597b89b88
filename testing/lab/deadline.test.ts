// A wait ends with its promise or at its deadline, and leaves no timer behind.
import { expect, test } from 'vitest';

import { DeadlineError, within } from './deadline.ts';
import { expectNothingLeft, openHandles } from './resources.ts';

test("the promise's own outcome comes through, and its timer goes", async () => {
  const before = openHandles();
  await expect(within(Promise.resolve('value'), 60_000, 'a value')).resolves.toBe('value');
  await expect(within(Promise.reject(new RangeError('own')), 60_000, 'a value')).rejects.toThrow(RangeError);
  await expectNothingLeft(before);
});

test('a late promise is told by name, and a describer is asked only then', async () => {
  const never = new Promise<void>(() => {});
  let asked = 0;
  const describe = (): string => `the thing, asked ${(asked += 1)} time`;
  await expect(within(never, 5, describe)).rejects.toThrow(
    'the thing, asked 1 time did not happen within 5 ms',
  );
  await expect(within(never, 5, 'it')).rejects.toBeInstanceOf(DeadlineError);
});
