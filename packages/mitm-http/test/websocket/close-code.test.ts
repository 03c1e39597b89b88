import { describe, expect, test } from 'vitest';

import {
  closeCode,
  closeCodeFor,
  isWireCloseCode,
  parseClosePayload,
} from '../../src/websocket/close-code.ts';

function payloadOf(code: number, reason: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

describe('codes on the wire', () => {
  test.each([
    [0, 999, false],
    [1000, 1003, true],
    [1004, 1006, false],
    [1007, 1014, true],
    [1015, 2999, false],
    [3000, 4999, true],
    [5000, 65_535, false],
  ])('%i to %i: %s', (first, last, isAllowed) => {
    expect([first, last, Math.trunc((first + last) / 2)].map((code) => isWireCloseCode(code))).toEqual(
      [1, 2, 3].map(() => isAllowed),
    );
  });

  test.each([Number.NaN, 1000.5, -1000])('%d is no code', (code) => {
    expect(isWireCloseCode(code)).toBe(false);
  });

  test('a proxy closes with codes that may be sent', () => {
    expect(Object.values(closeCodeFor).every((code) => isWireCloseCode(code))).toBe(true);
  });
});

describe('the payload of a close frame', () => {
  test('WS-22 it may be empty', () => {
    expect(parseClosePayload(Buffer.alloc(0))).toEqual({ code: closeCode.noStatus, reason: '' });
  });

  test('WS-26 code and reason', () => {
    expect(parseClosePayload(payloadOf(1000, 'ok'))).toEqual({ code: 1000, reason: 'ok' });
    expect(parseClosePayload(payloadOf(4999))).toEqual({ code: 4999, reason: '' });
  });

  test.each([
    ['WS-23 one byte is no code', Buffer.from([3]), 'invalid_close_payload', 1002],
    ['WS-24 1004 is reserved', payloadOf(1004), 'invalid_close_code', 1002],
    ['1005 is never sent', payloadOf(1005), 'invalid_close_code', 1002],
    ['1006 is never sent', payloadOf(1006), 'invalid_close_code', 1002],
    ['WS-25 the reason is UTF-8', payloadOf(1000, Buffer.from([0xc3, 0x28])), 'invalid_close_reason', 1007],
    [
      'a surrogate is no UTF-8',
      payloadOf(1000, Buffer.from([0xed, 0xa0, 0x80])),
      'invalid_close_reason',
      1007,
    ],
  ])('%s', (_rule, payload, code, closesWith) => {
    expect(parseClosePayload(payload)).toMatchObject({ code, closeCode: closesWith });
  });
});
