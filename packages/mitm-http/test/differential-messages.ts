// Requests made of suspicious parts, and what our own reader makes of them.
import fc from 'fast-check';

import { BodyFramer } from '../src/body-framer.ts';
import { HttpError } from '../src/errors.ts';
import { checkHost, requestFraming } from '../src/framing.ts';
import { findHeadEnd, parseRequestHead, skipEmptyLines } from '../src/head.ts';
import { parseTarget } from '../src/target.ts';
import type { Verdict } from './reference-server.ts';

/** Our verdict about the first message in these bytes, after which nothing comes. */
export function ours(bytes: Buffer): Verdict {
  try {
    const start = skipEmptyLines(bytes, 0);
    const end = findHeadEnd(bytes, start);
    if (end < 0) return { isAccepted: false, code: 'incomplete_head' };
    const head = parseRequestHead(bytes, start, end);
    checkHost(head);
    parseTarget(head);
    const framer = new BodyFramer(requestFraming(head));
    let body = '';
    framer.push(bytes, end, (piece) => (body += piece.toString('latin1')));
    framer.end();
    return { isAccepted: true, method: head.method, target: head.target, body };
  } catch (error) {
    if (error instanceof HttpError) return { isAccepted: false, code: error.code };
    throw error;
  }
}

/** Field lines without their line end. */
export const suspiciousLines = [
  'Host: a.test',
  'Host: b.test',
  'Host: a, b',
  'Host:',
  'Host: a/b',
  'host : a.test',
  'Content-Length: 5',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: 4',
  'Content-Length: 5, 5',
  'Content-Length: 5, 4',
  'Content-Length: +5',
  'Content-Length: -5',
  'Content-Length: 0x5',
  'Content-Length: 5 5',
  'Content-Length: 005',
  'Content-Length:',
  'Content-Length:\t5\t',
  'Content-Length : 5',
  'Content-Length: 18446744073709551621',
  'Content-Length: 9007199254740993',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked ',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding:\u000bchunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: gzip',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked,',
  'Transfer-Encoding: ,chunked',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding:',
  ' chunked',
  '\tchunked',
  ' ',
  'Connection: close',
  'Connection: host',
  'Connection: content-length',
  'Connection: keep-alive, x',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'TE: trailers',
  'X: y',
  'X:',
  'X',
  ': y',
  'X\u0000: y',
  'X: \u0000',
  'X: \u0001',
  'X: \u007f',
  'X: \u00e9',
  'X\u00e9: y',
  'X: a\tb',
  'X(: y',
  'X : y',
  'X\t: y',
  'X: y\rTransfer-Encoding: chunked',
  'X: y\nTransfer-Encoding: chunked',
  'X: y\r',
] as const;

const methods = ['GET', 'POST', 'FOO', 'get', 'G(T', 'PUT', ''] as const;
const targets = [
  '/',
  '/a?b',
  '*',
  'http://a.test/',
  'http://b.test',
  'https://a.test/',
  'ftp://a.test/',
  'http://u@a.test/',
  '/a#b',
  '/\u00e9',
  '/a b',
  '/\u0000',
  'a',
  '',
] as const;
const versions = [
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/2.0',
  'HTTP/0.9',
  'http/1.1',
  'HTTP/1.1 ',
  'HTTP/11',
  'HTTP/1.10',
  'ICE/1.0',
  '',
] as const;
const openings = ['', '\r\n', '\r\n\r\n\r\n\r\n', '\r\n\r\n\r\n\r\n\r\n', '\n', ' '] as const;
const bodies = [
  '',
  'hello',
  'hell',
  '5\r\nhello\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '0\r\nX: y\r\n\r\n',
  '0\r\nHost: b.test\r\n\r\n',
  '0\r\nContent-Length: 5\r\n\r\n',
  '0\r\nX : y\r\n\r\n',
  '0\r\nX: y\r\n z\r\n\r\n',
  '0\r\nX: y\n\r\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '+5\r\nhello\r\n0\r\n\r\n',
  ' 5\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '5\t\r\nhello\r\n0\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '5\rhello\r\n0\r\n\r\n',
  '5\r\nhello\n0\r\n\r\n',
  '5\r\nhello0\r\n\r\n',
  '5\r\nhello!\r\n0\r\n\r\n',
  '5;a=b\r\nhello\r\n0\r\n\r\n',
  '5;a="b;c"\r\nhello\r\n0\r\n\r\n',
  '5;a="b\r\nhello\r\n0\r\n\r\n',
  '5 ;a=b\r\nhello\r\n0\r\n\r\n',
  '5; a = b\r\nhello\r\n0\r\n\r\n',
  '5;\r\nhello\r\n0\r\n\r\n',
  '5;a\n\r\nhello\r\n0\r\n\r\n',
  '5;a\rb\r\nhello\r\n0\r\n\r\n',
  '5;a\u0000\r\nhello\r\n0\r\n\r\n',
  '5;\u00e9\r\nhello\r\n0\r\n\r\n',
  '0000000000000005\r\nhello\r\n0\r\n\r\n',
  '00000000000000005\r\nhello\r\n0\r\n\r\n',
  '10000000000000005\r\nhello\r\n0\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n',
] as const;

/** Mostly the first, so that most messages have few faults and the readers get far. */
function mostly<T>(usual: T, others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 20, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom(...others) },
  );
}

const separator = mostly(' ', ['  ', '\t', '\u000b']);
const lineEnd = fc.oneof(
  { weight: 150, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '') },
);
const requestLine = fc
  .tuple(
    mostly<string>('POST', methods),
    separator,
    mostly<string>('/', targets),
    separator,
    mostly<string>('HTTP/1.1', versions),
  )
  .map((parts) => parts.join(''));
const fieldLine = fc.constantFrom(...suspiciousLines);
const fieldLines = fc.oneof(
  { weight: 4, arbitrary: fc.array(fieldLine, { maxLength: 2 }).map((lines) => ['Host: a.test', ...lines]) },
  { weight: 2, arbitrary: fc.constant(['Host: a.test', 'Transfer-Encoding: chunked']) },
  { weight: 1, arbitrary: fc.array(fieldLine, { maxLength: 4 }) },
);

/** A whole request with few or many faults, as latin1. */
export const wireMessage: fc.Arbitrary<string> = fc
  .record({
    opening: mostly<string>('', openings),
    line: requestLine,
    fields: fieldLines.chain((lines) =>
      fc.tuple(...lines.map((line) => lineEnd.map((end) => `${line}${end}`))).map((whole) => whole.join('')),
    ),
    ends: fc.tuple(lineEnd, lineEnd),
    body: fc.constantFrom(...bodies),
  })
  .map(
    ({ opening, line, fields, ends: [first, last], body }) =>
      `${opening}${line}${first}${fields}${last}${body}`,
  );
