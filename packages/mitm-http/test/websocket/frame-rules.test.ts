import { describe, expect, test } from 'vitest';

import { FrameHead } from '../../src/websocket/frame-head.ts';
import { frameFault } from '../../src/websocket/frame-rules.ts';
import type { FrameRules } from '../../src/websocket/frame-rules.ts';
import { clientFrame, frame, fromClient, fromServer } from './wire.ts';

const deflate: FrameRules = { ...fromServer, hasDeflate: true };
const unknown: FrameRules = { ...fromServer, hasUnknownExtension: true };

function long(...length: readonly number[]): Buffer {
  return Buffer.from([0x82, 127, ...length]);
}

function faultOf(bytes: Buffer, rules: FrameRules = fromServer, isInMessage = false): unknown {
  return frameFault(new FrameHead(bytes, 0), rules, isInMessage);
}

describe('accepted', () => {
  test.each([
    ['WS-29 a text frame', frame(), fromServer, false],
    ['WS-29 the first of a message', frame({ isFinal: false }), fromServer, false],
    ['WS-29 a frame that continues it', frame({ opcode: 0, isFinal: false }), fromServer, true],
    ['WS-29 its last frame', frame({ opcode: 0 }), fromServer, true],
    ['WS-29 a ping', frame({ opcode: 9 }), fromServer, false],
    ['a ping inside a message', frame({ opcode: 9 }), fromServer, true],
    ['a ping of 125 bytes', frame({ opcode: 9, payload: Buffer.alloc(125) }), fromServer, false],
    ['WS-21 a masked frame of the client', clientFrame(), fromClient, false],
    ['RSV1 on a message with permessage-deflate', frame({ rsv: 4 }), deflate, false],
    ['a message without it all the same', frame(), deflate, false],
    ['reserved bits with an unknown extension', frame({ rsv: 7, opcode: 0 }), unknown, true],
    ['reserved opcodes with an unknown extension', frame({ opcode: 0xb }), unknown, false],
    ['126 bytes', frame({ payload: Buffer.alloc(126) }), fromServer, false],
    ['65536 bytes', frame({ payload: Buffer.alloc(65_536) }), fromServer, false],
    ['as long as the limit', frame({ payload: 'four' }), { ...fromServer, maxFrameBytes: 4 }, false],
  ] as const)('%s', (_rule, bytes, rules, isInMessage) => {
    expect(faultOf(bytes, rules, isInMessage)).toBeUndefined();
  });
});

describe('refused', () => {
  test.each([
    ['WS-19 a frame of the client is masked', frame(), fromClient, false, 'client_frame_unmasked'],
    ['WS-20 a frame of the server is not', clientFrame(), fromServer, false, 'server_frame_masked'],
    [
      'WS-27 no control frame is fragmented',
      frame({ opcode: 9, isFinal: false }),
      fromServer,
      false,
      'fragmented_control_frame',
    ],
    [
      'a control frame has 125 bytes',
      frame({ opcode: 8, payload: Buffer.alloc(126) }),
      fromServer,
      false,
      'control_frame_too_large',
    ],
    ['RSV1 needs permessage-deflate', frame({ rsv: 4 }), fromServer, false, 'reserved_bits'],
    ['RSV2 is nobody’s', frame({ rsv: 2 }), deflate, false, 'reserved_bits'],
    ['RSV3 is nobody’s', frame({ rsv: 5 }), deflate, false, 'reserved_bits'],
    ['RSV1 is for the first frame', frame({ rsv: 4, opcode: 0 }), deflate, true, 'reserved_bits'],
    ['RSV1 is not for control frames', frame({ rsv: 4, opcode: 9 }), deflate, false, 'reserved_bits'],
    ['a message must have begun', frame({ opcode: 0 }), fromServer, false, 'unexpected_continuation'],
    ['a message must have ended', frame({ opcode: 2 }), fromServer, true, 'interrupted_message'],
    [
      'control rules hold with an unknown extension',
      frame({ opcode: 0xb, isFinal: false }),
      unknown,
      false,
      'fragmented_control_frame',
    ],
    ['125 bytes need no 16 bits', Buffer.from([0x82, 126, 0, 125]), fromServer, false, 'non_minimal_length'],
    [
      '65535 bytes need no 64 bits',
      long(0, 0, 0, 0, 0, 0, 0xff, 0xff),
      fromServer,
      false,
      'non_minimal_length',
    ],
    ['nothing needs no 64 bits', long(0, 0, 0, 0, 0, 0, 0, 0), fromServer, false, 'non_minimal_length'],
    [
      'the highest of 64 bits is 0',
      long(0x80, 0, 0, 0, 0, 0, 0, 0),
      fromServer,
      false,
      'payload_length_overflow',
    ],
    ['a length is an exact number', long(0x7f, 0, 0, 0, 0, 0, 0, 0), fromServer, false, 'payload_too_large'],
    [
      'WS-16 a frame has its limit',
      frame({ payload: 'fives' }),
      { ...fromServer, maxFrameBytes: 4 },
      false,
      'payload_too_large',
    ],
  ] as const)('%s', (_rule, bytes, rules, isInMessage, code) => {
    const closeCode = code === 'payload_too_large' ? 1009 : 1002;
    expect(faultOf(bytes, rules, isInMessage)).toMatchObject({ code, closeCode });
  });

  test.each([3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf])('WS-28 opcode %i is reserved', (opcode) => {
    const detail = `websocket_codec:reserved_opcode:0x${opcode.toString(16)}`;
    expect(faultOf(frame({ opcode }))).toMatchObject({ code: 'reserved_opcode', detail });
  });

  test('WS-09 the detail of a frame above the limit has both numbers', () => {
    expect(
      faultOf(frame({ payload: Buffer.alloc(256) }), { ...fromServer, maxFrameBytes: 128 }),
    ).toMatchObject({
      detail: 'websocket_codec:decode_header:payload_too_large:256:128',
    });
  });
});
