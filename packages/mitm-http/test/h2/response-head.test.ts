import { describe, expect, test } from 'vitest';

import { parseH2Response } from '../../src/h2/response-head.ts';
import { codeOf } from '../wire-text.ts';

test('a response: status, list as it came, fields as they came', () => {
  const fields = [':status', '200', 'content-length', '5', 'set-cookie', 'a', 'set-cookie', 'b'];
  const names = new Set(['set-cookie']);
  const head = parseH2Response(fields, names);
  expect(head).toMatchObject({
    version: 'HTTP/2',
    status: 200,
    reason: '',
    regularFrom: 2,
    headerCount: 3,
    contentLength: 5,
    isContentLengthRepeated: false,
    hasOneHopFields: false,
  });
  expect(head.fields).toBe(fields);
  expect(head.sensitiveNames).toBe(names);
  expect(head.headers.list).toEqual(fields.slice(2));
  expect(head.headers).toBe(head.headers);
});

test.each([100, 103, 199, 204, 304, 599, 999])('RFC 9113 §8.3.2 status %i', (status) => {
  const head = parseH2Response([':status', String(status)]);
  expect(head).toMatchObject({ status, contentLength: -1, headerCount: 0 });
});

test.each([
  ['two digits', '20'],
  ['four digits', '2000'],
  ['below 100', '099'],
  ['a sign', '+20'],
  ['a space behind', '200 '],
  ['a space before', ' 200'],
  ['a reason', '200 OK'],
  ['letters', 'abc'],
  ['a letter in the middle', '2x0'],
  ['a letter at the end', '20x'],
  ['CR LF', '200\r\nx: y'],
  ['NUL', '20\0'],
  ['nothing', ''],
  ['§8.6 a switch of protocols', '101'],
])('RFC 9113 §8.3.2 refused: %s', (_rule, status) => {
  expect(codeOf(() => parseH2Response([':status', status]))).toBe('invalid_status');
});

describe('refused', () => {
  test.each([
    ['§8.3.2 no status', ['a', '1'], 'missing_pseudo_field'],
    ['§8.3.2 nothing at all', [], 'missing_pseudo_field'],
    ['§8.3 two statuses', [':status', '200', ':status', '200'], 'repeated_pseudo_field'],
    ['§8.3 a pseudo field of requests', [':status', '200', ':path', '/'], 'unknown_pseudo_field'],
    ['§8.3 a status behind a field', ['a', '1', ':status', '200'], 'missing_pseudo_field'],
    [
      '§8.3 a pseudo field behind a field',
      [':status', '200', 'a', '1', ':status', '200'],
      'misplaced_pseudo_field',
    ],
    ['§8.2.2 connection', [':status', '200', 'connection', 'close'], 'connection_specific_field'],
    ['§8.2.2 keep-alive', [':status', '200', 'keep-alive', 'x'], 'connection_specific_field'],
    ['§8.2.2 proxy-connection', [':status', '200', 'proxy-connection', 'x'], 'connection_specific_field'],
    [
      '§8.2.2 transfer-encoding',
      [':status', '200', 'transfer-encoding', 'chunked'],
      'connection_specific_field',
    ],
    ['§8.2.2 upgrade', [':status', '200', 'upgrade', 'x'], 'connection_specific_field'],
    ['§8.2.2 te', [':status', '200', 'te', 'gzip'], 'invalid_te'],
    ['§8.1.1 a length that is none', [':status', '200', 'content-length', 'x'], 'invalid_content_length'],
    [
      '§8.1.1 two lengths',
      [':status', '200', 'content-length', '1', 'content-length', '2'],
      'conflicting_content_length',
    ],
  ])('RFC 9113 %s', (_rule, fields, code) => {
    expect(codeOf(() => parseH2Response(fields))).toBe(code);
  });
});

test.each(['te', 'http2-settings', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'])(
  '%s is noted as never sent on',
  (name) => {
    expect(parseH2Response([':status', '200', name, 'trailers']).hasOneHopFields).toBe(true);
  },
);

test.each([
  ['two equal fields', ['content-length', '5', 'content-length', '5']],
  ['a list', ['content-length', '5,5']],
])('RFC 9110 §8.6 equal lengths count as one: %s', (_rule, fields) => {
  const head = parseH2Response([':status', '200', ...fields]);
  expect(head).toMatchObject({ contentLength: 5, isContentLengthRepeated: true });
});
