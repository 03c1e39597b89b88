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
    ['an unknown coding', 'compress'],
    ['bytes that are not what the coding says', 'gzip'],
    ['more codings than any honest message has', 'gzip,gzip,gzip,gzip,gzip'],
  ])('%s', async (_name, coding) => {
    expect(await decodeContent(text, coding, options)).toEqual({
      body: text,
      isTruncated: false,
      hasError: true,
    });
  });

  test('a bomb stops at the bound', async () => {
    const bomb = gzipSync(Buffer.alloc(1_000_000));
    const result = await decodeContent(bomb, 'gzip', options);
    expect(result).toEqual({ body: bomb, isTruncated: true, hasError: true });
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
