import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameReader } from '../../src/websocket/frame-reader.ts';
import { applyMask } from '../../src/websocket/mask.ts';
import { clientFrame, frame, fromClient, fromServer, Recorder, relay } from './wire.ts';

const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 60 });

const closePayload = Buffer.from([0x03, 0xe8, 0x6f, 0x6b]);

/** What there is to know of a relayed stream, however it was cut. */
function factsOf(bytes: Buffer, cut: readonly number[], rules = fromClient): unknown {
  const { reader, frames, passed } = relay(bytes, rules, cut);
  reader.end();
  const { fault, close } = reader;
  return {
    frames: frames.map(({ head, payload, isEnded }) => [
      head.opcode,
      head.isFinal,
      head.rsv,
      head.maskKey,
      head.frameBytes,
      payload.toString('hex'),
      isEnded,
    ]),
    passed: passed.toString('hex'),
    fault: fault && { code: fault.code, message: fault.message },
    close,
  };
}

describe('what goes through', () => {
  test('WS-08 fragments keep their heads and payloads', () => {
    const first = clientFrame({ opcode: 2, isFinal: false, payload: Buffer.alloc(8192, 1) });
    const last = clientFrame({ opcode: 0, payload: Buffer.alloc(6144, 2) });
    const { frames, passed, reader } = relay(Buffer.concat([first, last]), fromClient);
    expect(passed).toEqual(Buffer.concat([first, last]));
    expect(frames.map(({ head }) => [head.opcode, head.isFinal, head.payloadBytes])).toEqual([
      [2, false, 8192],
      [0, true, 6144],
    ]);
    expect(reader.fault).toBeUndefined();
  });

  test('WS-03 pings and pongs keep payload and mask', () => {
    const bytes = Buffer.concat([
      clientFrame({ opcode: 9, payload: 'a' }),
      clientFrame({ opcode: 10, payload: 'b' }),
    ]);
    const { frames, passed } = relay(bytes, fromClient);
    expect(passed).toEqual(bytes);
    expect(frames.map(({ head }) => [head.opcode, head.isMasked])).toEqual([
      [9, true],
      [10, true],
    ]);
  });

  test('payload is told of while it comes, without a copy', () => {
    const bytes = frame({ payload: 'hello' });
    const reader = new FrameReader(fromServer);
    const seen: unknown[] = [];
    const sink = new Recorder();
    sink.framePayload = (piece, start, end) => void seen.push([piece.buffer === bytes.buffer, end - start]);
    expect(reader.push(bytes.subarray(0, 4), sink)).toBe(4);
    expect(reader.isBetweenFrames).toBe(false);
    expect(reader.push(bytes.subarray(4), sink)).toBe(3);
    expect(reader.isBetweenFrames).toBe(true);
    expect(seen).toEqual([
      [true, 2],
      [true, 3],
    ]);
  });

  test('a head that is cut is held back until it is whole', () => {
    const bytes = clientFrame({ payload: 'hello' });
    const reader = new FrameReader(fromClient);
    const sink = new Recorder();
    expect(reader.push(bytes.subarray(0, 5), sink)).toBe(0);
    const { held } = reader;
    expect(held).toEqual(bytes.subarray(0, 5));
    expect(reader.push(bytes.subarray(5, 7), sink)).toBe(2);
    expect(reader.held).toHaveLength(0);
    // A second frame that is cut must not overwrite what a socket may still be writing.
    reader.push(Buffer.concat([bytes.subarray(7), Buffer.from([0xff])]), sink);
    expect(held).toEqual(bytes.subarray(0, 5));
  });

  test('an empty chunk is nothing', () => {
    expect(new FrameReader(fromServer).push(Buffer.alloc(0), new Recorder())).toBe(0);
  });
});

describe('a close frame', () => {
  test('is passed on whole, and nothing behind it', () => {
    const close = clientFrame({ opcode: 8, payload: closePayload });
    const { reader, passed, frames } = relay(
      Buffer.concat([close, clientFrame({ payload: 'late' })]),
      fromClient,
    );
    expect(passed).toEqual(close);
    expect(frames).toHaveLength(1);
    expect(reader.close).toEqual({ code: 1000, reason: 'ok' });
    expect(reader.push(clientFrame(), new Recorder())).toBe(0);
    reader.end();
    expect(reader.fault).toBeUndefined();
  });

  test('may be empty', () => {
    const { reader } = relay(frame({ opcode: 8 }), fromServer, [1]);
    expect(reader.close).toEqual({ code: 1005, reason: '' });
  });

  test('that is wrong is not passed on, not even in part', () => {
    const wrong = clientFrame({ opcode: 8, payload: Buffer.from([0x03, 0xec]) });
    const good = clientFrame({ payload: 'good' });
    for (const cut of [[], [good.length + 1], [good.length + 7]]) {
      const { reader, passed, frames } = relay(Buffer.concat([good, wrong]), fromClient, cut);
      expect(passed).toEqual(good);
      expect(frames).toHaveLength(1);
      expect(reader.fault).toMatchObject({ code: 'invalid_close_code', closeCode: 1002 });
      expect(reader.isBetweenFrames).toBe(true);
    }
  });
});

describe('a frame that breaks a rule', () => {
  test.each([
    ['WS-05 an unmasked frame of a client', frame({ payload: 'x' }), 'client_frame_unmasked'],
    ['WS-06 a fragmented ping', clientFrame({ opcode: 9, isFinal: false }), 'fragmented_control_frame'],
    ['WS-07 opcode 3', clientFrame({ opcode: 3 }), 'reserved_opcode'],
    ['a second message inside the first', clientFrame({ opcode: 2 }), 'interrupted_message'],
  ])('%s never reaches the other side', (_rule, wrong, code) => {
    const good = Buffer.concat([clientFrame({ payload: 'a', isFinal: false }), clientFrame({ opcode: 9 })]);
    const bytes = Buffer.concat([good, wrong, clientFrame()]);
    for (const cut of [[], [good.length], [good.length + 1]]) {
      const { reader, passed, frames } = relay(bytes, fromClient, cut);
      expect(passed).toEqual(good);
      expect(frames).toHaveLength(2);
      expect(reader.fault?.code).toBe(code);
      expect(reader.push(clientFrame(), new Recorder())).toBe(0);
    }
  });

  test('an open message is remembered across control frames, and ends', () => {
    const bytes = Buffer.concat([
      frame({ isFinal: false }),
      frame({ opcode: 9 }),
      frame({ opcode: 0 }),
      frame({ opcode: 0 }),
    ]);
    const { reader, frames } = relay(bytes, fromServer);
    expect(frames).toHaveLength(3);
    expect(reader.fault?.code).toBe('unexpected_continuation');
  });
});

describe('the end of a stream', () => {
  test.each([
    ['inside a head', 3],
    ['inside a payload', 8],
  ])('%s is a fault', (_where, length) => {
    const { reader } = relay(clientFrame({ payload: 'hello' }).subarray(0, length), fromClient);
    reader.end();
    expect(reader.fault).toMatchObject({ code: 'truncated_frame', closeCode: 1006 });
  });

  test('between frames is none', () => {
    const { reader } = relay(clientFrame({ isFinal: false }), fromClient);
    reader.end();
    expect(reader.fault).toBeUndefined();
  });

  test('does not hide an earlier fault', () => {
    const { reader } = relay(frame(), fromClient);
    reader.end();
    expect(reader.fault?.code).toBe('client_frame_unmasked');
  });
});

describe('laws', () => {
  const anyFrame = fc.record({
    opcode: fc.constantFrom(1, 2, 0, 9, 10, 8, 3),
    isFinal: fc.boolean(),
    rsv: fc.constantFrom(0, 0, 0, 4),
    payload: fc.uint8Array({ maxLength: 140 }).map((bytes) => Buffer.from(bytes)),
    maskKey: fc.option(fc.integer({ min: 0, max: 0xffff_ffff }), { nil: undefined, freq: 20 }),
  });

  test('any split gives the same frames, the same fault, and passes on the same bytes', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 8 }), sizes, (fields, cut) => {
        const bytes = Buffer.concat(fields.map((field) => frame(field)));
        expect(factsOf(bytes, cut)).toEqual(factsOf(bytes, []));
      }),
    );
  });

  test('what is right goes through unchanged, and unmasks to what was sent', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 });
    fc.assert(
      fc.property(payloads, sizes, (sent, cut) => {
        const bytes = Buffer.concat(
          sent.map((payload) => clientFrame({ opcode: 2, payload: Buffer.from(payload) })),
        );
        const { frames, passed } = relay(bytes, fromClient, cut);
        expect(passed.equals(bytes)).toBe(true);
        for (const { head, payload } of frames) applyMask(payload, 0, payload.length, head.maskKey, 0);
        expect(frames.map(({ payload }) => [...payload])).toEqual(sent.map((payload) => [...payload]));
      }),
    );
  });

  test('garbage is read to its end or to a fault, with little held back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), sizes, fc.boolean(), (garbage, cut, isMasked) => {
        const bytes = Buffer.from(garbage);
        const { reader, passed } = relay(bytes, isMasked ? fromClient : fromServer, cut);
        expect(reader.held.length).toBeLessThanOrEqual(139);
        expect(bytes.subarray(0, passed.length).equals(passed)).toBe(true);
        const isOver = reader.fault !== undefined || reader.close !== undefined;
        const readBytes = isOver ? bytes.length : passed.length + reader.held.length;
        expect(readBytes).toBe(bytes.length);
      }),
    );
  });
});
