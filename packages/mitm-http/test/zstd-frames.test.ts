// Zstandard in any number of frames, at once and as it arrives.

import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { decompressZstd, ZstdFrames } from '../src/zstd-frames.ts';

const frame = (text: string | Buffer): Buffer => zstdCompressSync(text);
const noise = randomBytes(300_000);

const rows: readonly [string, readonly Buffer[], Buffer][] = [
  ['one frame', [frame('one')], Buffer.from('one')],
  ['several in one write', [Buffer.concat([frame('a'), frame('b'), frame('c')])], Buffer.from('abc')],
  ['several in writes of their own', [frame('a'), frame('b')], Buffer.from('ab')],
  [
    'an end of one and the beginning of another in one write',
    [frame('first').subarray(0, 5), Buffer.concat([frame('first').subarray(5), frame('second')])],
    Buffer.from('firstsecond'),
  ],
  ['large ones', [Buffer.concat([frame(noise), frame(noise)])], Buffer.concat([noise, noise])],
  ['nothing', [], Buffer.alloc(0)],
];

describe('as it arrives', () => {
  test.each(rows)('%s', async (_what, chunks, expected) => {
    expect(await buffer(Readable.from(chunks).pipe(new ZstdFrames()))).toEqual(expected);
  });

  test('garbage is an error, and so is garbage behind a frame', async () => {
    for (const bytes of [
      Buffer.from('no zstd at all'),
      Buffer.concat([frame('a'), Buffer.from('no zstd at all')]),
    ]) {
      const stream = new ZstdFrames();
      const failed = new Promise((resolve) => stream.on('error', resolve));
      stream.resume().write(bytes);
      expect(await failed).toBeInstanceOf(Error);
    }
  });

  test('a body that is cut short is an error, and what came before stands', async () => {
    const stream = new ZstdFrames();
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    const failed = new Promise((resolve) => stream.on('error', resolve));
    stream.end(frame(noise).subarray(0, -20));
    expect(await failed).toMatchObject({ code: 'Z_BUF_ERROR' });
    const came = Buffer.concat(pieces);
    expect(noise.subarray(0, came.length).equals(came)).toBe(true);
  });

  test('letting go of it in the middle leaves nothing running', async () => {
    const stream = new ZstdFrames();
    stream.write(frame(noise).subarray(0, 1000));
    stream.destroy();
    await new Promise((resolve) => stream.on('close', resolve));
    expect(stream.destroyed).toBe(true);
  });
});

describe('at once', () => {
  test.each(rows.filter(([, chunks]) => chunks.length > 0))('%s', async (_what, chunks, expected) => {
    expect(await decompressZstd(Buffer.concat(chunks), 1_000_000)).toEqual(expected);
  });

  test.each([
    ['one frame', frame('one').subarray(0, -1)],
    ['the last of several', Buffer.concat([frame('a'), frame(noise).subarray(0, -20)])],
  ])('a body that is cut short is an error: %s', async (_what, bytes) => {
    await expect(decompressZstd(bytes, 1_000_000)).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
  });

  test('the bound holds for all frames together', async () => {
    const two = Buffer.concat([frame(Buffer.alloc(600)), frame(Buffer.alloc(600))]);
    await expect(decompressZstd(two, 1000)).rejects.toMatchObject({ code: 'ERR_BUFFER_TOO_LARGE' });
  });
});
