import { describe, expect, test } from 'vitest';

import { encodeCloseFrame } from '../../src/websocket/frame-encoder.ts';
import { fromClient, fromServer, relay } from './wire.ts';

describe('a close frame of our own', () => {
  test.each([
    [1002, 'bad frame'],
    [1001, ''],
    [1005, ''],
    [4999, 'é'.repeat(61)],
  ])('code %i is read by either side', (code, reason) => {
    const toClient = relay(encodeCloseFrame(code, reason, undefined), fromServer);
    expect(toClient.reader.close).toEqual({ code, reason });
    const toServer = relay(encodeCloseFrame(code, reason, 0xdeadbeef), fromClient);
    expect(toServer.reader.close).toEqual({ code, reason });
  });

  test.each([1004, 1006, 1015, 999, 5000, 1000.5])('code %d is never sent', (code) => {
    expect(() => encodeCloseFrame(code, '', undefined)).toThrow(RangeError);
  });

  test('a reason needs a code', () =>
    expect(() => encodeCloseFrame(1005, 'why', undefined)).toThrow(RangeError));

  test('a reason of more than 123 bytes does not fit', () => {
    expect(() => encodeCloseFrame(1000, 'é'.repeat(62), undefined)).toThrow('not 124');
  });
});
