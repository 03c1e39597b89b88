import { PassThrough, Readable, Writable } from 'node:stream';

import { describe, expect, test } from 'vitest';

import { readSlowly, writeZeros } from './pacing.ts';

const kibibyte = 1024;

describe('readSlowly', () => {
  test('takes the time that its rate says', async () => {
    const stream = Readable.from(Array.from({ length: 10 }, () => Buffer.alloc(10 * kibibyte)));
    const start = performance.now();
    expect(await readSlowly(stream, { pauseMs: 0, bytesPerSecond: 1_000 * kibibyte })).toBe(100 * kibibyte);
    expect(performance.now() - start).toBeGreaterThan(90);
  });

  test('stops at a count, and leaves the stream as it is', async () => {
    const stream = new PassThrough();
    stream.write(Buffer.alloc(kibibyte));
    const pace = { pauseMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
    expect(await readSlowly(stream, { ...pace, byteCount: kibibyte })).toBe(kibibyte);
    expect(await readSlowly(stream, { ...pace, byteCount: 0 })).toBe(0);
    expect(stream.destroyed).toBe(false);
  });
});

describe('writeZeros', () => {
  test('writes as much as asked, in steps that it tells', async () => {
    const stream = new PassThrough();
    const steps: number[] = [];
    const writing = writeZeros(stream, 100 * kibibyte, (written) => steps.push(written));
    const pace = { pauseMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, byteCount: 100 * kibibyte };
    expect(await readSlowly(stream, pace)).toBe(100 * kibibyte);
    await writing;
    expect(steps).toEqual([64 * kibibyte, 100 * kibibyte]);
  });

  test('gives up when the stream is gone', async () => {
    const stream = new Writable({ write: () => {} });
    const writing = writeZeros(stream, 1_000_000);
    stream.destroy();
    await writing;
    expect(stream.writableLength).toBeLessThan(1_000_000);
  });
});
