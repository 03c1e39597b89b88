import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { h2Code } from '../../src/h2/error-codes.ts';
import {
  frameFault,
  frameFlag,
  frameType,
  maxFramePayload,
  readInt31,
  readUint32,
  writeFrameHead,
  writeUint32,
} from '../../src/h2/frames.ts';

test('the head of a frame: 24 bits of length, type, flags, 31 bits of stream id', () => {
  const out = Buffer.alloc(11, 0xee);
  expect(writeFrameHead(out, 1, 0x01_02_03, frameType.headers, frameFlag.endHeaders, 0x7fff_fffd)).toBe(10);
  expect(out.toString('hex')).toBe('ee01020301047ffffffdee');
});

test('numbers come back as they were written', () => {
  const out = Buffer.alloc(4);
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), (value) => {
      writeUint32(out, 0, value);
      expect([readUint32(out, 0), readInt31(out, 0)]).toEqual([value, value % 0x8000_0000]);
    }),
  );
});

describe('rules of frame heads', () => {
  const {
    data,
    headers,
    priority,
    rstStream,
    settings,
    pushPromise,
    ping,
    goaway,
    windowUpdate,
    continuation,
  } = frameType;

  test.each([
    ['DATA', data, 0, 0, 1],
    ['DATA with the longest payload', data, 0, maxFramePayload, 1],
    ['DATA with padding', data, frameFlag.padded, 1, 1],
    ['HEADERS', headers, 0, 0, 1],
    ['HEADERS with padding and priority', headers, frameFlag.padded | frameFlag.priority, 6, 1],
    ['PRIORITY of a wrong size, which concerns its stream', priority, 0, 4, 1],
    ['RST_STREAM', rstStream, 0, 4, 1],
    ['SETTINGS', settings, 0, 12, 0],
    ['SETTINGS with ACK', settings, frameFlag.ack, 0, 0],
    ['PING', ping, 0, 8, 0],
    ['GOAWAY with text', goaway, 0, 99, 0],
    ['WINDOW_UPDATE of the connection', windowUpdate, 0, 4, 0],
    ['WINDOW_UPDATE of a stream', windowUpdate, 0, 4, 1],
    ['CONTINUATION', continuation, 0, 0, 1],
    ['an unknown type', 77, 255, 3, 0],
  ])('accepted: %s', (_rule, type, flags, length, streamId) => {
    expect(frameFault(type, flags, length, streamId)).toBeUndefined();
  });

  const { protocolError, frameSizeError } = h2Code;
  test.each([
    ['any type above 16384', 77, 0, maxFramePayload + 1, 0, frameSizeError],
    ['DATA on stream 0', data, 0, 0, 0, protocolError],
    ['DATA without its padding length', data, frameFlag.padded, 0, 1, frameSizeError],
    ['HEADERS on stream 0', headers, 0, 0, 0, protocolError],
    ['HEADERS without its padding length', headers, frameFlag.padded, 0, 1, frameSizeError],
    ['HEADERS without its priority', headers, frameFlag.priority, 4, 1, frameSizeError],
    ['HEADERS without its padding length and priority', headers, 0x28, 5, 1, frameSizeError],
    ['PRIORITY on stream 0', priority, 0, 5, 0, protocolError],
    ['RST_STREAM on stream 0', rstStream, 0, 4, 0, protocolError],
    ['RST_STREAM of 5 bytes', rstStream, 0, 5, 1, frameSizeError],
    ['SETTINGS on a stream', settings, 0, 0, 1, protocolError],
    ['SETTINGS of 7 bytes', settings, 0, 7, 0, frameSizeError],
    ['SETTINGS with ACK and payload', settings, frameFlag.ack, 6, 0, frameSizeError],
    ['PUSH_PROMISE', pushPromise, 0, 4, 1, protocolError],
    ['PING on a stream', ping, 0, 8, 1, protocolError],
    ['PING of 9 bytes', ping, 0, 9, 0, frameSizeError],
    ['GOAWAY on a stream', goaway, 0, 8, 1, protocolError],
    ['GOAWAY of 7 bytes', goaway, 0, 7, 0, frameSizeError],
    ['WINDOW_UPDATE of 5 bytes', windowUpdate, 0, 5, 1, frameSizeError],
    ['CONTINUATION on stream 0', continuation, 0, 0, 0, protocolError],
  ])('refused: %s', (_rule, type, flags, length, streamId, code) => {
    expect(frameFault(type, flags, length, streamId)?.code).toBe(code);
  });
});
