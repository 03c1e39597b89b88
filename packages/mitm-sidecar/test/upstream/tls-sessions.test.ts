import { expect, test } from 'vitest';

import { TlsSessions } from '../../src/upstream/tls-sessions.ts';

const session = (text: string): Buffer => Buffer.from(text);

test('a session is kept for its key, and the newest one counts', () => {
  const sessions = new TlsSessions();
  sessions.set('a', session('1'));
  sessions.set('a', session('2'));
  expect(sessions.get('a')).toEqual(session('2'));
  expect(sessions.get('b')).toBeUndefined();
});

test('1024 are kept: the one that was set longest ago goes, and one that is set again is new', () => {
  const sessions = new TlsSessions();
  for (let index = 0; index < 1_024; index += 1) sessions.set(`key ${index}`, session('x'));
  sessions.set('key 0', session('y'));
  sessions.set('one more', session('z'));
  const kept = ['key 0', 'key 1', 'key 2', 'key 1023', 'one more'].map((key) =>
    sessions.get(key)?.toString(),
  );
  expect(kept).toEqual(['y', undefined, 'x', 'x', 'z']);
});

test('none is left when the settings that they were made under are gone', () => {
  const sessions = new TlsSessions();
  sessions.set('a', session('1'));
  sessions.clear();
  expect(sessions.get('a')).toBeUndefined();
});
