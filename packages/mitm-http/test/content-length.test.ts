import { expect, test } from 'vitest';

import { contentLengthOf } from '../src/content-length.ts';
import { codeOf } from './wire-text.ts';

test.each([
  ['0', 0],
  ['0005', 5],
  ['5, 5', 5],
  ['5 ,\t5', 5],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
])('%j is a length', (value, length) => {
  expect(contentLengthOf(value, -1)).toBe(length);
  expect(contentLengthOf(value, length)).toBe(length);
});

test.each([
  ['nothing', ''],
  ['a sign', '+5'],
  ['a negative number', '-5'],
  ['hexadecimal', '0x5'],
  ['an underscore', '1_0'],
  ['a fraction', '5.0'],
  ['a space inside', '2 3'],
  ['an empty list member', '5,'],
  ['an empty first member', ',5'],
  ['a no-break space', '5\u00a0'],
  ['a superscript', '²'],
  ['2^53', '9007199254740992'],
  ['2^64 + 2', '18446744073709551618'],
  ['a thousand digits', '9'.repeat(1000)],
])('no length: %s', (_rule, value) => {
  expect(codeOf(() => contentLengthOf(value, -1))).toBe('invalid_content_length');
});

test.each([
  ['a list of two lengths', '4, 7', -1],
  ['an earlier field of another length', '4', 7],
  ['an earlier length of 0', '4', 0],
])('two lengths: %s', (_rule, value, known) => {
  expect(codeOf(() => contentLengthOf(value, known))).toBe('conflicting_content_length');
});
