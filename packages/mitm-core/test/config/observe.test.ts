// The event log: off unless a path is given.
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test('nothing is logged by default', () => {
  expect(parseConfig(minimal).eventLog).toBeUndefined();
});

test('a path is enough, and each event is flushed', () => {
  expect(parseConfig({ ...minimal, eventLog: { path: 'e.jsonl' } }).eventLog).toEqual({
    path: 'e.jsonl',
    flushEvery: 1,
    leftovers: 'replace',
    includeData: false,
    redaction: 'values',
  });
});

test.each([
  ['CF-17 a log has a path', {}, 'path: is required'],
  ['paths are not blank', { path: '' }, 'path: must not be empty'],
  ['the index is another file', { path: 'a', indexPath: 'a' }, 'indexPath: must be another file'],
  ['flushing happens', { path: 'a', flushEvery: 0 }, 'flushEvery: must be a whole number of events'],
  ['files have a size', { path: 'a', rotateBytes: 0 }, 'rotateBytes: must be a whole number of bytes'],
  [
    'what is withheld has a name',
    { path: 'a', redaction: 'all' },
    'redaction: must be one of values, secrets',
  ],
  ['a log is kept or not', { path: 'a', leftovers: 'append' }, 'leftovers: must be one of replace, refuse'],
  ['a key is a file', { path: 'a', hmacKeyPath: ' ' }, 'hmacKeyPath: must not be empty'],
])('%s', (_rule, eventLog, problem) => {
  expect(problemsWith({ eventLog })).toEqual([expect.stringContaining(`eventLog.${problem}`)]);
});

test('metrics are served nowhere by default, and on loopback when asked for without a place', () => {
  expect(parseConfig(minimal).admin).toBeUndefined();
  const config = parseConfig({ ...minimal, admin: {} });
  expect(config.admin).toEqual({ bind: { host: '127.0.0.1', port: 9464 } });
  expect(parseConfig(config).admin).toEqual(config.admin);
});

test('the place where metrics are served is an address', () => {
  expect(problemsWith({ admin: { bind: '9464' } })).toEqual([
    expect.stringContaining('admin.bind: is not an address to listen on'),
  ]);
});
