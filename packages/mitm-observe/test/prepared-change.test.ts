// Changes are made together, or none is.
import { expect, test } from 'vitest';

import { noChange, prepareAll, type PreparedChange } from '../src/prepared-change.ts';

function noting(calls: string[], name: string): () => Promise<PreparedChange> {
  return async () => {
    calls.push(`prepare ${name}`);
    return {
      apply: async () => void calls.push(`apply ${name}`),
      discard: async () => void calls.push(`discard ${name}`),
    };
  };
}

const fail = (): Promise<PreparedChange> => Promise.reject(new Error('no'));

test('what is prepared is made when it is said so, all of it', async () => {
  const calls: string[] = [];
  const change = await prepareAll([noting(calls, 'a'), () => Promise.resolve(noChange), noting(calls, 'b')]);
  expect(calls).toEqual(['prepare a', 'prepare b']);
  await change.apply();
  expect(calls.slice(2)).toEqual(['apply a', 'apply b']);
});

test('when one can not be prepared, those before it are let go of, the last one first', async () => {
  const calls: string[] = [];
  const steps = [noting(calls, 'a'), noting(calls, 'b'), fail, noting(calls, 'c')];
  await expect(prepareAll(steps)).rejects.toThrow('no');
  expect(calls).toEqual(['prepare a', 'prepare b', 'discard b', 'discard a']);
});

test('nothing has to change', async () => {
  expect([await noChange.apply(), await noChange.discard()]).toEqual([undefined, undefined]);
});
