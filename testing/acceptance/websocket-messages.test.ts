// What RFC 6455 and RFC 7692 make of messages on their way through the proxy, in both directions: fragments, UTF-8, limits and
// compression. What passes, passes byte for byte, and the handler is shown what it was.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  BINARY,
  CLOSE,
  closePayload,
  CONTINUATION,
  directions,
  ends,
  expectOutcome,
  type FrameLab,
  goodbye,
  inBoth,
  patience,
  PING,
  PONG,
  type Rule,
  startFrameLab,
  TEXT,
  wire,
} from '../lab/frame-outcomes.ts';
import { Deflater, type FrameFields, framesIn } from '../lab/websocket-wire.ts';

let lab: FrameLab;
beforeAll(async () => {
  lab = await startFrameLab();
});
afterAll(() => lab[Symbol.asyncDispose]());

describe('fragments:', () => {
  const first = { payload: 'one ', isFinal: false };
  const middle = { opcode: CONTINUATION, payload: 'two ', isFinal: false };
  const last = { opcode: CONTINUATION, payload: 'three' };
  const ping = { opcode: PING, payload: 'ping' };
  const rules: Rule[] = [
    {
      rule: 'a ping in two is refused',
      frames: [
        { ...ping, isFinal: false },
        { opcode: CONTINUATION, payload: 'more' },
      ],
      refused: { with: 1002, after: 0 },
    },
    {
      rule: 'a pong in two is refused',
      frames: [{ payload: 'good' }, { opcode: PONG, isFinal: false }],
      refused: { with: 1002, after: 1 },
    },
    {
      rule: 'a close frame in two is refused',
      frames: [{ opcode: CLOSE, isFinal: false, payload: closePayload(1000) }],
      refused: { with: 1002, after: 0 },
    },
    { rule: 'a text in two', frames: [first, last] },
    { rule: 'a text in three byte by byte', frames: [first, middle, last], piece: 1 },
    { rule: 'a ping between them', frames: [first, ping, last] },
    {
      rule: 'pings and pongs between all of them',
      frames: [first, ping, middle, { opcode: PONG }, ping, last],
    },
    { rule: 'the same byte by byte', frames: [first, ping, middle, { opcode: PONG }, ping, last], piece: 1 },
    {
      rule: 'empty ones',
      frames: [{ isFinal: false }, { opcode: CONTINUATION, isFinal: false }, { opcode: CONTINUATION }],
    },
    { rule: 'all empty but the middle', frames: [{ isFinal: false }, middle, { opcode: CONTINUATION }] },
    { rule: 'of data', frames: [{ ...first, opcode: BINARY }, middle, last] },
    {
      rule: 'a continuation of nothing is refused, if final',
      frames: [last, { payload: 'next' }],
      refused: { with: 1002, after: 0 },
    },
    {
      rule: 'a continuation of nothing is refused, if not',
      frames: [middle, { payload: 'next' }],
      refused: { with: 1002, after: 0 },
    },
    {
      rule: 'a continuation behind the last is refused',
      frames: [first, last, last],
      refused: { with: 1002, after: 2 },
    },
    {
      rule: 'a second message inside the first is refused',
      frames: [first, { payload: 'second' }],
      refused: { with: 1002, after: 1 },
    },
    {
      rule: 'and so is one of data',
      frames: [first, ping, { opcode: BINARY, payload: 'second' }],
      piece: 1,
      refused: { with: 1002, after: 2 },
    },
    { rule: 'a close frame inside a message', frames: [first, goodbye] },
    {
      rule: 'one message behind the other',
      frames: [first, last, { ...first, opcode: BINARY }, middle, last, { payload: 'whole' }],
    },
  ];
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));
});

describe('UTF-8, which passes whatever it is, and is judged for the handler:', () => {
  const texts: readonly (readonly [string, string])[] = [
    ['ASCII', '48656c6c6f'],
    ['two, three and four bytes', 'ceba e1bdb9 f09f9880'],
    ['the first of each length', '00 c280 e0a080 f0908080'],
    ['the last of each length', '7f dfbf efbfbf f48fbfbf'],
    ['what stands around surrogates', 'ed9fbf ee8080 efbfbd'],
    ['a byte order mark', 'efbbbf 41'],
    ['no characters', 'efbfbe efbfbf'],
    ['beyond the last', 'f4908080'],
    ['five bytes', 'f888808080'],
    ['six bytes', 'fc8480808080'],
    ['a continuation alone', '80'],
    ['seven continuations', '80bf80bf80bf80'],
    ['a lead before a space', 'c020 e020 f020'],
    ['a lead alone at the end', '41 c3'],
    ['three of four bytes', 'f09f98'],
    ['bytes that never are', 'fe ff'],
    ['an overlong slash', 'c0af'],
    ['an overlong slash in three', 'e080af'],
    ['an overlong slash in four', 'f08080af'],
    ['an overlong zero', 'c080'],
    ['a surrogate', 'eda080'],
    ['a pair of surrogates', 'eda080 edb080'],
    ['a good beginning', 'cebae1bdb9cf83cebcceb5 eda080 656469746564'],
  ];
  const rules = texts.flatMap(([what, hex]): Rule[] => {
    const payload = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    return [
      { rule: what, frames: [{ payload }] },
      { rule: `${what}, byte by byte`, frames: [{ payload }], piece: 1 },
    ];
  });
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));

  const splitRules = texts.map(([what, hex]): Rule => {
    const payload = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    // A message for each place where it can be cut in two, and one in single bytes with pings between them.
    const halves = Array.from({ length: payload.length + 1 }, (_, at): FrameFields[] => [
      { payload: payload.subarray(0, at), isFinal: false },
      { opcode: CONTINUATION, payload: payload.subarray(at) },
    ]);
    const bytes = Array.from(payload, (_, at): FrameFields[] => [
      {
        opcode: at === 0 ? TEXT : CONTINUATION,
        payload: payload.subarray(at, at + 1),
        isFinal: at === payload.length - 1,
      },
      { opcode: PING, payload: String(at) },
    ]);
    return { rule: what, frames: [...halves, ...bytes].flat() };
  });
  test.each(inBoth(splitRules))('%s, cut at every byte into fragments, %s', (_rule, direction, rule) =>
    expectOutcome(lab, direction, rule),
  );
});

/** A message in so many fragments of so many bytes. */
function fragments(opcode: number, count: number, bytes: number): FrameFields[] {
  return Array.from({ length: count }, (_, index) => ({
    opcode: index === 0 ? opcode : CONTINUATION,
    payload: Buffer.alloc(bytes, '*'),
    isFinal: index === count - 1,
  }));
}

describe('limits: a message of', () => {
  const mebibyte = 1024 * 1024;
  const rules: Rule[] = [
    { rule: '4 MiB of text', frames: fragments(TEXT, 1, 4 * mebibyte) },
    { rule: '4 MiB of data in pieces of 64 KiB', frames: fragments(BINARY, 1, 4 * mebibyte), piece: 65_536 },
    { rule: '1 MiB in 16384 fragments', frames: fragments(BINARY, 16_384, 64) },
    { rule: '1 MiB in four fragments', frames: fragments(TEXT, 4, mebibyte / 4) },
  ];
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(lab, direction, rule));

  test.each(directions)('1,000 messages of 64 bytes, %s', (direction) =>
    expectOutcome(lab, direction, {
      rule: '',
      frames: Array.from({ length: 1_000 }, () => ({ payload: Buffer.alloc(64, 'x') })),
    }),
  );
});

describe('permessage-deflate:', () => {
  const text = 'the same thing, ';
  const sizes = [0, 16, 64, 1_000, 16_384, 131_072];

  test.each(
    directions.flatMap((direction) =>
      [
        '',
        '; server_no_context_takeover; client_no_context_takeover',
        '; server_max_window_bits=9; client_max_window_bits=9',
      ].map((parameters) => [parameters, direction] as const),
    ),
  )('messages of all sizes, whole and in fragments%s, %s', async (parameters, direction) => {
    await using pair = await lab.open(`permessage-deflate${parameters}`);
    const { sender, receiver } = ends(pair, direction);
    const deflater = new Deflater(!parameters.includes('takeover'), parameters.includes('bits') ? 9 : 15);
    const sent: Buffer[] = [];
    const expected: string[] = [];
    for (const [index, size] of sizes.entries()) {
      const message = Buffer.from(`${index} ${text.repeat(Math.ceil(size / text.length))}`.slice(0, size));
      const body = await deflater.deflate(message);
      const half = Math.floor(body.length / 2);
      sent.push(
        wire(direction, { rsv: 4, payload: body.subarray(0, half), isFinal: false }),
        wire(direction, { opcode: PING, payload: 'between' }),
        wire(direction, { opcode: CONTINUATION, payload: body.subarray(half) }),
        wire(direction, { payload: 'not compressed' }),
      );
      expected.push(
        `text ${message.toString('hex')}`,
        `text ${Buffer.from('not compressed').toString('hex')}`,
      );
    }
    const bytes = Buffer.concat(sent);
    await sender.send(bytes, 4_093);
    expect((await receiver.bytes(bytes.length)).equals(bytes)).toBe(true);
    await expect.poll(() => lab.shown(direction), patience).toEqual(expected);
  });

  test.each(
    directions.flatMap((direction) =>
      (
        [
          [
            'RSV1 on a continuation',
            [
              { rsv: 4, payload: 'x', isFinal: false },
              { opcode: CONTINUATION, rsv: 4 },
            ],
            1,
          ],
          ['RSV1 on a ping', [{ opcode: PING, rsv: 4 }], 0],
          ['RSV2', [{ rsv: 2 }], 0],
          ['RSV1 and RSV3', [{ rsv: 5 }], 0],
        ] as const
      ).map(([what, ...row]) => [what, direction, ...row] as const),
    ),
  )('%s is refused, %s', async (_what, direction, frames, after) => {
    await using pair = await lab.open('permessage-deflate');
    const { sender, receiver } = ends(pair, direction);
    await sender.send(Buffer.concat(frames.map((fields) => wire(direction, fields))));
    const passed = await receiver.ended();
    expect(framesIn(passed)).toHaveLength(after + 1);
    expect(framesIn(passed).at(-1)).toMatchObject({ opcode: CLOSE, payload: closePayload(1002) });
    expect(framesIn(await sender.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(1002) }]);
  });

  test.each(directions)('what is no DEFLATE passes, and is told to the handler, %s', async (direction) => {
    await using pair = await lab.open('permessage-deflate');
    const { sender, receiver } = ends(pair, direction);
    const bytes = wire(direction, { rsv: 4, payload: Buffer.from([0x06, 0xff, 0xff]) });
    await sender.send(bytes);
    expect((await receiver.bytes(bytes.length)).equals(bytes)).toBe(true);
    await expect.poll(() => lab.shown(direction), patience).toEqual(['text  invalid_deflate']);
  });
});
