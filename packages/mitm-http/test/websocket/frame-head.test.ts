import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeFrameHead, FrameHead, headBytesAt, leastHeadBytes } from '../../src/websocket/frame-head.ts';

function headOf(...bytes: readonly number[]): FrameHead {
  return new FrameHead(Buffer.from(bytes), 0);
}

describe('reading', () => {
  test('WS-11 how much is needed is known step by step', () => {
    const bytes = Buffer.from([0x81, 0xff, 0, 0]);
    expect([0, 1, 2, 3].map((available) => headBytesAt(bytes, 0, available))).toEqual([2, 2, 14, 14]);
  });

  test.each([
    [0x05, 2],
    [0x85, 6],
    [0x7e, 4],
    [0xfe, 8],
    [0x7f, 10],
    [0xff, 14],
  ])('second byte %i: a head of %i bytes', (second, length) => {
    expect(headBytesAt(Buffer.from([0xff, 0x81, second]), 1, 2)).toBe(length);
  });

  test('WS-12 a reserved opcode is read', () => expect(headOf(0x83, 0).opcode).toBe(3));

  test('WS-13 reserved bits are read', () => expect(headOf(0xc1, 0)).toMatchObject({ rsv: 4, opcode: 1 }));

  test('WS-14 a fragmented control frame is read', () => {
    expect(headOf(0x09, 0)).toMatchObject({ isFinal: false, isControl: true });
  });

  test('WS-15 a control frame above 125 bytes is read', () => {
    expect(headOf(0x89, 126, 0, 126)).toMatchObject({ payloadBytes: 126, headBytes: 4, frameBytes: 130 });
  });

  test('a length of 64 bits', () => {
    expect(headOf(0x82, 127, 0, 0, 0, 1, 0, 0, 0, 2).payloadBytes).toBe(0x1_0000_0002);
  });

  test('the highest bit makes it no negative number', () => {
    expect(headOf(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0).payloadBytes).toBe(2 ** 63);
  });
});

describe('writing', () => {
  test('WS-17 what is written is read again, in as few bytes as can be', () => {
    const fields = fc.record({
      opcode: fc.integer({ min: 0, max: 15 }),
      isFinal: fc.boolean(),
      rsv: fc.integer({ min: 0, max: 7 }),
      payloadBytes: fc.oneof(
        fc.integer({ min: 0, max: 130 }),
        fc.integer({ min: 65_530, max: 65_540 }),
        fc.maxSafeNat(),
      ),
      maskKey: fc.option(fc.integer({ min: 0, max: 0xffff_ffff }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fields, fc.nat(3), ({ maskKey, ...rest }, lead) => {
        const bytes = Buffer.concat([Buffer.alloc(lead), encodeFrameHead({ ...rest, maskKey })]);
        const headBytes = bytes.length - lead;
        const isMasked = maskKey !== undefined;
        const head = new FrameHead(bytes, lead);
        expect(head).toEqual(
          expect.objectContaining({ ...rest, isMasked, maskKey: maskKey ?? 0, headBytes }),
        );
        expect(headBytesAt(bytes, lead, headBytes)).toBe(headBytes);
        expect(leastHeadBytes(rest.payloadBytes, isMasked)).toBe(headBytes);
      }),
    );
  });

  test('a frame is final and without reserved bits unless told otherwise', () => {
    expect(encodeFrameHead({ opcode: 1, payloadBytes: 0 })).toEqual(Buffer.from([0x81, 0]));
  });

  test.each([
    ['opcode', { opcode: 16, payloadBytes: 0 }],
    ['rsv', { opcode: 1, rsv: 8, payloadBytes: 0 }],
    ['payloadBytes', { opcode: 1, payloadBytes: -1 }],
    ['payloadBytes', { opcode: 1, payloadBytes: 2 ** 60 }],
    ['maskKey', { opcode: 1, payloadBytes: 0, maskKey: -1 }],
    ['maskKey', { opcode: 1, payloadBytes: 0, maskKey: 2 ** 32 }],
  ])('%s out of range is refused', (name, fields) => {
    expect(() => encodeFrameHead(fields)).toThrow(new RegExp(`^${name} is an integer`));
  });
});
