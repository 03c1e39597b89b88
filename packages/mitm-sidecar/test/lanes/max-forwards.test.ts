// How far TRACE and OPTIONS may travel (RFC 9110 §7.6.2), and the answers of a proxy that they end at.

import { Failure } from 'mitm-core';
import { parseRequestHead, type RequestHead } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { remainingForwards } from '../../src/lanes/max-forwards.ts';

function headOf(method: string, ...fields: readonly string[]): RequestHead {
  const lines = [`${method} http://o/ HTTP/1.1`, 'Host: o', ...fields, '', ''];
  const bytes = Buffer.from(lines.join('\r\n'));
  return parseRequestHead(bytes, 0, bytes.length);
}

test.each([
  ['one less on the next hop', headOf('TRACE', 'Max-Forwards: 10'), 9],
  ['the last hop', headOf('OPTIONS', 'Max-Forwards: 1'), 0],
  ['no limit', headOf('OPTIONS'), undefined],
  ['other methods ignore it', headOf('GET', 'Max-Forwards: 0'), undefined],
  ['a value that is no number says nothing', headOf('TRACE', 'Max-Forwards: -1'), undefined],
])('%s', (_rule, head, expected) => {
  expect(remainingForwards(head)).toBe(expected);
});

function answerTo(head: RequestHead): NonNullable<Failure['reply']> {
  try {
    remainingForwards(head);
  } catch (error) {
    if (error instanceof Failure && error.reply !== undefined) return error.reply;
    throw error;
  }
  throw new Error('it went on');
}

describe('a request that may go no further', () => {
  test('OPTIONS is told what can be asked for', () => {
    const reply = answerTo(headOf('OPTIONS', 'Max-Forwards: 0'));
    expect(reply.status).toBe(200);
    expect(reply.headers).toEqual(['Allow', expect.stringContaining('GET')]);
  });

  test('TRACE gets its request back, without what must stay secret', () => {
    const reply = answerTo(
      headOf('TRACE', 'Max-Forwards: 0', 'X-A: 1', 'Cookie: secret', 'Authorization: secret'),
    );
    expect(reply.headers).toEqual(['Content-Type', 'message/http']);
    expect(String(reply.body)).toBe(
      'TRACE http://o/ HTTP/1.1\r\nHost: o\r\nMax-Forwards: 0\r\nX-A: 1\r\n\r\n',
    );
  });
});
