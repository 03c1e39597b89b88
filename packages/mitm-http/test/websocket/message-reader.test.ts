import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameHead } from '../../src/websocket/frame-head.ts';
import { FrameReader } from '../../src/websocket/frame-reader.ts';
import type { FrameRules } from '../../src/websocket/frame-rules.ts';
import { MessageReader } from '../../src/websocket/message-reader.ts';
import { clientFrame, Deflater, frame, fromClient, fromServer, messagesIn } from './wire.ts';
import type { FrameFields } from './wire.ts';

const deflateRules: FrameRules = { ...fromClient, hasDeflate: true };
const deflate = { hasContextTakeover: true, windowBits: 15 };

/** A message cut into frames after these many bytes, with what stands between the frames. */
function fragments(payload: Buffer, cuts: readonly number[], fields: FrameFields, between?: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const [index, cut] of [...cuts, payload.length].entries()) {
    const piece = payload.subarray(at, Math.max(at, cut));
    at = Math.max(at, cut);
    const isFirst = index === 0;
    const rsv = isFirst ? (fields.rsv ?? 0) : 0;
    const kind = isFirst ? (fields.opcode ?? 1) : 0;
    if (between !== undefined && !isFirst) parts.push(between);
    parts.push(clientFrame({ ...fields, rsv, opcode: kind, isFinal: index === cuts.length, payload: piece }));
  }
  return Buffer.concat(parts);
}

describe('messages', () => {
  test('text and binary, each with what is known of it', () => {
    const bytes = Buffer.concat([
      frame({ payload: 'hello' }),
      frame({ opcode: 2, payload: Buffer.from([0xff]) }),
    ]);
    const common = { isCompressed: false, frameCount: 1, issue: undefined };
    expect(messagesIn(bytes, fromServer)).toEqual([
      { text: 'hello', kind: 'websocket_text', wireBytes: 5, messageBytes: 5, ...common },
      { text: '\u00ff', kind: 'websocket_binary', wireBytes: 1, messageBytes: 1, ...common },
    ]);
  });

  test('empty ones are messages too', () => {
    const bytes = Buffer.concat([
      clientFrame(),
      clientFrame({ opcode: 2, isFinal: false }),
      clientFrame({ opcode: 0 }),
    ]);
    expect(messagesIn(bytes, fromClient)).toMatchObject([
      { text: '', kind: 'websocket_text', frameCount: 1 },
      { text: '', kind: 'websocket_binary', frameCount: 2 },
    ]);
  });

  test('fragments are joined, whatever control frames stand between them', () => {
    const bytes = fragments(
      Buffer.from('one two three'),
      [3, 3, 7],
      {},
      clientFrame({ opcode: 9, payload: 'ping' }),
    );
    expect(messagesIn(bytes, fromClient)).toMatchObject([
      { text: 'one two three', frameCount: 4, wireBytes: 13 },
    ]);
  });

  test('one that is whole in its chunk is not copied', () => {
    const bytes = frame({ payload: 'hello' });
    const sink = new MessageReader({ maxBytes: 5 }, (payload) => expect(payload.buffer).toBe(bytes.buffer));
    new FrameReader(fromServer).push(bytes, sink);
    expect.assertions(1);
  });

  test('what is relayed keeps its mask', () => {
    const bytes = clientFrame({ payload: 'a message of some forty bytes, masked as a whole' });
    const before = Buffer.from(bytes);
    expect(messagesIn(bytes, fromClient)).toMatchObject([{ issue: undefined }]);
    expect(bytes).toEqual(before);
  });

  test('a close frame inside a message: the message never comes', () => {
    const close = clientFrame({ opcode: 8, payload: Buffer.from([0x0f, 0xa0, 0x62, 0x79, 0x65]) });
    const bytes = Buffer.concat([clientFrame({ isFinal: false, payload: 'half' }), close]);
    expect(messagesIn(bytes, fromClient, {}, [3, 9, 4, 1])).toEqual([
      { text: '\u000f\u00a0bye', kind: 'websocket_close', code: 4000, reason: 'bye' },
    ]);
  });

  test('a close frame may be empty', () => {
    expect(messagesIn(frame({ opcode: 8 }), fromServer)).toEqual([
      { text: '', kind: 'websocket_close', code: 1005, reason: '' },
    ]);
  });
});

describe('what can’t be read', () => {
  test('text that is not UTF-8 is handed out as it came', () => {
    const payload = Buffer.from([0x61, 0xc3]);
    expect(messagesIn(frame({ payload }), fromServer)).toMatchObject([
      { text: 'a\u00c3', issue: 'invalid_utf8' },
    ]);
    expect(messagesIn(frame({ payload, opcode: 2 }), fromServer)).toMatchObject([{ issue: undefined }]);
  });

  test('a character may be cut between two fragments', () => {
    const bytes = fragments(Buffer.from('é'), [1], {});
    expect(messagesIn(bytes, fromClient)).toMatchObject([{ issue: undefined }]);
  });

  test('a message above the limit is cut, and the next one is whole', () => {
    const bytes = Buffer.concat([
      fragments(Buffer.from('éééé'), [3, 5], {}),
      clientFrame({ payload: 'next' }),
    ]);
    expect(messagesIn(bytes, fromClient, { maxBytes: 5 })).toMatchObject([
      {
        text: '\u00c3\u00a9\u00c3\u00a9\u00c3',
        wireBytes: 8,
        messageBytes: 8,
        frameCount: 3,
        issue: 'too_large',
      },
      { text: 'next', issue: undefined },
    ]);
    expect(messagesIn(frame({ payload: 'five!' }), fromServer, { maxBytes: 4 })).toMatchObject([
      { text: 'five', messageBytes: 5, issue: 'too_large' },
    ]);
  });

  test('an unknown extension may have done anything to a message', () => {
    const rules: FrameRules = { ...fromServer, hasUnknownExtension: true };
    const bytes = frame({ rsv: 5, payload: Buffer.from([0xff]) });
    expect(messagesIn(bytes, rules, { hasUnknownExtension: true, deflate })).toMatchObject([
      { text: '\u00ff', isCompressed: false, issue: 'unknown_extension' },
    ]);
  });

  test.each([0, -1, 1.5])('a limit of %d is refused', (maxBytes) => {
    expect(() => new MessageReader({ maxBytes }, () => undefined)).toThrow(RangeError);
  });
});

describe('without a frame reader before it', () => {
  test('payloads and ends that no head announced are nothing', () => {
    const kinds: string[] = [];
    const sink = new MessageReader({ maxBytes: 9 }, (_payload, { kind }) => void kinds.push(kind));
    sink.framePayload(Buffer.from('lost'), 0, 4);
    sink.frameEnd();
    expect(kinds).toEqual([]);
  });

  test('a close frame that is wrong is not told of', () => {
    const kinds: string[] = [];
    const sink = new MessageReader({ maxBytes: 9 }, (_payload, { kind }) => void kinds.push(kind));
    for (const payload of [Buffer.from([1]), Buffer.from([3, 232])]) {
      const bytes = frame({ opcode: 8, payload });
      sink.frameHead(new FrameHead(bytes, 0));
      sink.framePayload(bytes, 2, bytes.length);
      sink.frameEnd();
    }
    expect(kinds).toEqual(['websocket_close']);
  });
});

describe('permessage-deflate', () => {
  test.each([true, false])(
    'context takeover %s, plain messages and pings in between',
    async (hasContextTakeover) => {
      const peer = new Deflater(hasContextTakeover);
      const texts = ['one and the same', 'one and the same', '', 'one and the same again'];
      const parts: Buffer[] = [];
      for (const text of texts) {
        parts.push(
          fragments(await peer.deflate(text), [1, 4], { rsv: 4 }, clientFrame({ opcode: 9, payload: 'p' })),
        );
        parts.push(clientFrame({ payload: `plain ${text}` }));
      }
      const options = { deflate: { hasContextTakeover, windowBits: 15 } };
      const messages = messagesIn(Buffer.concat(parts), deflateRules, options);
      expect(messages.map(({ text, isCompressed, issue }) => [text, isCompressed, issue])).toEqual(
        texts.flatMap((text) => [
          [text, true, undefined],
          [`plain ${text}`, false, undefined],
        ]),
      );
    },
  );

  test('one that is too large does not put the next out of step', async () => {
    const peer = new Deflater();
    const long = 'abcdefghij'.repeat(5000);
    const parts = [
      clientFrame({ rsv: 4, payload: await peer.deflate(long) }),
      clientFrame({ rsv: 4, payload: await peer.deflate('abcdefghij') }),
    ];
    expect(messagesIn(Buffer.concat(parts), deflateRules, { deflate, maxBytes: 12 })).toMatchObject([
      { text: 'abcdefghijab', messageBytes: 50_000, issue: 'too_large' },
      { text: 'abcdefghij', messageBytes: 10, issue: undefined },
    ]);
  });

  test('one that is too large even compressed is dropped, and what refers to it is told as lost', async () => {
    const peer = new Deflater();
    const noise = Buffer.alloc(1_200_000);
    for (let i = 0, state = 1; i < noise.length; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      noise[i] = state >>> 24;
    }
    const first = await peer.deflate(noise);
    const parts = [
      clientFrame({ rsv: 4, opcode: 2, payload: first }),
      clientFrame({ rsv: 4, opcode: 2, payload: await peer.deflate(noise.subarray(-500)) }),
      clientFrame({ rsv: 4, payload: await new Deflater().deflate('anew') }),
    ];
    expect(messagesIn(Buffer.concat(parts), deflateRules, { deflate, maxBytes: 100 })).toMatchObject([
      { text: '', wireBytes: first.length, messageBytes: undefined, issue: 'too_large' },
      { text: '', messageBytes: undefined, issue: 'context_lost' },
      { text: 'anew', issue: undefined },
    ]);
  });

  test('what is inflated is judged as text', async () => {
    const payload = await new Deflater().deflate(Buffer.from([0xff]));
    expect(messagesIn(clientFrame({ rsv: 4, payload }), deflateRules, { deflate })).toMatchObject([
      { text: '\u00ff', issue: 'invalid_utf8' },
    ]);
  });
});

describe('laws', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 });

  test('any split and any fragments give the same messages', async () => {
    const messages = fc.array(
      fc.record({
        text: fc.string({ maxLength: 90 }),
        isCompressed: fc.boolean(),
        cuts: fc.array(fc.nat(90)),
      }),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(messages, sizes, async (sent, cut) => {
        const peer = new Deflater();
        const parts: Buffer[] = [];
        for (const { text, isCompressed, cuts } of sent) {
          const payload = isCompressed ? await peer.deflate(text) : Buffer.from(text);
          const ordered = cuts.map((at) => Math.min(at, payload.length)).toSorted((a, b) => a - b);
          parts.push(fragments(payload, ordered, { rsv: isCompressed ? 4 : 0 }, clientFrame({ opcode: 10 })));
        }
        const read = messagesIn(Buffer.concat(parts), deflateRules, { deflate }, cut);
        expect(read.map(({ text, isCompressed }) => [text, isCompressed])).toEqual(
          sent.map(({ text, isCompressed }) => [Buffer.from(text).toString('latin1'), isCompressed]),
        );
      }),
      { numRuns: 60 },
    );
  });

  test('garbage never hands out more than the limit', () => {
    const rules: FrameRules = { ...fromServer, hasDeflate: true };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), sizes, (garbage, cut) => {
        const read = messagesIn(Buffer.from(garbage), rules, { deflate, maxBytes: 8 }, cut);
        const tooLong = read.filter(
          ({ text, kind }) => kind !== 'websocket_close' && String(text).length > 8,
        );
        expect(tooLong).toEqual([]);
      }),
    );
  });
});
