// Who may use the proxy: what names and passwords may be, and that no message shows them.
import { describe, expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { ConfigError } from '../../src/errors.ts';
import { minimal, problemsWith } from './problems.ts';

const ada = { username: 'ada', password: 'count:ess' };

test('several users, whose passwords may hold colons', () => {
  const users = [ada, { username: 'büro', password: 'pass wörd' }];
  expect(parseConfig({ ...minimal, proxyAuthentication: { users } }).proxyAuthentication).toEqual({
    realm: 'soth-mitm',
    users,
  });
});

test.each([
  ['a name with a colon', { users: [{ ...ada, username: 'a:b' }] }, 'users[0].username: must be a name'],
  ['an empty name', { users: [{ ...ada, username: '' }] }, 'users[0].username: must be a name'],
  ['an empty password', { users: [{ ...ada, password: '' }] }, 'users[0].password: must be a text'],
  ['a line break', { users: [{ ...ada, password: 'a\nb' }] }, 'users[0].password: must be a text'],
  [
    'more than SOCKS can carry',
    { users: [{ ...ada, password: 'ü'.repeat(128) }] },
    'users[0].password: must have at most 255 bytes',
  ],
  ['no password', { users: [{ username: 'ada' }] }, 'users[0].password: is required'],
  ['a name twice', { users: [ada, { ...ada, password: 'x' }] }, 'users[1].username: must not be given twice'],
  ['a realm that ends its own quotes', { realm: 'a"b' }, 'realm: must be 1 to 128 printable ASCII'],
])('%s is refused', (_what, proxyAuthentication, problem) => {
  expect(problemsWith({ proxyAuthentication })).toEqual([expect.stringContaining(problem)]);
});

test('no message shows a password', () => {
  const users = [{ username: 'a:b', password: 'sesame\n' }];
  expect(() => parseConfig({ ...minimal, proxyAuthentication: { users } })).toThrow(ConfigError);
  expect(problemsWith({ proxyAuthentication: { users } }).join()).not.toContain('sesame');
});

const withUsers = (listener: object): readonly string[] =>
  problemsWith({
    proxyAuthentication: { users: [ada] },
    listeners: [{ bind: '127.0.0.1:0', ...listener }],
  });
describe('with users, a listener', () => {
  test.each(['proxy', 'socks5'])('of kind %s asks for one', (kind) => {
    expect(withUsers({ kind })).toEqual([]);
  });

  test.each(['direct', 'transparent'])('of kind %s has to say that it does not', (kind) => {
    const problem = `must be false: clients of a listener of kind ${kind} know of no proxy`;
    expect(withUsers({ kind })).toEqual([expect.stringContaining(problem)]);
    expect(withUsers({ kind, requiresAuthentication: false })).toEqual([]);
  });
});
