import { randomBytes } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { ZstdFrameEnd } from '../src/zstd-frame-end.ts';

const text = Buffer.from('a text that says the same again and again, '.repeat(50));
const skippable = Buffer.concat([Buffer.from('5a2a4d1803000000', 'hex'), Buffer.from('abc')]);
const bodies: readonly [string, Buffer][] = [
  ['nothing', Buffer.alloc(0)],
  ['a frame of nothing', zstdCompressSync('')],
  ['one frame', zstdCompressSync(text)],
  ['one with a checksum', zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })],
  ['one without its size', zstdCompressSync(text, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })],
  ['one of raw blocks', zstdCompressSync(randomBytes(300_000))],
  ['one of runs', zstdCompressSync(Buffer.alloc(400_000))],
  ['several frames', Buffer.concat([zstdCompressSync('a'), zstdCompressSync(text), zstdCompressSync('b')])],
  [
    'a frame without data among them',
    Buffer.concat([zstdCompressSync('a'), skippable, zstdCompressSync('b')]),
  ],
];

/** How many bytes in, each time that an end was reached; one by one, the cut never matters. */
function endsOf(bytes: Buffer): number[] {
  const frames = new ZstdFrameEnd();
  return [...bytes].flatMap((byte, index) => {
    frames.push(Uint8Array.of(byte));
    return frames.isReached ? [index + 1] : [];
  });
}

describe('the end is reached', () => {
  test.each(bodies)('%s: behind the last byte', (_what, bytes) => {
    const frames = new ZstdFrameEnd();
    frames.push(bytes);
    expect(frames.isReached).toBe(true);
  });

  test.each(bodies.slice(1, 5))('%s: and nowhere before', (_what, bytes) => {
    expect(endsOf(bytes)).toEqual([bytes.length]);
  });

  test('between frames too', () => {
    const [one, two] = [zstdCompressSync('a'), zstdCompressSync(text)];
    const lengths = [one.length, one.length + skippable.length, one.length + skippable.length + two.length];
    expect(endsOf(Buffer.concat([one, skippable, two]))).toEqual(lengths);
  });
});

test.each(bodies.slice(1))('%s: cut short, it is not reached', (_what, bytes) => {
  for (const cut of [1, 2, 3, 5, 8]) {
    const frames = new ZstdFrameEnd();
    frames.push(bytes.subarray(0, Math.max(1, bytes.length - cut)));
    expect(frames.isReached).toBe(false);
  }
});

test('what is no Zstandard is left to whoever decompresses', () => {
  const frames = new ZstdFrameEnd();
  frames.push(Buffer.from('no zstd at all'));
  expect(frames.isReached).toBe(true);
});
