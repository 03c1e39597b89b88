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
  });
});

test.each([
  ['CF-17 a log has a path', {}, 'path: is required'],
  ['paths are not blank', { path: '' }, 'path: must not be empty'],
  ['the index is another file', { path: 'a', indexPath: 'a' }, 'indexPath: must be another file'],
  ['flushing happens', { path: 'a', flushEvery: 0 }, 'flushEvery: must be a whole number of events'],
  ['files have a size', { path: 'a', rotateBytes: 0 }, 'rotateBytes: must be a whole number of bytes'],
])('%s', (_rule, eventLog, problem) => {
  expect(problemsWith({ eventLog })).toEqual([expect.stringContaining(`eventLog.${problem}`)]);
});
