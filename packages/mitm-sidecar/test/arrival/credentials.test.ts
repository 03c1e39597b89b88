// Names and passwords: which pair is right, how it is written, and what is never found out.
import { expect, test } from 'vitest';

import { Credentials, CredentialStore } from '../../src/arrival/credentials.ts';

const users = [
  { username: 'ada', password: 'count:ess' },
  { username: 'büro', password: 'pass wörd' },
];
const credentials = new Credentials({ users });
const basic = (text: string, encoding: BufferEncoding = 'utf8'): string =>
  `Basic ${Buffer.from(text, encoding).toString('base64')}`;

test.each([
  ['ada', 'count:ess', 'ada'],
  ['büro', 'pass wörd', 'büro'],
  ['ada', 'pass wörd', undefined],
  ['ada', '', undefined],
  ['Ada', 'count:ess', undefined],
  ['', '', undefined],
  ['ada\0count', 'ess', undefined],
])('%o with %o is %o', (username, password, user) => {
  expect(credentials.find(username, password)).toBe(user);
});

test.each([
  ['UTF-8', basic('büro:pass wörd'), 'büro'],
  ['latin1, as older clients write it', basic('büro:pass wörd', 'latin1'), 'büro'],
  ['a password with a colon', basic('ada:count:ess'), 'ada'],
  ['the scheme in another case, more spaces', basic('ada:count:ess').replace('Basic ', 'bAsIc   '), 'ada'],
  ['without padding', basic('ada:count:ess').replaceAll('=', ''), 'ada'],
  ['a wrong password', basic('ada:x'), undefined],
  ['no colon', basic('ada'), undefined],
  ['no value', 'Basic', undefined],
  ['an empty value', 'Basic ', undefined],
  ['another scheme', `Bearer ${Buffer.from('ada:count:ess').toString('base64')}`, undefined],
  ['two values', `${basic('ada:count:ess')}, ${basic('ada:count:ess')}`, undefined],
])('Basic, %s', (_what, value, user) => {
  expect(credentials.findBasic(value)).toBe(user);
});

test('without users nobody is right', () => {
  const nobody = new Credentials({ users: [] });
  expect(nobody.isEmpty).toBe(true);
  expect([nobody.find('', ''), nobody.findBasic(basic(':'))]).toEqual([undefined, undefined]);
});

test('users are kept for as long as their configuration', () => {
  const store = new CredentialStore();
  const config = { realm: 'here', users };
  expect(store.of(config)).toBe(store.of(config));
  expect(store.of(config)).not.toBe(store.of({ ...config }));
});
