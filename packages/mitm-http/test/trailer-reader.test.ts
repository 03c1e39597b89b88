import { expect, test } from 'vitest';

import { TrailerReader } from '../src/trailer-reader.ts';
import { bytesOf, codeOf } from './wire-text.ts';

test.each([
  ['no fields', '\r\nnext', 2, undefined],
  ['fields in wire order and case', 'X-A: 1\r\nx-a: 2\r\n\r\nnext', 18, ['X-A', '1', 'x-a', '2']],
])('a trailer section: %s', (_rule, text, end, fields) => {
  const reader = new TrailerReader(64);
  expect(reader.push(bytesOf(text), 0)).toBe(end);
  expect(reader).toMatchObject({ isDone: true, fields });
});

test('a section is not done before its empty line, and then takes nothing more', () => {
  const reader = new TrailerReader(64);
  reader.push(bytesOf('A: 1\r\n'), 0);
  expect(reader).toMatchObject({ isDone: false, fields: undefined });
  expect(reader.push(bytesOf('\r\nnext'), 0)).toBe(2);
  expect(reader.push(bytesOf('next'), 0)).toBe(0);
  expect(reader.fields).toEqual(['A', '1']);
});

test.each([
  ['a folded line', 'A: 1\r\n 2\r\n\r\n', 'obsolete_line_folding'],
  ['a space before the colon', 'A : 1\r\n\r\n', 'invalid_header_name'],
  ['a control byte', 'A: \u0000\r\n\r\n', 'invalid_header_value'],
  ['a bare LF', 'A: 1\n', 'bare_line_feed'],
  ['a bare LF at once', '\n', 'bare_line_feed'],
  ['a bare CR', 'A: 1\rB', 'bare_carriage_return'],
  ['more than the limit', 'A: 1\r\nB: 2\r\nC: 3\r\n', 'trailers_too_large'],
])('refused: %s', (_rule, text, code) => {
  expect(codeOf(() => new TrailerReader(16).push(bytesOf(text), 0))).toBe(code);
});

test.each([
  'Content-Length',
  'transfer-encoding',
  'HOST',
  'Connection',
  'TE',
  'Trailer',
  'Upgrade',
  'Authorization',
  'Cookie',
  'Set-Cookie',
  'Content-Encoding',
  'Content-Type',
  'Proxy-Authorization',
])('%s may not stand in a trailer', (name) => {
  const bytes = bytesOf(`X: 1\r\n${name}: 1\r\n\r\n`);
  expect(codeOf(() => new TrailerReader(64).push(bytes, 0))).toBe('forbidden_trailer');
});
