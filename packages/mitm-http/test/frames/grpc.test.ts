import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameError } from '../../src/frames/frame.ts';
import { type GrpcFacts, GrpcParser } from '../../src/frames/grpc.ts';
import type { GrpcProtocol } from '../../src/grpc.ts';
import { errorOf } from '../wire-text.ts';

/** A message as it stands on the wire; the length may lie. */
function message(payload: string | Uint8Array, flags = 0, length?: number): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(length ?? bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

interface ReadOptions {
  readonly protocol?: GrpcProtocol;
  readonly maxBytes?: number;
  /** Sizes of the chunks; what is left comes in one. */
  readonly sizes?: readonly number[];
}

interface Read {
  /** Payload, with `c` for compressed and `e` for the end behind it. */
  readonly frames: readonly string[];
  readonly error: unknown;
}

function read(bytes: Buffer, options: ReadOptions = {}): Read {
  const { protocol, maxBytes = 1024, sizes = [] } = options;
  const parser = new GrpcParser(maxBytes, protocol);
  const frames: string[] = [];
  const emit: Parameters<GrpcParser['push']>[1] = (payload, { kind, isCompressed, isEndOfStream }) => {
    expect(kind).toBe(parser.kind);
    const text = Buffer.from(payload).toString('latin1');
    frames.push(`${text}${isCompressed ? '|c' : ''}${isEndOfStream ? '|e' : ''}`);
  };
  const error = errorOf(() => {
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      // A copy that is overwritten shows whether a reference was kept.
      const chunk = Buffer.from(bytes.subarray(at, at + size));
      parser.push(chunk, emit);
      chunk.fill(0xaa);
      at += size;
    }
    parser.end(emit);
  });
  const count = frames.length;
  parser.push(message('late'), emit);
  parser.end(emit);
  expect(frames).toHaveLength(count);
  return { frames, error };
}

/** The error of a stream, as what it is and where. */
function faultOf(bytes: Buffer, options?: ReadOptions): unknown {
  const { error } = read(bytes, options);
  expect(error).toBeInstanceOf(FrameError);
  return error instanceof FrameError ? { code: error.code, ...error.facts } : error;
}

const unreachable = () => expect.unreachable('the stream is over');

function twoByTwo(bytes: Buffer): number[] {
  return Array.from({ length: Math.ceil(bytes.length / 2) }, () => 2);
}

describe('gRPC', () => {
  test('GR-06 prefix and message may come in pieces', () => {
    const bytes = message('hello');
    expect(read(bytes, { sizes: twoByTwo(bytes) })).toEqual({ frames: ['hello'], error: undefined });
  });

  test('GR-07 several messages in one stream, one of them compressed', () => {
    const bytes = Buffer.concat([message('one'), message('two', 1)]);
    expect(read(bytes)).toEqual({ frames: ['one', 'two|c'], error: undefined });
  });

  test('a compressed message is inflated with the coding of the stream, and its length on the way is told', () => {
    const frames: unknown[] = [];
    const parser = new GrpcParser(1024, 'grpc', 'gzip');
    const sent = gzipSync('two');
    const emit = (payload: Uint8Array, facts: GrpcFacts): void =>
      void frames.push([Buffer.from(payload).toString('latin1'), facts]);
    parser.push(Buffer.concat([message('one'), message(sent, 1), message('no gzip', 1)]), emit);
    const facts = { kind: 'grpc_message', isEndOfStream: false };
    expect(frames).toEqual([
      ['one', { ...facts, isCompressed: false }],
      ['two', { ...facts, isCompressed: true, wireBytes: sent.length }],
      ['no gzip', { ...facts, isCompressed: true, wireBytes: 7, issue: 'invalid_coding' }],
    ]);
  });

  test('an empty message comes with its prefix', () => {
    const frames: string[] = [];
    const parser = new GrpcParser(1);
    parser.push(message(''), (payload) => frames.push(Buffer.from(payload).toString()));
    expect(frames).toEqual(['']);
  });

  test('a message that is whole in its chunk is not copied', () => {
    const bytes = message('hello');
    new GrpcParser(5).push(bytes, (payload) => expect(payload.buffer).toBe(bytes.buffer));
    expect.assertions(1);
  });

  test('a chunk may be a Uint8Array that is no Buffer', () => {
    const frames: string[] = [];
    new GrpcParser(9).push(new Uint8Array(message('hello')), (payload) =>
      frames.push(Buffer.from(payload).toString()),
    );
    expect(frames).toEqual(['hello']);
  });

  test.each([2, 3, 0x80, 0x81, 0xff])('GR-08 flags %i do not exist', (flags) => {
    const code = 'invalid_compressed_flag';
    expect(faultOf(message('four', flags))).toEqual({ code, sequence: 1, declaredBytes: 4 });
  });

  test('the flags are judged before the size', () => {
    expect(faultOf(message('', 9, 9999), { maxBytes: 4 })).toMatchObject({ code: 'invalid_compressed_flag' });
  });

  test('GR-09 a message longer than the limit is refused at its prefix', () => {
    const fault = { code: 'message_too_large', sequence: 2, declaredBytes: 5, missingBytes: 5 };
    const bytes = Buffer.concat([message('four'), message('', 0, 5)]);
    expect(faultOf(bytes, { maxBytes: 4 })).toEqual(fault);
    expect(read(bytes, { maxBytes: 4 }).frames).toEqual(['four']);
  });

  test('the largest length is no negative number', () => {
    expect(faultOf(message('', 0, 0xffffffff))).toMatchObject({ declaredBytes: 0xffffffff });
  });

  test('a length costs no memory', () => {
    const parser = new GrpcParser(2 ** 40);
    const before = process.memoryUsage().arrayBuffers;
    for (const byte of message('x', 0, 0xffffffff)) {
      parser.push(Buffer.from([byte]), () => expect.unreachable('the message is not complete'));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  test.each([1, 2, 3, 4])('GR-10 the body ends after %i bytes of a prefix', (prefixBytes) => {
    const bytes = message('').subarray(0, prefixBytes);
    expect(faultOf(bytes)).toEqual({ code: 'truncated_prefix', sequence: 1, prefixBytes });
  });

  test('GR-11 the body ends inside a message', () => {
    const fault = { code: 'length_mismatch', sequence: 1, declaredBytes: 4, missingBytes: 2 };
    expect(faultOf(message('ab', 0, 4))).toEqual(fault);
    expect(faultOf(message('', 0, 4))).toMatchObject({ missingBytes: 4 });
  });

  test('the end may be told twice, and nothing is read behind it', () => {
    const parser = new GrpcParser(9);
    parser.end(unreachable);
    parser.push(message('late'), unreachable);
    parser.end(unreachable);
    expect(parser.kind).toBe('grpc_message');
  });

  test.each([0, -1, 1.5, Number.NaN])('a limit of %d is none', (maxBytes) => {
    expect(() => new GrpcParser(maxBytes)).toThrow(RangeError);
  });
});

describe('gRPC-Web', () => {
  const trailers = 'grpc-status: 0\r\n';
  const bytes = Buffer.concat([message('one'), message('two', 1), message(trailers, 0x80)]);
  const frames = ['one', 'two|c', `${trailers}|e`];

  test('the frame with flag 0x80 has the trailers', () => {
    expect(read(bytes, { protocol: 'grpc_web' })).toEqual({ frames, error: undefined });
  });

  test('they may be compressed', () => {
    expect(read(message('x', 0x81), { protocol: 'grpc_web' }).frames).toEqual(['x|c|e']);
  });

  test('nothing follows them', () => {
    const more = Buffer.concat([bytes, Buffer.from([0])]);
    expect(faultOf(more, { protocol: 'grpc_web' })).toEqual({ code: 'invalid_frame', sequence: 4 });
    expect(read(more, { protocol: 'grpc_web' }).frames).toEqual(frames);
  });

  test('flag 2 is not known', () => {
    expect(faultOf(message('', 2), { protocol: 'grpc_web' })).toMatchObject({
      code: 'invalid_compressed_flag',
    });
  });

  test.each([
    ['as one', [bytes]],
    ['frame by frame', [message('one'), message('two', 1), message(trailers, 0x80)]],
  ])('the text variant, encoded %s', (_rule, parts) => {
    const encoded = Buffer.from(parts.map((part) => part.toString('base64')).join(''));
    const options = { protocol: 'grpc_web_text', sizes: twoByTwo(encoded) } as const;
    expect(read(encoded, options)).toEqual({ frames, error: undefined });
  });

  test('the text variant refuses what is not base64, behind what was good', () => {
    const encoded = Buffer.from(`${message('abcd').toString('base64')}\n`);
    const options = { protocol: 'grpc_web_text' } as const;
    expect(read(encoded, options).frames).toEqual(['abcd']);
    expect(faultOf(encoded, options)).toEqual({ code: 'invalid_frame', sequence: 2 });
  });

  test('the text variant may not end inside a group', () => {
    const encoded = Buffer.from(message('abcd').toString('base64').slice(0, -1));
    expect(faultOf(encoded, { protocol: 'grpc_web_text' })).toEqual({ code: 'truncated_frame', sequence: 1 });
  });
});

describe('Connect', () => {
  test('the frame with flag 2 ends the stream with JSON', () => {
    const bytes = Buffer.concat([message('one', 1), message('{}', 2)]);
    const result = read(bytes, { protocol: 'connect_stream' });
    expect(result).toEqual({ frames: ['one|c', '{}|e'], error: undefined });
    expect(read(message('{}', 3), { protocol: 'connect_stream' }).frames).toEqual(['{}|c|e']);
  });

  test('flag 0x80 is not known', () => {
    const fault = faultOf(message('', 0x80), { protocol: 'connect_stream' });
    expect(fault).toMatchObject({ code: 'invalid_compressed_flag' });
  });
});

const sizes = fc.array(fc.nat(12), { maxLength: 40 });

test('GR-03 law: a message of 0 to 255 bytes comes whole from any split', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 255 }), fc.array(fc.nat(64)), (payload, chunkSizes) => {
      const frames = [Buffer.from(payload).toString('latin1')];
      expect(read(message(payload), { sizes: chunkSizes })).toEqual({ frames, error: undefined });
    }),
  );
});

test('GR-04 law: flags 2 to 255 are an error that names the declared length', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 255 }),
      fc.nat(0xffffffff),
      sizes,
      (flags, declaredBytes, chunkSizes) => {
        const fault = faultOf(message('', flags, declaredBytes), { sizes: chunkSizes });
        expect(fault).toEqual({ code: 'invalid_compressed_flag', sequence: 1, declaredBytes });
      },
    ),
  );
});

test('GR-05 law: what is missing of a message is counted', () => {
  fc.assert(
    fc.property(fc.nat(64), fc.integer({ min: 1, max: 64 }), sizes, (haveBytes, missingBytes, chunkSizes) => {
      const declaredBytes = haveBytes + missingBytes;
      const fault = faultOf(message('x'.repeat(haveBytes), 0, declaredBytes), { sizes: chunkSizes });
      expect(fault).toEqual({ code: 'length_mismatch', sequence: 1, declaredBytes, missingBytes });
    }),
  );
});

const pieces = fc.oneof(
  fc
    .tuple(fc.string({ maxLength: 20 }), fc.constantFrom(0, 0, 1, 2, 0x80))
    .map(([text, flags]) => message(text, flags)),
  fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
);
const protocol = fc.constantFrom('grpc', 'grpc_web', 'grpc_web_text', 'connect_stream');

test('law: any split of any bytes gives the same messages and the same error', () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 6 }), protocol, sizes, (parts, spoken, chunkSizes) => {
      const isText = spoken === 'grpc_web_text';
      const bytes = isText
        ? Buffer.from(parts.map((part) => part.toString('base64')).join(''))
        : Buffer.concat(parts);
      const options = { protocol: spoken, maxBytes: 16 };
      expect(read(bytes, { ...options, sizes: chunkSizes })).toEqual(read(bytes, options));
    }),
    { numRuns: 2000 },
  );
});
