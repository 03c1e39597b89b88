// What each rule of RFC 6455 and RFC 7692 makes of frames on their way through the proxy, in both directions: framing, pings, reserved bits and
// opcodes, fragments, UTF-8, close, limits and compression. Two raw peers speak; what passes, passes byte for byte, and what breaks a rule
// reaches nobody and ends the conversation with the code for it.
import type { InterceptHandler, StreamChunk } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { type RawPair, type RawPairs, startRawPairs } from '../lab/websocket-pair.ts';
import { clientFrame, Deflater, frame, type FrameFields, framesIn } from '../lab/websocket-wire.ts';

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const patience = { timeout: 10_000 };
const directions = ['client_to_server', 'server_to_client'] as const;
type Direction = (typeof directions)[number];

let proxy: LabProxy;
let pairs: RawPairs;
const chunks: StreamChunk[] = [];
const handler: InterceptHandler = { onStreamChunk: (chunk) => void chunks.push(chunk) };
beforeAll(async () => {
  // Looking for the process of each client would only take time.
  proxy = await startProxy({ handler, config: { processAttribution: { enabled: false } } });
  pairs = await startRawPairs();
});
afterAll(async () => {
  await pairs[Symbol.asyncDispose]();
  await proxy.finish();
  await proxy[Symbol.asyncDispose]();
});

interface Rule {
  readonly rule: string;
  readonly frames: readonly FrameFields[];
  /** Bytes of each write; all at once unless given. */
  readonly piece?: number;
  /** What both ends are closed with, and how many of the frames had passed before; everything passes unless given. */
  readonly refused?: { readonly with: number; readonly after: number };
}

/** A rule and a direction for each run of a test. */
function inBoth(rules: readonly Rule[]): readonly (readonly [string, Direction, Rule])[] {
  return directions.flatMap((direction) => rules.map((rule) => [rule.rule, direction, rule] as const));
}

function wire(direction: Direction, fields: FrameFields): Buffer {
  return direction === 'client_to_server' ? clientFrame(fields) : frame(fields);
}

function ends(pair: RawPair, direction: Direction) {
  return direction === 'client_to_server'
    ? { sender: pair.client, receiver: pair.server }
    : { sender: pair.server, receiver: pair.client };
}

const goodbye: FrameFields = { opcode: CLOSE, payload: closePayload(1000, 'bye') };

function closePayload(code: number, reason: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The messages in frames that are right, as a handler is shown them. */
function messagesOf(frames: readonly FrameFields[]): readonly string[] {
  const messages: string[] = [];
  let parts: Buffer[] = [];
  let kind = 'text';
  for (const { opcode = TEXT, isFinal = true, payload = '' } of frames) {
    if (opcode === CLOSE) messages.push(`close ${Buffer.from(payload).toString('hex')}`);
    if (opcode >= CLOSE) continue;
    if (opcode !== CONTINUATION) {
      parts = [];
      kind = opcode === TEXT ? 'text' : 'binary';
    }
    parts.push(Buffer.from(payload));
    if (!isFinal) continue;
    const whole = Buffer.concat(parts);
    const issue = kind === 'text' && !isUtf8(whole) ? ' invalid_utf8' : '';
    messages.push(`${kind} ${whole.toString('hex')}${issue}`);
  }
  return messages;
}

/** What the handler was shown of one direction, in the same form. */
function shown(direction: Direction): readonly string[] {
  return chunks
    .filter((chunk) => chunk.direction === direction)
    .map(({ frameKind, payload, facts }) => {
      const issue = 'issue' in facts && facts.issue !== undefined ? ` ${facts.issue}` : '';
      return `${frameKind.replace('websocket_', '')} ${Buffer.from(payload).toString('hex')}${issue}`;
    });
}

/** Sends the frames of a rule and checks what became of them, on the wire, for both ends and for the handler. */
function expectOutcome(direction: Direction, rule: Rule): Promise<void> {
  chunks.length = 0;
  return rule.refused === undefined
    ? expectPassed(direction, rule)
    : expectRefused(direction, rule, rule.refused);
}

async function expectPassed(direction: Direction, { frames, piece }: Rule): Promise<void> {
  await using pair = await pairs.open(proxy);
  const { sender, receiver } = ends(pair, direction);
  const all = frames.at(-1)?.opcode === CLOSE ? frames : [...frames, goodbye];
  const sent = Buffer.concat(all.map((fields) => wire(direction, fields)));
  await sender.send(sent, piece);
  expect((await receiver.bytes(sent.length)).equals(sent)).toBe(true);
  await expect.poll(() => shown(direction), patience).toEqual(messagesOf(all));
  expect(sender.received).toHaveLength(0);
}

async function expectRefused(
  direction: Direction,
  { frames, piece }: Rule,
  refused: NonNullable<Rule['refused']>,
): Promise<void> {
  await using pair = await pairs.open(proxy);
  const { sender, receiver } = ends(pair, direction);
  const passing = frames.slice(0, refused.after);
  await sender.send(Buffer.concat(frames.map((fields) => wire(direction, fields))), piece);
  const passed = Buffer.concat(passing.map((fields) => wire(direction, fields)));
  const atReceiver = await receiver.ended();
  expect(atReceiver.subarray(0, passed.length).equals(passed)).toBe(true);
  const told = { opcode: CLOSE, payload: closePayload(refused.with) };
  const isToServer = direction === 'client_to_server';
  expect(framesIn(atReceiver.subarray(passed.length))).toEqual([{ ...told, isMasked: isToServer }]);
  expect(framesIn(await sender.ended())).toEqual([{ ...told, isMasked: !isToServer }]);
  await expect.poll(() => shown(direction), patience).toEqual(messagesOf(passing));
}

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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));
});

describe('masks:', () => {
  const rules = directions.map((direction) => [direction] as const);
  test.each(rules)('the wrong one is refused, %s', async (direction) => {
    chunks.length = 0;
    await using pair = await pairs.open(proxy);
    const { sender, receiver } = ends(pair, direction);
    await sender.send(
      direction === 'client_to_server' ? frame({ payload: 'bad' }) : clientFrame({ payload: 'bad' }),
    );
    for (const end of [receiver, sender])
      expect(framesIn(await end.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(1002) }]);
    expect(chunks).toEqual([]);
  });

  test.each([0, 1, 0xffff_ffff, 0x8000_0000])('a client may use %i', async (maskKey) => {
    chunks.length = 0;
    await using pair = await pairs.open(proxy);
    const sent = Buffer.concat([frame({ maskKey, payload: 'masked' }), clientFrame(goodbye)]);
    await pair.client.send(sent);
    expect((await pair.server.bytes(sent.length)).equals(sent)).toBe(true);
    const expected = messagesOf([{ payload: 'masked' }, goodbye]);
    await expect.poll(() => shown('client_to_server'), patience).toEqual(expected);
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
    await using pair = await pairs.open(proxy);
    const { sender, receiver } = ends(pair, direction);
    const bytes = Buffer.concat([Buffer.from([0x82]), length, Buffer.alloc(4)]);
    if (direction === 'client_to_server') bytes[1] = (bytes[1] ?? 0) | 0x80;
    await sender.send(bytes);
    for (const end of [receiver, sender])
      expect(framesIn(await end.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(code) }]);
  });
});

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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));

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
    expectOutcome(direction, rule),
  );
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));

  test.each(directions)('is the last that passes, and the other side may answer, %s', async (direction) => {
    chunks.length = 0;
    await using pair = await pairs.open(proxy);
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
    await expect.poll(() => shown(other), patience).toEqual(messagesOf([{ payload: 'one more' }, goodbye]));
    expect(shown(direction)).toEqual(messagesOf([goodbye]));
  });
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
  test.each(inBoth(rules))('%s, %s', (_rule, direction, rule) => expectOutcome(direction, rule));

  test.each(directions)('1,000 messages of 64 bytes, %s', (direction) =>
    expectOutcome(direction, {
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
    chunks.length = 0;
    await using pair = await pairs.open(proxy, `permessage-deflate${parameters}`);
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
    await expect.poll(() => shown(direction), patience).toEqual(expected);
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
    await using pair = await pairs.open(proxy, 'permessage-deflate');
    const { sender, receiver } = ends(pair, direction);
    await sender.send(Buffer.concat(frames.map((fields) => wire(direction, fields))));
    const passed = await receiver.ended();
    expect(framesIn(passed)).toHaveLength(after + 1);
    expect(framesIn(passed).at(-1)).toMatchObject({ opcode: CLOSE, payload: closePayload(1002) });
    expect(framesIn(await sender.ended())).toMatchObject([{ opcode: CLOSE, payload: closePayload(1002) }]);
  });

  test.each(directions)('what is no DEFLATE passes, and is told to the handler, %s', async (direction) => {
    chunks.length = 0;
    await using pair = await pairs.open(proxy, 'permessage-deflate');
    const { sender, receiver } = ends(pair, direction);
    const bytes = wire(direction, { rsv: 4, payload: Buffer.from([0x06, 0xff, 0xff]) });
    await sender.send(bytes);
    expect((await receiver.bytes(bytes.length)).equals(bytes)).toBe(true);
    await expect.poll(() => shown(direction), patience).toEqual(['text  invalid_deflate']);
  });
});
