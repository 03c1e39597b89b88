import fc from 'fast-check';
import { expect, test } from 'vitest';

import { HttpError } from '../src/errors.ts';
import { findHeadEnd, parseRequestHead, parseResponseHead, skipEmptyLines } from '../src/head.ts';
import { bytesOf, codeOf, errorOf, requestOf, requestWith, responseOf, wire } from './wire-text.ts';

test('SG-09 a request head is read, with nothing lost', () => {
  const head = requestOf('POST /a?b HTTP/1.1', 'Host: Example.com', 'X-a: 1', 'x-A:  2 ');
  expect(head).toMatchObject({
    method: 'POST',
    target: '/a?b',
    version: 'HTTP/1.1',
    minorVersion: 1,
    host: 'Example.com',
    contentLength: -1,
    transferEncoding: '',
    connection: '',
    upgrade: '',
    headerCount: 3,
    expectsContinue: false,
  });
  expect(head.headers.list).toEqual(['Host', 'Example.com', 'X-a', '1', 'x-A', '2']);
  expect(head.headers).toBe(head.headers);
  expect(head.text).toBe(wire('POST /a?b HTTP/1.1', 'Host: Example.com', 'X-a: 1', 'x-A:  2 '));
});

test('SG-11 a response head is read', () => {
  const head = responseOf('HTTP/1.0 404 Not  Found', 'Content-Length: 7', 'Connection: Keep-Alive, X-b');
  expect(head).toMatchObject({
    status: 404,
    reason: 'Not  Found',
    version: 'HTTP/1.0',
    minorVersion: 0,
    contentLength: 7,
    connection: 'keep-alive,x-b',
  });
});

test('a head is read where it stands among other bytes', () => {
  const before = 'rest of a body';
  const text = wire('GET / HTTP/1.1', 'Host: a', 'Content-Length: 3');
  const bytes = bytesOf(`${before}\r\n${text}abc`);
  const start = skipEmptyLines(bytes, before.length);
  const end = findHeadEnd(bytes, start);
  const head = parseRequestHead(bytes, start, end);
  expect(head.text).toBe(text);
  expect(head.headers.list).toEqual(['Host', 'a', 'Content-Length', '3']);
  expect(bytes.toString('latin1', end)).toBe('abc');
});

test('the end of a head is CR LF CR LF and nothing less', () => {
  expect(findHeadEnd(bytesOf('a\r\n\r\nb'), 0)).toBe(5);
  expect(findHeadEnd(bytesOf('a\r\n\r\nb'), 2)).toBe(-1);
  expect(findHeadEnd(bytesOf('a\n\nb\r\n\n'), 0)).toBe(-1);
});

test.each([
  ['none', 'GET', 0],
  ['one', '\r\nGET', 2],
  ['a few', '\r\n\r\n\r\n\r\nGET', 8],
  ['not more than four', '\r\n'.repeat(6), 8],
  ['not half of one', '\r', 0],
  ['no bare LF', '\nGET', 0],
])('empty lines before a request are skipped: %s', (_rule, text, offset) => {
  expect(skipEmptyLines(bytesOf(text), 0)).toBe(offset);
});

test.each([
  ['two spaces', 'GET  / HTTP/1.1', 'invalid_request_line'],
  ['two spaces before the version', 'GET /  HTTP/1.1', 'invalid_request_line'],
  ['a tab', 'GET\t/ HTTP/1.1', 'invalid_request_line'],
  ['a space before the method', ' GET / HTTP/1.1', 'invalid_request_line'],
  ['a space behind the version', 'GET / HTTP/1.1 ', 'invalid_request_line'],
  ['HTTP/0.9', 'GET /', 'invalid_request_line'],
  ['no target', 'GET HTTP/1.1', 'invalid_request_line'],
  ['an empty target', 'GET  HTTP/1.1', 'invalid_request_line'],
  ['nothing', '', 'invalid_request_line'],
  ['a method that is no token', 'G(T / HTTP/1.1', 'invalid_request_line'],
  ['a letter beyond ASCII in the target', 'GET /\u00e9 HTTP/1.1', 'invalid_request_line'],
  ['NUL in the target', 'GET /\u0000 HTTP/1.1', 'invalid_request_line'],
  ['DEL in the target', 'GET /\u007f HTTP/1.1', 'invalid_request_line'],
  ['a lower-case version', 'GET / http/1.1', 'invalid_request_line'],
  ['a version without a dot', 'GET / HTTP/11', 'invalid_request_line'],
  ['a version with more digits', 'GET / HTTP/1.10', 'invalid_request_line'],
  ['another protocol', 'GET / ICAP/1.0', 'invalid_request_line'],
  ['HTTP/1.2', 'GET / HTTP/1.2', 'unsupported_http_version'],
  ['HTTP/2.0', 'GET / HTTP/2.0', 'unsupported_http_version'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0', 'unsupported_http_version'],
  ['a bare LF', 'GET / HTTP/1.1\nX: y', 'bare_line_feed'],
  ['a bare LF in the target', 'GET /\n HTTP/1.1', 'bare_line_feed'],
  ['a bare CR', 'GET / HTTP/1.1\rX: y', 'bare_carriage_return'],
])('no request line: %s', (_rule, line, code) => {
  expect(codeOf(() => requestOf(line, 'Host: a'))).toBe(code);
});

test.each([
  ['any method is a method', 'FOO / HTTP/1.1'],
  ['a method in lower case is another method', 'get / HTTP/1.1'],
  ['what browsers leave unescaped', 'GET /a|b{c}"<>^`\\ HTTP/1.1'],
  ['an escaped NUL', 'GET /%00 HTTP/1.1'],
  ['asterisk form', 'OPTIONS * HTTP/1.1'],
  ['authority form', 'CONNECT h:443 HTTP/1.1'],
  ['SG-10 absolute form', 'GET http://example.com/a?b=c HTTP/1.1'],
  ['HTTP/1.0', 'GET / HTTP/1.0'],
])('a request line: %s', (_rule, line) => {
  const head = requestOf(line, 'Host: a');
  expect(`${head.method} ${head.target} ${head.version}`).toBe(line);
});

test.each([
  ['the reason may be empty', 'HTTP/1.1 200 ', 200, ''],
  ['the space before it may be missing', 'HTTP/1.1 200', 200, ''],
  ['the reason may hold obs-text and tabs', 'HTTP/1.1 200 \u00e9\tx', 200, '\u00e9\tx'],
  ['any three digits from 100', 'HTTP/1.1 999 x', 999, 'x'],
])('a status line: %s', (_rule, line, status, reason) => {
  expect(responseOf(line)).toMatchObject({ status, reason });
});

test.each([
  ['a status below 100', 'HTTP/1.1 099 x', 'invalid_status_line'],
  ['two digits', 'HTTP/1.1 99 x', 'invalid_status_line'],
  ['four digits', 'HTTP/1.1 2000 x', 'invalid_status_line'],
  ['a signed status', 'HTTP/1.1 +20 x', 'invalid_status_line'],
  ['no status', 'HTTP/1.1', 'invalid_status_line'],
  ['two spaces', 'HTTP/1.1  200 OK', 'invalid_status_line'],
  ['a tab', 'HTTP/1.1 200\tOK', 'invalid_status_line'],
  ['NUL in the reason', 'HTTP/1.1 200 \u0000', 'invalid_status_line'],
  ['ICY', 'ICY 200 OK', 'invalid_status_line'],
  ['HTTP/2.0', 'HTTP/2.0 200 OK', 'invalid_status_line'],
  ['a bare LF', 'HTTP/1.1 200 OK\nX: y', 'bare_line_feed'],
  ['a bare CR', 'HTTP/1.1 200 OK\rX: y', 'bare_carriage_return'],
])('no status line: %s', (_rule, line, code) => {
  expect(codeOf(() => responseOf(line))).toBe(code);
});

test.each([
  ['SG-06g a folded header', 'X: a\r\n b', 'obsolete_line_folding'],
  ['SG-17 a signed length', 'Content-Length: +5', 'invalid_content_length'],
  ['an empty length', 'Content-Length:', 'invalid_content_length'],
  ['a length of 2^64 + 2', 'Content-Length: 18446744073709551618', 'invalid_content_length'],
  ['SG-13 two lengths on two lines', 'Content-Length: 4\r\nContent-Length: 7', 'conflicting_content_length'],
  ['two lengths in a list', 'Content-Length: 4, 7', 'conflicting_content_length'],
  ['an empty Transfer-Encoding', 'Transfer-Encoding:', 'invalid_transfer_encoding'],
  ['VT before chunked', 'Transfer-Encoding: \u000bchunked', 'invalid_header_value'],
  ['VT behind a name', 'Transfer-Encoding\u000b: chunked', 'invalid_header_name'],
  ['a second Host', 'Host: b', 'duplicate_host'],
  ['a second equal Host', 'host: example.com', 'duplicate_host'],
  ['Connection that names Host', 'Connection: Host', 'forbidden_connection_option'],
  ['Connection that names a length', 'Connection: close, content-length', 'forbidden_connection_option'],
  ['Connection that names TE', 'Connection: transfer-encoding', 'forbidden_connection_option'],
  [
    'Connection that names credentials',
    'Connection: x\r\nConnection: Authorization',
    'forbidden_connection_option',
  ],
  ['Connection that names cookies', 'Connection: cookie', 'forbidden_connection_option'],
  ['an expectation we can not promise', 'Expect: 200-ok', 'unknown_expectation'],
  ['one among others', 'Expect: 100-continue, x', 'unknown_expectation'],
])('refused: %s', (_rule, field, code) => {
  expect(codeOf(() => requestWith(field))).toBe(code);
});

test('what a response is refused for', () => {
  expect(codeOf(() => responseOf('HTTP/1.1 200 OK', 'Content-Length : 8'))).toBe('invalid_header_name');
  expect(codeOf(() => responseOf('HTTP/1.1 200 OK', 'Content-Length: 4', 'Content-Length: 8'))).toBe(
    'conflicting_content_length',
  );
  expect(codeOf(() => responseOf('HTTP/1.1 200 OK', 'Connection: Set-Cookie'))).toBe(
    'forbidden_connection_option',
  );
});

test.each([
  ['one field', ['Connection: Keep-Alive'], 'keep-alive'],
  ['a list', ['Connection: close , X-A'], 'close,x-a'],
  ['two fields', ['Connection: x', 'Connection: TE'], 'x,te'],
  ['empty members', ['Connection: ,, close,', 'Connection:'], 'close'],
])('connection options: %s', (_rule, fields, connection) => {
  expect(requestWith(...fields).connection).toBe(connection);
});

test('an option is found as a whole, in any case', () => {
  const head = requestWith('Connection: Upgrade, x-keep-alive');
  expect(head.hasConnectionOption('UPGRADE')).toBe(true);
  expect(head.hasConnectionOption('keep-alive')).toBe(false);
  expect(requestWith().hasConnectionOption('close')).toBe(false);
});

test('codings and offered protocols are lists in lower case', () => {
  expect(requestWith('Transfer-Encoding:\tChunked').transferEncoding).toBe('chunked');
  expect(requestWith('Transfer-Encoding: a ,B', 'transfer-encoding: c').transferEncoding).toBe('a,b,c');
  expect(requestWith('Upgrade: WebSocket', 'Upgrade: SPDY/3.1').upgrade).toBe('websocket,spdy/3.1');
});

test('SG-14 repeated equal lengths are one', () => {
  expect(requestWith('Content-Length: 4', 'Content-Length: 4')).toMatchObject({
    contentLength: 4,
    isContentLengthRepeated: true,
  });
  expect(requestWith('Content-Length: 4, 4').isContentLengthRepeated).toBe(true);
  expect(requestWith('Content-Length: 4').isContentLengthRepeated).toBe(false);
});

test.each([
  ['a client that waits', ['Expect: 100-Continue'], true],
  ['said twice', ['Expect: 100-continue', 'Expect: ,100-continue'], true],
  ['an empty expectation', ['Expect:'], false],
  ['none', [], false],
])('expectation: %s', (_rule, fields, isExpected) => {
  expect(requestWith(...fields).expectsContinue).toBe(isExpected);
});

test('HTTP/1.0 expects nothing', () => {
  expect(requestOf('POST / HTTP/1.0', 'Expect: anything').expectsContinue).toBe(false);
});

test.each([
  ['nothing', '', 0],
  ['too short', '\r\n', 2],
  ['no end', 'GET / HTTP/1.1\r\n', 16],
  ['an end beyond the bytes', 'GET / HTTP/1.1\r\n\r\n', 19],
])('bytes that are no whole head are refused: %s', (_rule, text, end) => {
  expect(codeOf(() => parseRequestHead(bytesOf(text), 0, end))).toBe('incomplete_head');
  expect(codeOf(() => parseResponseHead(bytesOf(text), 0, end))).toBe('incomplete_head');
});

const pieces = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('GET', ' ', '/', 'HTTP/1.1', 'HTTP/1.1 200 OK', '\r\n', ':', 'Host: a'),
  },
  fc.constantFrom('\r', '\n', '\t', 'Content-Length', 'Transfer-Encoding: chunked', 'Connection: ', '5', ','),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 5 }),
);

test('law: garbage is a head or an HttpError', () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      const bytes = bytesOf(`${parts.join('')}\r\n\r\n`);
      for (const parse of [parseRequestHead, parseResponseHead]) {
        const error = errorOf(() => parse(bytes, 0, bytes.length).headers.size);
        expect(error === undefined || error instanceof HttpError).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

test('law: one changed byte never lets a line end or a control byte into a field', () => {
  const text = wire('POST /p HTTP/1.1', 'Host: example.com', 'X-Name: some value', 'Content-Length: 12');
  fc.assert(
    fc.property(fc.nat(text.length - 5), fc.nat(255), (at, byte) => {
      const bytes = bytesOf(text);
      bytes[at] = byte;
      let parts: readonly string[] = [];
      const error = errorOf(() => {
        const head = parseRequestHead(bytes, 0, bytes.length);
        parts = [head.method, head.target, ...head.headers.list];
      });
      expect(error === undefined || error instanceof HttpError).toBe(true);
      expect(parts.join('')).not.toMatch(/[^\t\u0020-\u007e\u0080-\u00ff]/);
    }),
    { numRuns: 1000 },
  );
});
