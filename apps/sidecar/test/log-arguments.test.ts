import { describe, expect, test } from 'vitest';

import { parseArguments } from '../src/arguments.ts';
import { UsageError } from '../src/usage.ts';

test.each<[string, readonly string[], object]>([
  ['show', ['show', 'e'], { action: 'show', flags: { path: 'e' } }],
  ['show from a place', ['show', 'e', '--from', '5', '--flow=7'], { flags: { from: 5, flow: 7 } }],
  ['verify', ['verify', '--key', 'k', 'e'], { action: 'verify', flags: { path: 'e', keys: ['k'] } }],
  ['index', ['index', 'e', '--index', 'i'], { action: 'index', flags: { path: 'e', index: 'i' } }],
])('%s', (_what, argv, command) => {
  expect(parseArguments(['log', ...argv])).toMatchObject({ kind: 'log', ...command });
});

test('help behind log', () => {
  expect(parseArguments(['log', '--help'])).toEqual({ kind: 'help' });
});

describe('is refused in one sentence', () => {
  test.each([
    ['no action', [], 'log needs a word behind it: choose one of show, verify, index'],
    ['another action', ['tail', 'e'], 'log "tail" is nothing to do'],
    ['no file', ['show'], 'log show needs the file of the log'],
    ['a word too many', ['show', 'e', 'f'], '"f" belongs to no option'],
    ['a check without a key', ['verify', 'e'], 'log verify needs --key FILE'],
    ['a number that is none', ['show', 'e', '--from', '0'], '--from is "0": give a whole number from 1'],
    ['an option of run', ['show', 'e', '--listen', 'x'], '--listen'],
  ])('%s', (_what, argv, sentence) => {
    const parse = (): unknown => parseArguments(['log', ...argv]);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(sentence);
  });
});
