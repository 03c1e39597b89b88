import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { decodeContent, mediaType } from '../src/content-coding.ts';

const text = Buffer.from('a body that says the same thing, the same thing, the same thing');
const options = { maxOutputBytes: 1_000 };

describe('codings are undone', () => {
  test.each([
    ['gzip', gzipSync(text)],
    ['x-gzip is gzip', gzipSync(text), 'x-gzip'],
    ['deflate in the zlib form', deflateSync(text), 'deflate'],
    ['deflate without a zlib header', deflateRawSync(text), 'deflate'],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', text],
    ['a list, last coding first', brotliCompressSync(gzipSync(text)), 'gzip, br'],
    ['names in any case', gzipSync(text), ' GZip '],
  ])('%s', async (name, bytes, coding = name) => {
    expect(await decodeContent(bytes, coding, options)).toEqual({
      body: text,
      isTruncated: false,
      hasError: false,
    });
  });
});

describe('what can not be undone is shown as it is, and marked', () => {
  test.each([
    ['an unknown coding', 'compress', 'unknown_coding', 'compress'],
    ['an unknown coding under a known one', 'compress, identity', 'unknown_coding', 'compress'],
    ['bytes that are not what the coding says', 'gzip', 'invalid_coding', 'gzip'],
    [
      'more codings than any honest message has',
      'gzip,gzip,gzip,gzip,gzip',
      'unknown_coding',
      'gzip, gzip, gzip, gzip, gzip',
    ],
  ])('%s', async (_name, codings, code, coding) => {
    expect(await decodeContent(text, codings, options)).toEqual({
      body: text,
      isTruncated: false,
      hasError: true,
      failure: { code, coding },
    });
  });

  test('a bomb stops at the bound', async () => {
    const bomb = gzipSync(Buffer.alloc(40_000_000));
    const result = await decodeContent(bomb, 'gzip', { maxOutputBytes: 10_000_000 });
    expect(result).toEqual({
      body: bomb,
      isTruncated: true,
      hasError: true,
      failure: { code: 'ratio_exceeded', coding: 'gzip' },
    });
  });
});

describe('what is larger than is wanted is cut', () => {
  test.each([
    ['gzip', (bytes: Buffer) => gzipSync(bytes)],
    ['br', (bytes: Buffer) => brotliCompressSync(bytes)],
    ['zstd', (bytes: Buffer) => zstdCompressSync(bytes)],
    ['deflate, gzip', (bytes: Buffer) => gzipSync(deflateSync(bytes))],
  ])('%s', async (coding, encode) => {
    const long = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7919) % 251));
    expect(await decodeContent(encode(long), coding, options)).toEqual({
      body: long.subarray(0, options.maxOutputBytes),
      isTruncated: true,
      hasError: false,
    });
  });

  test('only between two codings: the whole is shown', async () => {
    const inner = Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 7919) % 251));
    // What gzip makes of noise is longer than the text inside of it may be, but not than what is wanted.
    const bytes = gzipSync(brotliCompressSync(Buffer.concat([inner])));
    expect(await decodeContent(bytes, 'br, gzip', { maxOutputBytes: 2_000 })).toEqual({
      body: inner,
      isTruncated: false,
      hasError: false,
    });
  });
});

test('a gzip body cut short shows what came before the cut', async () => {
  const noise = Buffer.from(Array.from({ length: 4_000 }, (_, i) => (i * 7919) % 251));
  const whole = gzipSync(noise);
  const result = await decodeContent(whole.subarray(0, whole.length - 200), 'gzip', {
    maxOutputBytes: 10_000,
  });
  expect(result.hasError).toBe(false);
  expect(noise.subarray(0, result.body.length).equals(result.body)).toBe(true);
});

test.each([
  ['text/html', 'text/html'],
  ['Text/HTML; charset=utf-8', 'text/html'],
  [' text/event-stream ;x', 'text/event-stream'],
  ['', ''],
])('the media type of %j is %j', (value, expected) => {
  expect(mediaType(value)).toBe(expected);
});
