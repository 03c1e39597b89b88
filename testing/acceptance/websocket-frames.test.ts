// What RFC 6455 makes of single frames on their way through the proxy, in both directions: framing, pings, reserved bits and opcodes,
// masks, lengths and close. What passes, passes byte for byte, and what breaks a rule reaches nobody and ends the conversation with the code
// for it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  BINARY,
  CLOSE,
  closePayload,
  directions,
  ends,
  expectOutcome,
  type FrameLab,
  goodbye,
  inBoth,
  messagesOf,
  patience,
  PING,
  PONG,
  type Rule,
  startFrameLab,
  TEXT,
  wire,
} from '../lab/frame-outcomes.ts';
import { clientFrame, frame, type FrameFields, framesIn } from '../lab/websocket-wire.ts';

let lab: FrameLab;
beforeAll(async () => {
  lab = await startFrameLab();
});
afterAll(() => lab[Symbol.asyncDispose]());

const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537];

describe('framing: a message of', () => {
  const rules = [TEXT, BINARY].flatMap((opcode) =>
    lengths.flatMap((length): Rule[] => {
      const frames = [{ opcode, payload: Buffer.alloc(length, opcode === TEXT ? '*' : 0xfe) }];
      const rule = `${length} bytes of ${opcode === TEXT ? 'text' : 'data'}`;
      return [
        { rule, frames },
        ...(length === 65_536 ? [{ rule: `${rule} in pieces of 997`, frames, piece: 997 }] : []),
        ...(length < 130 ? [{ rule: `${rule} byte by byte`, frames, piece: 1 }] : []),
      ];
    }),
  );
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));
});

describe('pings and pongs:', () => {
  const all = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);
  const ten = Array.from({ length: 10 }, (_, index) => ({ opcode: PING, payload: `payload-${index}` }));
  const rules: Rule[] = [
    { rule: 'a ping without payload', frames: [{ opcode: PING }] },
    { rule: 'a ping with text', frames: [{ opcode: PING, payload: 'Hello, world!' }] },
    { rule: 'a ping with bytes', frames: [{ opcode: PING, payload: all }] },
    { rule: 'a ping of 125 bytes', frames: [{ opcode: PING, payload: Buffer.alloc(125, 0xfe) }] },
    {
      rule: 'a ping of 126 bytes is refused',
      frames: [{ payload: 'good' }, { opcode: PING, payload: Buffer.alloc(126, 0xfe) }],
      refused: { with: 1002, after: 1 },
    },
    { rule: 'a ping byte by byte', frames: [{ opcode: PING, payload: Buffer.alloc(125, 0xfe) }], piece: 1 },
    { rule: 'a pong that nobody asked for', frames: [{ opcode: PONG }] },
    {
      rule: 'a pong with payload, then a ping',
      frames: [{ opcode: PONG, payload: 'unasked' }, { opcode: PING }],
    },
    { rule: 'ten pings', frames: ten },
    { rule: 'ten pings byte by byte', frames: ten, piece: 1 },
  ];
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));
});

describe('reserved bits without an extension:', () => {
  const rules = [1, 2, 3, 4, 5, 6, 7].flatMap((rsv): Rule[] => [
    ...[TEXT, BINARY, PING, PONG].map((opcode) => ({
      rule: `RSV ${rsv} on opcode ${opcode} is refused`,
      frames: [{ payload: 'good' }, { opcode, rsv, payload: 'bad' }, { opcode: PING }],
      refused: { with: 1002, after: 1 },
    })),
    {
      rule: `RSV ${rsv} on a close frame is refused`,
      frames: [{ opcode: CLOSE, rsv, payload: closePayload(1000) }],
      refused: { with: 1002, after: 0 },
    },
  ]);
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));
});

describe('reserved opcodes:', () => {
  const rules = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Rule[] => [
    { rule: `${opcode} is refused`, frames: [{ opcode }], refused: { with: 1002, after: 0 } },
    {
      rule: `${opcode} with payload is refused behind a message, byte by byte`,
      frames: [{ payload: 'good' }, { opcode, payload: 'bad' }, { opcode: PING }],
      piece: 1,
      refused: { with: 1002, after: 1 },
    },
  ]);
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));
});

describe('masks:', () => {
  const rules = directions.map((direction) => [direction] as const);
  test.each(rules)('the wrong one is refused, %s', async (direction) => {
    await using pair = await lab.open();
    const { sender, receiver } = ends(pair, direction);
    await sender.send(
      direction === 'client_to_server' ? frame({ payload: 'bad' }) : clientFrame({ payload: 'bad' }),
    );
    for (const end of [receiver, sender])
      expect(framesIn(await end.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(1002) }]);
    expect(lab.chunks).toEqual([]);
  });

  test.each([0, 1, 0xffff_ffff, 0x8000_0000])('a client may use %i', async (maskKey) => {
    await using pair = await lab.open();
    const sent = Buffer.concat([frame({ maskKey, payload: 'masked' }), clientFrame(goodbye)]);
    await pair.client.send(sent);
    expect((await pair.server.bytes(sent.length)).equals(sent)).toBe(true);
    const expected = messagesOf([{ payload: 'masked' }, goodbye]);
    await expect.poll(() => lab.shown('client_to_server'), patience).toEqual(expected);
  });
});

describe('lengths:', () => {
  const rows = [
    ['125 bytes in 16 bits', Buffer.from([126, 0, 125]), 1002],
    ['nothing in 16 bits', Buffer.from([126, 0, 0]), 1002],
    ['65535 bytes in 64 bits', Buffer.from([127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), 1002],
    ['the highest of 64 bits set', Buffer.from([127, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1002],
    ['more than 2^53', Buffer.from([127, 0, 0x20, 0, 0, 0, 0, 0, 0]), 1009],
  ] as const;
  test.each(
    directions.flatMap((direction) => rows.map(([what, ...row]) => [what, direction, ...row] as const)),
  )('%s are refused, %s', async (_what, direction, length, code) => {
    await using pair = await lab.open();
    const { sender, receiver } = ends(pair, direction);
    const bytes = Buffer.concat([Buffer.from([0x82]), length, Buffer.alloc(4)]);
    if (direction === 'client_to_server') bytes[1] = (bytes[1] ?? 0) | 0x80;
    await sender.send(bytes);
    for (const end of [receiver, sender])
      expect(framesIn(await end.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(code) }]);
  });
});

function close(payload: string | Buffer): FrameFields {
  return { opcode: CLOSE, payload };
}

describe('the close frame:', () => {
  const goodCodes = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
  ];
  const badCodes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
  const refusing = (rule: string, payload: string | Buffer, code: number): Rule => ({
    rule: `${rule} is refused`,
    frames: [{ payload: 'good' }, close(payload)],
    refused: { with: code, after: 1 },
  });
  const rules: Rule[] = [
    { rule: 'without payload', frames: [close('')] },
    { rule: 'with a code', frames: [close(closePayload(1000))] },
    { rule: 'byte by byte', frames: [close(closePayload(1000, 'reason'))], piece: 1 },
    { rule: 'with a reason of 123 bytes', frames: [close(closePayload(1000, '*'.repeat(123)))] },
    { rule: 'with a reason of many characters', frames: [close(closePayload(1000, 'é😀'.repeat(20)))] },
    ...goodCodes.map((code) => ({ rule: `with ${code}`, frames: [close(closePayload(code, 'why'))] })),
    ...badCodes.map((code) => refusing(`with ${code}`, closePayload(code, 'why'), 1002)),
    refusing('of one byte', Buffer.of(3), 1002),
    refusing('with a reason of 124 bytes', closePayload(1000, '*'.repeat(124)), 1002),
    refusing(
      'with a reason that is no UTF-8',
      closePayload(1000, Buffer.from('cebae1bdb9eda080', 'hex')),
      1007,
    ),
    refusing('with a reason that is cut', closePayload(1000, Buffer.from('f09f98', 'hex')), 1007),
  ];
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));

  test.each(directions)('is the last that passes, and the other side may answer, %s', async (direction) => {
    await using pair = await lab.open();
    const { sender, receiver } = ends(pair, direction);
    const other = direction === 'client_to_server' ? 'server_to_client' : 'client_to_server';
    const bye = wire(direction, goodbye);
    await sender.send(
      Buffer.concat([bye, wire(direction, { payload: 'late' }), wire(direction, { opcode: PING })]),
    );
    expect((await receiver.bytes(bye.length)).equals(bye)).toBe(true);
    const answer = Buffer.concat([wire(other, { payload: 'one more' }), wire(other, goodbye)]);
    await receiver.send(answer);
    expect((await sender.bytes(answer.length)).equals(answer)).toBe(true);
    expect(receiver.received).toHaveLength(bye.length);
    await expect
      .poll(() => lab.shown(other), patience)
      .toEqual(messagesOf([{ payload: 'one more' }, goodbye]));
    expect(lab.shown(direction)).toEqual(messagesOf([goodbye]));
  });
});
