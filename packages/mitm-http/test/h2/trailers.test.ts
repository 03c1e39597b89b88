import { expect, test } from 'vitest';

import { checkH2Trailers, forbiddenTrailers, sanitizedTrailers } from '../../src/h2/trailers.ts';
import { TrailerReader } from '../../src/trailer-reader.ts';
import { bytesOf, codeOf } from '../wire-text.ts';

test.each([
  ['fields of any use', ['grpc-status', '0', 'x-sum', 'abc'], 'accepted'],
  ['none', [], 'accepted'],
  ['a field that only HTTP/1 minds', ['content-length', '5'], 'accepted'],
  ['te: trailers', ['te', 'trailers'], 'accepted'],
  ['RFC 9113 §8.1 a pseudo field', [':status', '200'], 'unexpected_pseudo_field'],
  ['RFC 9113 §8.1 a pseudo field behind others', ['a', '1', ':path', '/'], 'unexpected_pseudo_field'],
  ['RFC 9113 §8.2.2 connection', ['connection', 'close'], 'connection_specific_field'],
  ['RFC 9113 §8.2.2 keep-alive', ['keep-alive', 'x'], 'connection_specific_field'],
  ['RFC 9113 §8.2.2 proxy-connection', ['proxy-connection', 'x'], 'connection_specific_field'],
  ['RFC 9113 §8.2.2 transfer-encoding', ['transfer-encoding', 'chunked'], 'connection_specific_field'],
  ['RFC 9113 §8.2.2 upgrade', ['upgrade', 'x'], 'connection_specific_field'],
  ['RFC 9113 §8.2.2 te', ['te', 'gzip'], 'invalid_te'],
])('trailers of HTTP/2: %s', (_rule, fields, code) => {
  expect(codeOf(() => checkH2Trailers(fields))).toBe(code);
});

test('trailers with nothing to change are sent on themselves', () => {
  const fields = ['grpc-status', '0', 'grpc-message', 'ok', 'x', ''];
  expect(sanitizedTrailers(fields)).toBe(fields);
});

test.each(forbiddenTrailers)('H2-07 H2-08 RFC 9110 §6.5.1 %s does not stand in a trailer', (name) => {
  expect(sanitizedTrailers(['a', '1', name, 'x', 'b', '2'])).toEqual(['a', '1', 'b', '2']);
  expect(sanitizedTrailers([name.toUpperCase(), 'x', 'b', '2'])).toEqual(['b', '2']);
});

test.each(forbiddenTrailers)('%s is refused in HTTP/1 by the same rule', (name) => {
  expect(codeOf(() => new TrailerReader(99).push(bytesOf(`${name}: x\r\n\r\n`), 0))).toBe(
    'forbidden_trailer',
  );
});

test.each([
  ['names in lower case', ['X-Sum', 'AbC'], ['x-sum', 'AbC']],
  ['pseudo fields', [':status', '200', 'a', '1'], ['a', '1']],
  ['names that are none', ['', 'x', 'a', '1'], ['a', '1']],
  ['nothing left', ['Content-Length', '5'], undefined],
  ['nothing given', [], undefined],
])('sanitized: %s', (_rule, fields, expected) => {
  expect(sanitizedTrailers(fields)).toEqual(expected);
});
