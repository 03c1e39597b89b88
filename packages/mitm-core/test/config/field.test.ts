// The ranges and units that all sections build on.
import { expect, test } from 'vitest';
import { z } from 'zod';

import {
  bytes,
  count,
  filePath,
  maxTimerMs,
  milliseconds,
  port,
  readableBy,
  readAs,
  reading,
  text,
} from '../../src/config/field.ts';

function messages(schema: z.ZodType, value: unknown): readonly string[] {
  return schema.safeParse(value).error?.issues.map(({ message }) => message) ?? [];
}

test.each([
  ['milliseconds are 1 or more', milliseconds(), 0, 'a whole number of milliseconds from 1 to 2147483647'],
  ['milliseconds end where timers end', milliseconds(), maxTimerMs + 1, 'from 1 to 2147483647'],
  ['milliseconds are whole', milliseconds(), 1.5, 'must be a whole number of milliseconds'],
  ['milliseconds may begin at 0', milliseconds(0), -1, 'from 0 to 2147483647'],
  ['numbers are not texts', milliseconds(), '5', 'must be a whole number of milliseconds'],
  ['NaN is no number', count('entries', 9), Number.NaN, 'must be a whole number of entries from 1 to 9'],
  [
    'infinity is no number',
    bytes(9),
    Number.POSITIVE_INFINITY,
    'must be a whole number of bytes from 1 to 9',
  ],
  ['port 0 cannot be connected to', port(), 0, 'must be a port from 1 to 65535'],
  ['ports end at 65535', port(), 65_536, 'must be a port from 1 to 65535'],
  ['texts are not empty', text(), '', 'must not be empty or blank'],
  ['texts are not blank', text(), ' \t', 'must not be empty or blank'],
  ['paths are not blank', filePath(), ' ', 'must not be empty or blank'],
  ['paths have no NUL', filePath(), 'a\0b', 'must not contain a NUL character'],
])('%s', (_rule, schema, value, message) => {
  expect(messages(schema, value)).toContainEqual(expect.stringContaining(message));
});

test.each([
  ['the longest timer', milliseconds(), maxTimerMs],
  ['a pause of zero', milliseconds(0), 0],
  ['the smallest count', count('entries', 9), 1],
  ['the largest size', bytes(9), 9],
  ['the last port', port(), 65_535],
])('%s is accepted', (_rule, schema, value) => {
  expect(schema.parse(value)).toBe(value);
});

test('readableBy keeps the text and takes over what the parser complains about', () => {
  const even = readableBy((entry) => {
    if (entry.length % 2 === 1) throw new Error(`"${entry}" is odd`);
  });
  expect(even.parse('ab')).toBe('ab');
  expect(messages(even, 'abc')).toEqual(['"abc" is odd']);
});

test('readAs gives what the parser reads, and what it complains about whatever it throws', () => {
  const doubled = z.number().transform(
    readAs((value) => {
      // oxlint-disable-next-line typescript/only-throw-error -- a parser may be the user's, and throw anything
      if (value < 0) throw 'no negative numbers';
      return value * 2;
    }),
  );
  expect(doubled.parse(2)).toBe(4);
  expect(messages(doubled, -1)).toEqual(['no negative numbers']);
});

test('reading runs a rule across fields as soon as these fields are valid', () => {
  const schema = z
    .strictObject({ low: z.int(), high: z.int(), other: z.int() })
    .refine(({ low, high }) => low <= high, {
      error: 'low must not be above high',
      ...reading('low', 'high'),
    });
  expect(messages(schema, { low: 2, high: 1, other: 'x', unknown: 1 })).toContain(
    'low must not be above high',
  );
  expect(messages(schema, { low: 'x', high: 1, other: 1 })).not.toContain('low must not be above high');
  expect(messages(schema, 'no object at all')).toHaveLength(1);
});
