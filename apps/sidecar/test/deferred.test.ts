import { expect, test } from 'vitest';

import { deferred } from '../src/deferred.ts';

test('it resolves with what it is given first', async () => {
  const { promise, resolve } = deferred<number>();
  resolve(1);
  resolve(2);
  expect(await promise).toBe(1);
});

test('it rejects with what it is given', async () => {
  const { promise, reject } = deferred<number>();
  reject(new Error('no'));
  await expect(promise).rejects.toThrow('no');
});
