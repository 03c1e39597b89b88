// Which idle connection a request gets.

import { expect, test } from 'vitest';

import {
  type ConnectionWish,
  type IdleConnection,
  mayUse,
  takeIdle,
} from '../../src/upstream/idle-connections.ts';

const client = {};
const another = {};

function connection(lastUser: object | undefined, isIdle = true): IdleConnection {
  return { lastUser, isIdle };
}

function request(
  given: { readonly isRepeatable?: boolean; readonly isFresh?: boolean } = {},
): ConnectionWish {
  return { flow: { connection: client }, isRepeatable: false, isFresh: false, ...given };
}

test.each([
  ['what may be repeated takes any', request({ isRepeatable: true }), another, true],
  ['what may not takes its own', request(), client, true],
  ['and one that nobody has used', request(), undefined, true],
  ["but not another client's", request(), another, false],
  ['a further attempt takes none', request({ isRepeatable: true, isFresh: true }), client, false],
] as const)('%s', (_rule, wanted, lastUser, expected) => {
  expect(mayUse(connection(lastUser), wanted)).toBe(expected);
});

test('the one used last is taken out, and the others keep their order', () => {
  const [own, dead, other] = [connection(client), connection(client, false), connection(another)];
  const idle = [own, dead, other];
  expect(takeIdle(idle, request())).toBe(own);
  expect(idle).toEqual([dead, other]);
  expect(takeIdle(idle, request())).toBeUndefined();
  expect(takeIdle(idle, request({ isRepeatable: true }))).toBe(other);
  expect(idle).toEqual([dead]);
});
