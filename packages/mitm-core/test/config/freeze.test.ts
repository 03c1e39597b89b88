// Frozen at every depth, and the same objects as before.
import { expect, expectTypeOf, test } from 'vitest';

import { deepFreeze, type DeepReadonly } from '../../src/config/freeze.ts';

test('objects and lists are frozen at every depth', () => {
  const tree = { list: [{ inner: { value: 1 } }], nothing: undefined, none: null };
  const frozen = deepFreeze(tree);
  expect(frozen).toBe(tree);
  const parts = [tree, tree.list, tree.list[0], tree.list[0]?.inner];
  expect(parts.every(Object.isFrozen)).toBe(true);
});

test.each(['text', 1, true, undefined, null])('%s is returned as it is', (value) => {
  expect(deepFreeze(value)).toBe(value);
});

test('the type is readonly at every depth', () => {
  expectTypeOf<DeepReadonly<{ list: { value: number }[] }>>().toEqualTypeOf<{
    readonly list: readonly { readonly value: number }[];
  }>();
});
