// The whole way of a message through the public face: garbage from either side never becomes two messages.
import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  BodyFramer,
  checkHost,
  findHeadEnd,
  HttpError,
  parseRequestHead,
  parseTarget,
  requestFraming,
  skipEmptyLines,
  writeRequestHead,
} from '../src/index.ts';
import { bytesOf } from './wire-text.ts';

interface Message {
  readonly head: string;
  readonly body: string;
}

/** Reads requests until the bytes end or are refused, and gives each as it would be sent on. */
function relay(bytes: Buffer): Message[] {
  const messages: Message[] = [];
  let at = 0;
  try {
    for (;;) {
      const start = skipEmptyLines(bytes, at);
      const end = findHeadEnd(bytes, start);
      if (end < 0) return messages;
      const head = parseRequestHead(bytes, start, end);
      checkHost(head);
      parseTarget(head);
      const framer = new BodyFramer(requestFraming(head));
      let body = '';
      at = framer.push(bytes, end, (piece) => (body += piece.toString('latin1')));
      framer.end();
      messages.push({ head: writeRequestHead(head), body });
    }
  } catch (error) {
    if (error instanceof HttpError) return messages;
    throw error;
  }
}

const part = fc.constantFrom(
  'GET / HTTP/1.1\r\n',
  'POST /a HTTP/1.1\r\n',
  'GET / HTTP/1.0\r\n',
  'Host: a\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: x\r\n',
  'Connection: close, x\r\n',
  'X: y\r\n',
  ' z\r\n',
  '\r\n',
  '\n',
  '5\r\nhello\r\n',
  '0\r\n\r\n',
  'hello',
);

test('SG-06 law: what is sent on reads back as the same requests, and nothing hides in between', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 24 }), (parts) => {
      for (const { head } of relay(bytesOf(parts.join('')))) {
        const bytes = bytesOf(head);
        expect(findHeadEnd(bytes, 0)).toBe(bytes.length);
        expect(writeRequestHead(parseRequestHead(bytes, 0, bytes.length))).toBe(head);
      }
    }),
    { numRuns: 2000 },
  );
});

test('pipelined requests are told apart', () => {
  const first = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';
  const second = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  const third = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  expect(relay(bytesOf(`${first}GET / HTTP/1.1\r\n\r\n${third}`))).toEqual([{ head: first, body: 'GET /' }]);
  expect(relay(bytesOf(`${first}hello\r\n${second}2\r\nab\r\n0\r\n\r\n${third}`))).toEqual([
    { head: first, body: 'hello' },
    { head: second, body: 'ab' },
    { head: third, body: '' },
  ]);
});
