import { expect, test } from 'vitest';

import { readOptions, UsageError } from '../src/usage.ts';

const table = {
  file: { type: 'string' },
  many: { type: 'string', multiple: true },
  quick: { type: 'boolean' },
} as const;

test('options and words are told apart', () => {
  const { values, positionals } = readOptions(
    ['word', '--file', 'a', '--many=b', '--many', 'c', '--quick'],
    table,
  );
  expect(values).toEqual({ file: 'a', many: ['b', 'c'], quick: true });
  expect(positionals).toEqual(['word']);
});

test.each([
  ['an unknown option', ['--bogus'], '--bogus'],
  ['an option without its value', ['--file'], '--file'],
  ['a value for a switch', ['--quick=yes'], '--quick'],
  ['an empty value', ['--file', ''], '--file has an empty value'],
  ['a blank one among good ones', ['--many', 'a', '--many', ' '], '--many has an empty value'],
])('%s is one sentence that names it', (_rule, argv, named) => {
  const attempt = (): unknown => readOptions(argv, table);
  expect(attempt).toThrow(UsageError);
  expect(attempt).toThrow(named);
  expect(attempt).not.toThrow('\n');
});
