import { expect, test } from 'vitest';

import {
  cutFields,
  fieldKind,
  formatFieldLines,
  isToken,
  offsetsPerField,
  scanFieldLines,
  trimSpace,
} from '../src/field-lines.ts';
import { bytesOf, codeOf } from './wire-text.ts';

function scan(text: string): string[] {
  const bytes = bytesOf(`${text}\r\n`);
  const offsets: number[] = [];
  scanFieldLines(bytes, 0, bytes.length, 0, offsets);
  return cutFields(bytes.toString('latin1'), offsets);
}

test.each([
  ['case and duplicates stay', 'A: 1\r\na: 2\r\n', ['A', '1', 'a', '2']],
  ['space around a value goes', 'A: \t x y \t\r\n', ['A', 'x y']],
  ['no space at all', 'A:x\r\n', ['A', 'x']],
  ['an empty value', 'A:\r\nB: \r\n', ['A', '', 'B', '']],
  ['a tab inside', 'A: x\ty\r\n', ['A', 'x\ty']],
  ['obs-text stays as it is', 'A: \u0080\u00e9\u00ff\r\n', ['A', '\u0080\u00e9\u00ff']],
  ['every token character', "!#$%&'*+-.^_`|~09azAZ: x\r\n", ["!#$%&'*+-.^_`|~09azAZ", 'x']],
  ['a colon in a value', 'A: b:c\r\n', ['A', 'b:c']],
  ['no fields', '', []],
])('read: %s', (_rule, text, fields) => {
  expect(scan(text)).toEqual(fields);
});

test.each([
  ['SG-18 a folded line', 'A: x\r\n y\r\n', 'obsolete_line_folding'],
  ['a line folded with a tab', 'A: x\r\n\ty\r\n', 'obsolete_line_folding'],
  ['a fold on the first line', ' A: x\r\n', 'obsolete_line_folding'],
  ['SG-20 a space before the colon', 'A : x\r\n', 'invalid_header_name'],
  ['a tab before the colon', 'A\t: x\r\n', 'invalid_header_name'],
  ['SG-19 a space inside a name', 'A B: x\r\n', 'invalid_header_name'],
  ['VT behind a name', 'A\u000b: x\r\n', 'invalid_header_name'],
  ['NUL in a name', 'A\u0000: x\r\n', 'invalid_header_name'],
  ['a letter beyond ASCII in a name', 'É: x\r\n', 'invalid_header_name'],
  ['an empty name', ': x\r\n', 'invalid_header_name'],
  ['no colon', 'A\r\n', 'invalid_header_name'],
  ['an empty line in between', 'A: x\r\n\r\nB: y\r\n', 'invalid_header_name'],
  ['a bare LF behind a value', 'A: x\nB: y\r\n', 'bare_line_feed'],
  ['a bare LF behind a name', 'A\nB: y\r\n', 'bare_line_feed'],
  ['a bare CR in a value', 'A: x\rB: y\r\n', 'bare_carriage_return'],
  ['a bare CR in a name', 'A\rB: y\r\n', 'bare_carriage_return'],
  ['two CR', 'A: x\r\r\n', 'bare_carriage_return'],
  ['NUL in a value', 'A: \u0000\r\n', 'invalid_header_value'],
  ['DEL in a value', 'A: \u007f\r\n', 'invalid_header_value'],
  ['VT in a value', 'A: \u000bx\r\n', 'invalid_header_value'],
])('refused: %s', (_rule, text, code) => {
  expect(codeOf(() => scan(text))).toBe(code);
});

test('the error names the field and not its value, which may be a secret', () => {
  const text = 'Authorization: Bearer sesame\u0001\r\n';
  expect(() => scan(text)).toThrow('the value of header "Authorization" has the control byte 0x01');
});

test.each(Object.entries(fieldKind).filter(([name]) => name !== 'other'))(
  '%s is known in any case',
  (name, kind) => {
    const spelled = name === 'http2Settings' ? 'http2-settings' : name.replaceAll(/[A-Z]/g, (c) => `-${c}`);
    for (const text of [spelled.toLowerCase(), spelled.toUpperCase()]) {
      const offsets: number[] = [];
      const bytes = bytesOf(`${text}: x\r\n\r\n`);
      expect(scanFieldLines(bytes, 0, bytes.length, 0, offsets)).toBe(1 << kind);
      expect(offsets[offsetsPerField - 1]).toBe(kind);
    }
  },
);

test('a name of the same length is another field', () => {
  const offsets: number[] = [];
  const bytes = bytesOf('hosu: x\r\ncontent-lengti: 1\r\n\r\n');
  expect(scanFieldLines(bytes, 0, bytes.length, 0, offsets)).toBe(1 << fieldKind.other);
});

test('fields are written as lines', () => {
  expect(formatFieldLines(['A', 'x', 'b', ''])).toBe('A: x\r\nb: \r\n');
  expect(formatFieldLines([])).toBe('');
});

test.each([
  ['a name that is no token', ['a b', 'x'], 'invalid_header_name'],
  ['an empty name', ['', 'x'], 'invalid_header_name'],
  ['a line end in a value', ['a', 'x\r\nb: y'], 'invalid_header_value'],
  ['NUL in a value', ['a', '\u0000'], 'invalid_header_value'],
  ['a character beyond latin1', ['a', '€'], 'invalid_header_value'],
])('not written: %s', (_rule, list, code) => {
  expect(codeOf(() => formatFieldLines(list))).toBe(code);
});

test('white space of HTTP is space and tab', () => {
  expect(trimSpace('\t a b \t')).toBe('a b');
  expect(trimSpace('\u00a0a\u000b')).toBe('\u00a0a\u000b');
  expect(isToken('')).toBe(false);
});
