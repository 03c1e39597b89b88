import { expect, test } from 'vitest';

import { HttpError } from '../src/errors.ts';
import { responseFraming } from '../src/framing.ts';
import { findHeadEnd, parseResponseHead } from '../src/head.ts';
import { connectEstablishedHead, continueHead, writeReply } from '../src/reply.ts';
import type { Reply } from '../src/reply.ts';
import { bytesOf, codeOf, errorOf, wire } from './wire-text.ts';

test('an answer has type, length and an end', () => {
  expect(writeReply({ status: 403, body: 'blocked' }).toString('latin1')).toBe(
    `${wire(
      'HTTP/1.1 403 Forbidden',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Length: 7',
      'Connection: close',
    )}blocked`,
  );
});

test.each<[string, Reply, object, string[], string]>([
  [
    'no body',
    { status: 502 },
    {},
    ['HTTP/1.1 502 Bad Gateway', 'Content-Length: 0', 'Connection: close'],
    '',
  ],
  [
    'the connection stays',
    { status: 404, body: 'x' },
    { keepAlive: true },
    ['HTTP/1.1 404 Not Found', 'Content-Type: text/plain; charset=utf-8', 'Content-Length: 1'],
    'x',
  ],
  [
    'the caller names the type',
    { status: 200, headers: ['content-type', 'application/json', 'X-A', 'b'], body: Buffer.from('{}') },
    { keepAlive: true },
    ['HTTP/1.1 200 OK', 'content-type: application/json', 'X-A: b', 'Content-Length: 2'],
    '{}',
  ],
  [
    'HEAD is told the length and sent nothing',
    { status: 200, body: 'abc' },
    { isHead: true, keepAlive: true },
    ['HTTP/1.1 200 OK', 'Content-Type: text/plain; charset=utf-8', 'Content-Length: 3'],
    '',
  ],
  [
    '204 has neither length nor body',
    { status: 204, body: 'x' },
    { keepAlive: true },
    ['HTTP/1.1 204 No Content'],
    '',
  ],
  ['304 likewise', { status: 304, body: 'x' }, { keepAlive: true }, ['HTTP/1.1 304 Not Modified'], ''],
  [
    '205 is empty',
    { status: 205, body: 'x' },
    { keepAlive: true },
    ['HTTP/1.1 205 Reset Content', 'Content-Length: 0'],
    '',
  ],
  [
    'a status without a phrase',
    { status: 599 },
    { keepAlive: true },
    ['HTTP/1.1 599 ', 'Content-Length: 0'],
    '',
  ],
  [
    'a reason of the caller',
    { status: 403, reason: 'Blocked' },
    { keepAlive: true },
    ['HTTP/1.1 403 Blocked', 'Content-Length: 0'],
    '',
  ],
])('an answer: %s', (_rule, reply, options, lines, body) => {
  expect(writeReply(reply, options).toString('latin1')).toBe(`${wire(...lines)}${body}`);
});

test('the length counts bytes of UTF-8', () => {
  const bytes = writeReply({ status: 400, body: 'é€' });
  const end = findHeadEnd(bytes, 0);
  const head = parseResponseHead(bytes, 0, end);
  expect(responseFraming(head, 'GET')).toEqual({ kind: 'length', length: 5 });
  expect(bytes.toString('utf8', end)).toBe('é€');
});

test.each<[string, Reply]>([
  ['an interim status', { status: 100 }],
  ['a status above 599', { status: 600 }],
  ['a status that is no integer', { status: 200.5 }],
  ['a line end in the reason', { status: 200, reason: 'a\r\nb' }],
  ['a length', { status: 200, headers: ['Content-Length', '5'] }],
  ['a transfer coding', { status: 200, headers: ['transfer-encoding', 'chunked'] }],
  ['a connection option', { status: 200, headers: ['Connection', 'close'] }],
  ['an upgrade', { status: 200, headers: ['Upgrade', 'websocket'] }],
  ['a name that is no token', { status: 200, headers: ['a b', 'x'] }],
  ['a line end in a value', { status: 200, headers: ['a', 'x\r\nSet-Cookie: y'] }],
  ['NUL in a value', { status: 200, headers: ['a', '\u0000'] }],
  ['a value missing', { status: 200, headers: ['a'] }],
])('not written: %s', (_rule, reply) => {
  expect(codeOf(() => writeReply(reply))).toBe('invalid_reply');
});

test('the error says what to leave out', () => {
  const error = errorOf(() => writeReply({ status: 200, headers: ['Content-Length', '5'] }));
  expect(error).toBeInstanceOf(HttpError);
  expect(error).toMatchObject({
    status: 500,
    message: 'header "Content-Length" is set by the proxy: leave it out',
  });
});

test.each([
  ['CONNECT', connectEstablishedHead, 200],
  ['a waiting client', continueHead, 100],
])('the constant answer to %s is a head', (_to, text, status) => {
  const head = parseResponseHead(bytesOf(text), 0, text.length);
  expect(head).toMatchObject({ status, headerCount: 0 });
});
