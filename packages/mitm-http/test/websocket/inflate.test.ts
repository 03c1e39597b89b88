import { constants, deflateRawSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { deflateTail, MessageInflater } from '../../src/websocket/inflate.ts';
import type { InflateOptions } from '../../src/websocket/inflate.ts';
import { Deflater } from './wire.ts';

function inflater(options: Partial<InflateOptions> = {}): MessageInflater {
  return new MessageInflater({ hasContextTakeover: true, windowBits: 15, maxBytes: 100_000, ...options });
}

/** Text, length and issue of a message whose payload this is. */
function read(reader: MessageInflater, payload: Buffer): unknown[] {
  const { bytes, totalBytes, issue } = reader.inflate(Buffer.concat([payload, deflateTail]));
  return [bytes.toString('latin1'), totalBytes, issue];
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** Bytes that no compressor makes shorter. */
function noise(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

describe('the examples of RFC 7692 §7.2.3', () => {
  test.each([
    ['one block', 'f2 48 cd c9 c9 07 00'],
    ['a block that is not compressed', '00 05 00 fa ff 48 65 6c 6c 6f 00'],
    ['a final block', 'f3 48 cd c9 c9 07 00 00'],
    ['two blocks', 'f2 48 05 00 00 00 ff ff ca c9 c9 07 00'],
  ])('%s', (_what, payload) => {
    expect(read(inflater(), hex(payload))).toEqual(['Hello', 5, undefined]);
  });

  test('a message that refers to the one before', () => {
    const reader = inflater();
    expect(read(reader, hex('f2 48 cd c9 c9 07 00'))).toEqual(['Hello', 5, undefined]);
    expect(read(reader, hex('f2 00 11 00 00'))).toEqual(['Hello', 5, undefined]);
  });

  test('an empty message', () => {
    expect(read(inflater(), hex('00'))).toEqual(['', 0, undefined]);
    expect(read(inflater(), Buffer.alloc(0))).toEqual(['', 0, undefined]);
  });
});

describe('what a peer compresses', () => {
  test.each([
    [true, 15],
    [true, 9],
    [false, 15],
    [false, 9],
  ])('context takeover %s, window of %i bits', async (hasContextTakeover, windowBits) => {
    const peer = new Deflater(hasContextTakeover, windowBits);
    const reader = inflater({ hasContextTakeover, windowBits });
    for (let i = 0; i < 60; i++) {
      const text = `{"item":${i},"text":"${'the same words again '.repeat(i * 7)}"}${noise(i * 40, i).toString('hex')}`;
      expect(read(reader, await peer.deflate(text))).toEqual([text, text.length, undefined]);
    }
  });

  test('a window of 8 bits is one of 9 where zlib compresses', async () => {
    const peer = new Deflater(true, 9);
    const reader = inflater({ windowBits: 8 });
    for (const text of [noise(400).toString('latin1'), noise(400).toString('latin1')]) {
      expect(read(reader, await peer.deflate(Buffer.from(text, 'latin1')))).toEqual([text, 400, undefined]);
    }
  });

  test('any messages in any order', async () => {
    const words = fc.array(fc.constantFrom('alpha ', 'beta ', '{"k":', '\n', 'x'.repeat(300)), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(words, { maxLength: 8 }),
        fc.boolean(),
        async (messages, hasContextTakeover) => {
          const peer = new Deflater(hasContextTakeover);
          const reader = inflater({ hasContextTakeover });
          for (const message of messages) {
            const text = message.join('');
            expect(read(reader, await peer.deflate(text))).toEqual([text, text.length, undefined]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('limits', () => {
  test('a message above the limit is cut, and the next one can still be read', async () => {
    const peer = new Deflater();
    const reader = inflater({ maxBytes: 100 });
    const long = noise(50_000).toString('hex');
    expect(read(reader, await peer.deflate(long))).toEqual([long.slice(0, 100), 100_000, 'too_large']);
    const tail = long.slice(-90);
    const payload = await peer.deflate(tail);
    expect(payload.length).toBeLessThan(20);
    expect(read(reader, payload)).toEqual([tail, 90, undefined]);
  });

  test('a bomb is given up, and what refers to it is not guessed', async () => {
    const peer = new Deflater();
    const reader = inflater({ maxBytes: 100, maxWorkBytes: 40_000 });
    const words = noise(25).toString('hex');
    expect(read(reader, await peer.deflate(words.repeat(1000)))).toEqual(['', undefined, 'too_large']);
    expect(read(reader, await peer.deflate(words))).toEqual(['', undefined, 'context_lost']);
  });

  test('a message that refers to nothing is read all the same, and those that refer to it', async () => {
    const reader = inflater();
    reader.skip();
    const peer = new Deflater();
    const text = noise(40).toString('hex');
    expect(read(reader, await peer.deflate(text))).toEqual([text, 80, undefined]);
    expect(read(reader, await peer.deflate(text))).toEqual([text, 80, undefined]);
  });

  test('a reference beyond what is known since is still a lost context', async () => {
    const peer = new Deflater();
    const reader = inflater();
    const early = noise(40).toString('hex');
    const late = noise(40, 2).toString('hex');
    await peer.deflate(early);
    reader.skip();
    expect(read(reader, await peer.deflate(late))).toEqual([late, 80, undefined]);
    expect(read(reader, await peer.deflate(early))).toEqual(['', undefined, 'context_lost']);
  });

  test('once the window is full again, nothing is lost', async () => {
    const peer = new Deflater(true, 9);
    const reader = inflater({ windowBits: 9 });
    await peer.deflate('lost');
    reader.skip();
    const text = noise(600).toString('latin1');
    expect(read(reader, await peer.deflate(Buffer.from(text, 'latin1')))).toEqual([text, 600, undefined]);
    expect(read(reader, hex('06'))).toEqual(['', undefined, 'invalid_deflate']);
  });

  test('without context takeover nothing can be lost', async () => {
    const peer = new Deflater(false);
    const reader = inflater({ hasContextTakeover: false, maxBytes: 50, maxWorkBytes: 50 });
    expect(read(reader, await peer.deflate('long '.repeat(50)))).toEqual(['', undefined, 'too_large']);
    expect(read(reader, hex('06'))).toEqual(['', undefined, 'invalid_deflate']);
    expect(read(reader, await peer.deflate('short'))).toEqual(['short', 5, undefined]);
  });
});

describe('what is no DEFLATE', () => {
  test('a block of a kind that does not exist', () => {
    expect(read(inflater(), hex('06'))).toEqual(['', undefined, 'invalid_deflate']);
  });

  test('data behind a final block', () => {
    const twice = Buffer.concat([deflateRawSync('one'), deflateRawSync('two'), hex('00')]);
    expect(read(inflater(), twice)).toEqual(['', undefined, 'invalid_deflate']);
  });

  test('garbage ends in an issue or in bytes within the limit', () => {
    const reader = inflater({ maxBytes: 64, maxWorkBytes: 4096 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        const { bytes, issue } = reader.inflate(Buffer.concat([garbage, deflateTail]));
        expect(bytes.length).toBeLessThanOrEqual(64);
        expect([undefined, 'too_large', 'invalid_deflate', 'context_lost']).toContain(issue);
      }),
    );
  });

  test('a body cut anywhere is read as far as it goes, or not at all', () => {
    const whole = deflateRawSync('some words, some more words, and words', {
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    for (let length = 0; length < whole.length - 4; length++) {
      const { issue } = inflater({ maxBytes: 64 }).inflate(
        Buffer.concat([whole.subarray(0, length), deflateTail]),
      );
      expect([undefined, 'invalid_deflate']).toContain(issue);
    }
  });
});
