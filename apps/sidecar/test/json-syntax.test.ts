import fc from 'fast-check';
import { expect, test } from 'vitest';

import { jsonErrorIndex, placeAt } from '../src/json-syntax.ts';

test.each([
  ['an empty text', '', 0],
  ['a text that ends too early', '{"a": [1,', 9],
  ['a comma behind the last of a list', '[1,]', 3],
  ['a comma behind the last of an object', '{"a":1,}', 7],
  ['a key without quotes', '{a: 1}', 1],
  ['a missing colon', '{"a" 1}', 5],
  ['a missing comma', '[1 2]', 3],
  ['the wrong bracket', '[1}', 2],
  ['a word that is no value', '[1, yes]', 4],
  ['a comment', '{ // why\n}', 2],
  ['a line break inside a text', '["a\nb"]', 1],
  ['something behind the value', '{} {}', 3],
  ['an octal number', '[01]', 2],
])('%s', (_rule, text, index) => {
  expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
  expect(jsonErrorIndex(text)).toBe(index);
});

test('whatever is JSON is read to its end', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(4), (text, indent) => {
      const written = JSON.stringify(JSON.parse(text), undefined, indent);
      expect(jsonErrorIndex(written)).toBe(written.length);
    }),
  );
});

test('a broken text has its place within the text', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 2 }), (text, at, piece) => {
      const cut = at % (text.length + 1);
      const broken = text.slice(0, cut) + piece + text.slice(cut + 1);
      const index = jsonErrorIndex(broken);
      expect(index).toBeGreaterThanOrEqual(0);
      expect(index).toBeLessThanOrEqual(broken.length);
    }),
  );
});

test.each([
  ['the start', 0, { line: 1, column: 1 }],
  ['within a line', 1, { line: 1, column: 2 }],
  ['a line break belongs to its line', 2, { line: 1, column: 3 }],
  ['the next line', 3, { line: 2, column: 1 }],
  ['the end', 5, { line: 2, column: 3 }],
])('places count from 1: %s', (_rule, index, place) => {
  expect(placeAt('ab\ncd', index)).toEqual(place);
});
