// Compressed messages are inflated one by one, within bounds; what can't be is handed on as it came.
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { GrpcInflater } from '../../src/frames/grpc-inflate.ts';

const mebibyte = 1024 * 1024;
const text = Buffer.from('a message, a message, a message');

describe('codings', () => {
  test.each([
    ['gzip', gzipSync(text)],
    ['GZip ', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
  ])('%s', (coding, bytes) => {
    expect(new GrpcInflater(coding, 1_000).inflate(bytes)).toEqual({ bytes: text, issue: undefined });
  });

  test.each([undefined, '', 'identity', 'snappy'])('%s is not known', (coding) => {
    expect(new GrpcInflater(coding, 1_000).inflate(text)).toEqual({ bytes: text, issue: 'unknown_coding' });
  });

  test('an empty message is one with any of them', () => {
    const nothing = Buffer.alloc(0);
    expect(new GrpcInflater('gzip', 1_000).inflate(nothing)).toEqual({ bytes: nothing, issue: undefined });
  });
});

describe('what can’t be read is handed on as it came, and costs nothing but itself', () => {
  test('a message that is something else, and one that is cut', () => {
    const inflater = new GrpcInflater('gzip', 1_000);
    const cut = gzipSync(text).subarray(0, 20);
    expect(inflater.inflate(text)).toEqual({ bytes: text, issue: 'invalid_coding' });
    expect(inflater.inflate(cut)).toEqual({ bytes: cut, issue: 'invalid_coding' });
    expect(inflater.inflate(gzipSync(text))).toEqual({ bytes: text, issue: undefined });
  });

  test('a message longer than the limit', () => {
    const inflater = new GrpcInflater('gzip', text.length);
    const long = gzipSync(Buffer.concat([text, text]));
    expect(inflater.inflate(long)).toEqual({ bytes: long, issue: 'too_large' });
    expect(inflater.inflate(gzipSync(text))).toEqual({ bytes: text, issue: undefined });
  });

  test('bombs: all messages together may grow to 1 MiB, or to 200 times what was sent', () => {
    const inflater = new GrpcInflater('gzip', 64 * mebibyte);
    const bomb = gzipSync(Buffer.alloc(mebibyte - 1));
    const issues = Array.from({ length: 4 }, () => inflater.inflate(bomb).issue);
    expect(issues).toEqual([undefined, 'too_large', 'too_large', 'too_large']);
  });

  test('garbage', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('gzip', 'deflate', 'br', 'zstd'),
        fc.uint8Array({ maxLength: 60 }),
        (coding, garbage) => {
          const { bytes, issue } = new GrpcInflater(coding, 100).inflate(Buffer.from(garbage));
          expect(issue === undefined ? bytes.length <= 100 : bytes.equals(Buffer.from(garbage))).toBe(true);
        },
      ),
    );
  });
});
