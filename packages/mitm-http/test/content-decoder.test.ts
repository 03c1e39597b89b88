// Every coding comes out as it went in and as soon as it was flushed; what is wrong, too large or too fast ends the decoding once.
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createDeflateRaw,
  createGzip,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  codingsOf,
  ContentDecoder,
  type ContentDecoderLimits,
  contentDecoderErrorCodes,
} from '../src/content-decoder.ts';

const text = Buffer.from('a body that says the same thing, the same thing, the same thing. '.repeat(40));
const noise = Buffer.from(Array.from({ length: 30_000 }, (_, i) => (i * i * 31 + (i >> 3)) % 251));
const roomy: ContentDecoderLimits = { maxPendingBytes: 1_000_000 };

interface Outcome {
  readonly bytes: Buffer;
  /** `ended`, or the failure as `code coding`. */
  readonly end: string;
}

interface Run {
  readonly decoder: ContentDecoder;
  /** What has come out so far. */
  readonly bytes: () => Buffer;
  /** All endings that were told. */
  readonly ends: readonly string[];
  readonly over: Promise<Outcome>;
  /** Resolves when so many bytes have come out. */
  readonly until: (count: number) => Promise<Buffer>;
}

function start(coding: string, limits: ContentDecoderLimits = roomy): Run {
  const pieces: Buffer[] = [];
  const ends: string[] = [];
  let settle: ((outcome: Outcome) => void) | undefined;
  let look: (() => void) | undefined;
  const over = new Promise<Outcome>((resolve) => {
    settle = resolve;
  });
  const bytes = (): Buffer => Buffer.concat(pieces);
  const finish = (end: string): void => {
    ends.push(end);
    settle?.({ bytes: bytes(), end });
  };
  const decoder = new ContentDecoder(
    coding,
    {
      decoded: (piece) => {
        pieces.push(Buffer.from(piece));
        look?.();
      },
      ended: () => finish('ended'),
      failed: (code, failed) => finish(`${code} ${failed}`),
    },
    limits,
  );
  const until = (count: number): Promise<Buffer> =>
    new Promise((resolve) => {
      look = () => {
        if (bytes().length >= count) resolve(bytes());
      };
      look?.();
    });
  return { decoder, bytes, ends, over, until };
}

async function decode(
  coding: string,
  pieces: readonly Uint8Array[],
  limits?: ContentDecoderLimits,
): Promise<Outcome> {
  const run = start(coding, limits);
  for (const piece of pieces) run.decoder.push(piece);
  run.decoder.end();
  return run.over;
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

describe('codings are undone', () => {
  const rows: readonly [string, Buffer, string][] = [
    ['gzip', gzipSync(text), 'gzip'],
    ['gzip under its old name', gzipSync(text), 'x-gzip'],
    ['deflate in the zlib form', deflateSync(text), 'deflate'],
    ['deflate without a zlib header', deflateRawSync(text), 'deflate'],
    ['br', brotliCompressSync(text), 'br'],
    ['zstd', zstdCompressSync(text), 'zstd'],
    ['a list, the last coding first', brotliCompressSync(gzipSync(text)), 'gzip, br'],
    [
      'four codings',
      zstdCompressSync(deflateSync(brotliCompressSync(gzipSync(text)))),
      'gzip,br,deflate,zstd',
    ],
    ['names in any case, with identity and empty members', gzipSync(text), ' , GZip ,identity'],
  ];
  test.each(rows)('%s', async (_rule, bytes, coding) => {
    const expected = { bytes: text, end: 'ended' };
    expect(await decode(coding, [bytes])).toEqual(expected);
    expect(await decode(coding, cut(bytes, 7))).toEqual(expected);
  });

  test('a gzip body of several members is all of them (RFC 1952 §2.2)', async () => {
    const members = Buffer.concat(['one ', 'two ', 'three'].map((part) => gzipSync(part)));
    for (const size of [1, 25, members.length]) {
      expect(await decode('gzip', cut(members, size))).toEqual({
        bytes: Buffer.from('one two three'),
        end: 'ended',
      });
    }
  });

  // Node's decoder stops behind the first frame when the next one is there in the same write.
  test('a zstd body of several frames is all of them (RFC 8878 §3)', async () => {
    const frames = Buffer.concat(['one ', 'two ', 'three'].map((part) => zstdCompressSync(part)));
    for (const size of [1, 25, frames.length]) {
      expect(await decode('zstd', cut(frames, size))).toEqual({
        bytes: Buffer.from('one two three'),
        end: 'ended',
      });
    }
  });

  test('the two forms of deflate are told apart by one byte, too, as far as it tells', async () => {
    expect(await decode('deflate', cut(deflateSync(text), 1))).toEqual({ bytes: text, end: 'ended' });
    expect(await decode('deflate', cut(deflateRawSync(text), 1))).toEqual({ bytes: text, end: 'ended' });
  });

  test('a body without a byte is one without content, whatever its coding', async () => {
    expect(await decode('gzip', [])).toEqual({ bytes: Buffer.alloc(0), end: 'ended' });
    expect(await decode('gzip', [Buffer.alloc(0)])).toEqual({ bytes: Buffer.alloc(0), end: 'ended' });
  });

  test('law: however the bytes are split, the same comes out', async () => {
    const bodies = {
      gzip: gzipSync(noise),
      br: brotliCompressSync(noise, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
      zstd: zstdCompressSync(noise),
      deflate: deflateRawSync(noise),
    };
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('gzip', 'br', 'zstd', 'deflate'),
        fc.array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 8 }),
        async (coding, sizes) => {
          const bytes = bodies[coding];
          const pieces: Buffer[] = [];
          let at = 0;
          for (const size of sizes) {
            pieces.push(bytes.subarray(at, at + size));
            at = Math.min(bytes.length, at + size);
          }
          pieces.push(bytes.subarray(at));
          const { bytes: out, end } = await decode(coding, pieces);
          expect([out.equals(noise), end]).toEqual([true, 'ended']);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('what is flushed comes out at once, while the body goes on', () => {
  const coders = [
    ['gzip', () => createGzip(), constants.Z_SYNC_FLUSH],
    ['deflate', () => createDeflate(), constants.Z_SYNC_FLUSH],
    ['deflate', () => createDeflateRaw(), constants.Z_SYNC_FLUSH],
    ['br', () => createBrotliCompress(), constants.BROTLI_OPERATION_FLUSH],
    ['zstd', () => createZstdCompress(), constants.ZSTD_e_flush],
  ] as const;
  test.each(coders)('%s', async (coding, make, kind) => {
    const coder = make();
    const run = start(coding);
    coder.on('data', (piece: Buffer) => run.decoder.push(piece));
    let expected = '';
    for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
      coder.write(event);
      await new Promise<void>((resolve) => coder.flush(kind, resolve));
      expected += event;
      expect((await run.until(expected.length)).toString()).toBe(expected);
      expect(run.ends).toEqual([]);
    }
    coder.end();
    await new Promise((resolve) => coder.once('end', resolve));
    run.decoder.end();
    expect(await run.over).toEqual({ bytes: Buffer.from(expected), end: 'ended' });
  });

  test('bytes may be used again by whoever gave them', async () => {
    const bytes = gzipSync(text);
    const run = start('gzip');
    const lent = Buffer.from(bytes);
    run.decoder.push(lent);
    lent.fill(0);
    run.decoder.end();
    expect((await run.over).bytes.equals(text)).toBe(true);
  });
});

describe('what can not be undone is told once, with the coding', () => {
  test.each([
    ['an unknown coding', 'compress', [text], 'unknown_coding compress'],
    ['an unknown one among known ones', 'gzip, lzma', [text], 'unknown_coding lzma'],
    ['a known one behind an unknown one', 'lzma, gzip', [gzipSync(text)], 'unknown_coding lzma'],
    ['more than four', 'gzip,gzip,gzip,gzip,gzip', [text], 'unknown_coding gzip, gzip, gzip, gzip, gzip'],
    ['garbage for gzip', 'gzip', [text], 'invalid_coding gzip'],
    ['garbage for deflate', 'deflate', [Buffer.alloc(40, 0xff)], 'invalid_coding deflate'],
    ['garbage for br', 'br', [Buffer.alloc(40, 0xff)], 'invalid_coding br'],
    ['garbage for zstd', 'zstd', [text], 'invalid_coding zstd'],
    ['garbage under a good layer', 'br, gzip', [gzipSync(Buffer.alloc(40, 0xff))], 'invalid_coding br'],
  ] as const)('%s', async (_what, coding, pieces, end) => {
    const run = start(coding);
    for (const piece of pieces) run.decoder.push(piece);
    run.decoder.end();
    expect(await run.over).toMatchObject({ end });
    run.decoder.push(text);
    run.decoder.end();
    expect(run.ends).toEqual([end]);
  });

  test.each([
    ['gzip', gzipSync(noise)],
    ['deflate', deflateSync(noise)],
    ['br', brotliCompressSync(noise)],
    ['zstd', zstdCompressSync(noise)],
  ] as const)('a body of %s that is cut short: what came before stands', async (coding, bytes) => {
    const { bytes: out, end } = await decode(coding, [bytes.subarray(0, bytes.length - 20)]);
    expect(end).toBe(`invalid_coding ${coding}`);
    expect(noise.subarray(0, out.length).equals(out)).toBe(true);
  });

  test('broken in the middle: what came before stands', async () => {
    const first = gzipSync('the first member');
    const { bytes, end } = await decode('gzip', [first, gzipSync(noise).fill(0xaa, 40)]);
    expect(end).toBe('invalid_coding gzip');
    expect(bytes.toString('latin1', 0, 16)).toBe('the first member');
  });

  test('a window beyond the 8 MiB that HTTP allows (RFC 9659)', async () => {
    const coder = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 25 } });
    const pieces: Buffer[] = [];
    coder.on('data', (piece: Buffer) => pieces.push(piece));
    coder.end(noise);
    await new Promise((resolve) => coder.once('end', resolve));
    expect((await decode('zstd', pieces)).end).toBe('invalid_coding zstd');
  });

  test('law: garbage ends in one of the codes, or ends', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('gzip', 'deflate', 'br', 'zstd', 'gzip, br', 'zstd, deflate'),
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        async (coding, bytes) => {
          const { end } = await decode(coding, [bytes]);
          expect(['ended', ...contentDecoderErrorCodes]).toContain(end.split(' ')[0]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a bomb', () => {
  const bombs: readonly [string, Buffer][] = [
    ['gzip', gzipSync(Buffer.alloc(20_000_000))],
    ['br', brotliCompressSync(Buffer.alloc(20_000_000), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })],
    ['zstd', zstdCompressSync(Buffer.alloc(20_000_000))],
    ['gzip, gzip', gzipSync(gzipSync(Buffer.alloc(20_000_000)))],
  ];
  test.each(bombs)('of %s costs at most the bound', async (coding, bytes) => {
    const limits = { maxPendingBytes: 1_000_000, maxRatio: 20, graceBytes: 100_000 };
    const { bytes: out, end } = await decode(coding, [bytes], limits);
    expect(end).toMatch(/^ratio_exceeded /);
    expect(out.length).toBeLessThanOrEqual(Math.max(limits.graceBytes, bytes.length * limits.maxRatio));
  });

  test('may be had in small: below the grace no ratio is too much', async () => {
    const zeros = Buffer.alloc(900_000);
    const { bytes, end } = await decode('gzip', [gzipSync(zeros)]);
    expect([bytes.length, end]).toEqual([zeros.length, 'ended']);
  });

  test('is told by 200 to 1 beyond 1 MiB unless said', async () => {
    const { bytes, end } = await decode('gzip', [gzipSync(Buffer.alloc(20_000_000))]);
    expect(end).toBe('ratio_exceeded gzip');
    expect(bytes.length).toBeLessThanOrEqual(200 * gzipSync(Buffer.alloc(20_000_000)).length);
  });
});

describe('what comes faster than it is decoded', () => {
  test('is given up at the bound', async () => {
    const bytes = gzipSync(noise);
    const run = start('gzip', { maxPendingBytes: bytes.length - 1 });
    run.decoder.push(bytes.subarray(0, 50));
    expect(run.decoder.pendingBytes).toBe(50);
    run.decoder.push(bytes.subarray(50));
    expect(run.ends).toEqual(['too_slow gzip']);
    expect(run.bytes()).toHaveLength(0);
  });

  test('is no such thing where it was decoded in between', async () => {
    const bytes = gzipSync(noise, { level: 0 });
    const run = start('gzip', { maxPendingBytes: 5_000 });
    for (let at = 0; at < bytes.length; at += 4_000) {
      run.decoder.push(bytes.subarray(at, at + 4_000));
      await expect.poll(() => run.decoder.pendingBytes).toBe(0);
    }
    run.decoder.end();
    expect((await run.over).bytes.equals(noise)).toBe(true);
  });
});

test('after destroy the sink hears nothing more', async () => {
  const run = start('gzip');
  run.decoder.push(gzipSync(noise));
  run.decoder.destroy();
  run.decoder.push(gzipSync(noise));
  run.decoder.end();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect([run.ends, run.bytes().length]).toEqual([[], 0]);
});

test.each([
  ['', []],
  ['identity', []],
  [' , ,', []],
  ['GZIP', ['gzip']],
  ['gzip ,br', ['gzip', 'br']],
  ['identity, br', ['br']],
])('the codings of %j are %j', (value, expected) => {
  expect(codingsOf(value)).toEqual(expected);
});
