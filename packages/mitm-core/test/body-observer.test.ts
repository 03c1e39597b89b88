// Frames come out of a body as it passes; whatever is wrong with it is one event, and the end of the watching.
import { gzipSync } from 'node:zlib';

import {
  FrameError,
  type FrameFacts,
  type FrameParser,
  GrpcParser,
  NdjsonParser,
  SseParser,
} from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { BodyObserver } from '../src/body-observer.ts';
import { openExchangeFlow, testEngine } from './engine-fixture.ts';

interface Watch {
  readonly observer: BodyObserver;
  readonly frames: string[];
  /** The attributes of each `decoder_failed`. */
  readonly failures: () => readonly Record<string, unknown>[];
  readonly logs: readonly Readonly<Record<string, unknown>>[];
}

function watch(
  parser: FrameParser = new NdjsonParser(1_000),
  contentEncoding = '',
  fields: object = {},
): Watch {
  const { engine, recorder, logs } = testEngine(fields);
  const frames: string[] = [];
  const flow = openExchangeFlow(engine);
  flow.http2StreamId = 9;
  const observer = new BodyObserver(flow, {
    direction: 'server_to_client',
    parser,
    contentEncoding,
    emit: (payload) => frames.push(Buffer.from(payload).toString()),
  });
  const failures = (): Record<string, unknown>[] =>
    recorder
      .events()
      .filter((event) => event.kind === 'decoder_failed')
      .map((event) => ({
        decoder: event.decoder,
        decoderErrorCode: event.decoderErrorCode,
        decoderErrorDetail: event.decoderErrorDetail,
        decoderStage: event.decoderStage,
        bytesIn: event.bytesIn,
        bytesOut: event.bytesOut,
        direction: event.direction,
        http2StreamId: event.http2StreamId,
      }));
  return { observer, frames, failures, logs };
}

describe('a body without a coding', () => {
  test('is cut into frames in the call that brings it', () => {
    const { observer, frames, failures } = watch();
    observer.push(Buffer.from('one\ntw'));
    expect(frames).toEqual(['one']);
    observer.push(Buffer.from('o\nthree'));
    expect(frames).toEqual(['one', 'two']);
    expect(observer.end()).toBeUndefined();
    expect(frames).toEqual(['one', 'two', 'three']);
    expect(failures()).toEqual([]);
  });

  test('is one with the coding identity as well', () => {
    const { observer, frames } = watch(new NdjsonParser(1_000), 'identity');
    observer.push(Buffer.from('one\n'));
    expect(frames).toEqual(['one']);
  });

  test('that is too long for its parser is one event, and the frames before it stand', () => {
    const { observer, frames, failures } = watch(new SseParser(20));
    observer.push(Buffer.from(`data: a\n\ndata: ${'b'.repeat(40)}\n\ndata: c\n\n`));
    observer.push(Buffer.from('data: d\n\n'));
    expect(observer.end()).toBeUndefined();
    expect(frames).toEqual(['a']);
    expect(failures()).toEqual([
      {
        decoder: 'sse_data',
        decoderErrorCode: 'frame_too_large',
        decoderErrorDetail: expect.stringContaining('20'),
        decoderStage: 'protocol_frame_parse',
        bytesIn: 66,
        bytesOut: 1,
        direction: 'server_to_client',
        http2StreamId: 9,
      },
    ]);
  });

  test('after cancel nothing more is seen, and nothing is told', () => {
    const { observer, frames, failures } = watch();
    observer.push(Buffer.from('one\ntwo'));
    observer.cancel();
    observer.push(Buffer.from('\nthree\n'));
    expect(observer.end()).toBeUndefined();
    expect([frames, failures()]).toEqual([['one'], []]);
  });
});

describe('a coded body', () => {
  test('is decoded first; its end resolves behind the last frame', async () => {
    const { observer, frames, failures } = watch(new NdjsonParser(1_000), 'gzip');
    observer.push(gzipSync('one\ntwo\nthree'));
    const ended = observer.end();
    expect(ended).toBeInstanceOf(Promise);
    await ended;
    expect([frames, failures()]).toEqual([['one', 'two', 'three'], []]);
  });

  test('that can not be decoded is one event of its coding, and its end resolves', async () => {
    const { observer, frames, failures } = watch(new NdjsonParser(1_000), 'gzip');
    observer.push(Buffer.from('no gzip at all'));
    await observer.end();
    observer.push(Buffer.from('more'));
    expect(frames).toEqual([]);
    expect(failures()).toMatchObject([
      {
        decoder: 'gzip',
        decoderErrorCode: 'invalid_coding',
        decoderStage: 'content_decode',
        bytesIn: 14,
        bytesOut: 0,
      },
    ]);
  });

  test('of an unknown coding is told with its first bytes', () => {
    const { observer, failures } = watch(new NdjsonParser(1_000), 'gzip, lzma');
    observer.push(Buffer.from('x'));
    expect(failures()).toMatchObject([{ decoder: 'lzma', decoderErrorCode: 'unknown_coding' }]);
    expect(observer.end()).toBeUndefined();
  });

  test('may keep body.maxDecoderBytes waiting to be decoded', () => {
    const { observer, failures } = watch(new NdjsonParser(1_000), 'gzip', { body: { maxDecoderBytes: 10 } });
    observer.push(gzipSync('a line of some length\n'));
    expect(failures()).toMatchObject([{ decoder: 'gzip', decoderErrorCode: 'too_slow' }]);
  });

  test('whose frames are wrong is decoded no further, and its end resolves', async () => {
    const { observer, frames, failures } = watch(new NdjsonParser(10), 'gzip');
    observer.push(gzipSync(`one\n${'x'.repeat(50)}\n`));
    await observer.end();
    expect(frames).toEqual(['one']);
    expect(failures()).toMatchObject([{ decoder: 'ndjson_line', decoderErrorCode: 'frame_too_large' }]);
  });

  test('that is cancelled lets whoever waits for its end go on', async () => {
    const { observer, failures } = watch(new NdjsonParser(1_000), 'gzip');
    observer.push(gzipSync('one\n').subarray(0, 12));
    const ended = observer.end();
    observer.cancel();
    await ended;
    expect(failures()).toEqual([]);
  });
});

function message(bytes: Buffer, flags: number): Buffer {
  const prefix = Buffer.from([flags, 0, 0, 0, bytes.length]);
  return Buffer.concat([prefix, bytes]);
}

describe('gRPC', () => {
  test('a message that can not be inflated is told once, and those behind it are shown', () => {
    const { observer, frames, failures } = watch(new GrpcParser(1_000, 'grpc', 'gzip'));
    const bad = Buffer.from('no gzip');
    observer.push(Buffer.concat([message(bad, 1), message(bad, 1), message(gzipSync('good'), 1)]));
    void observer.end();
    expect(frames).toEqual(['no gzip', 'no gzip', 'good']);
    expect(failures()).toMatchObject([
      {
        decoder: 'grpc_message',
        decoderErrorCode: 'invalid_coding',
        decoderStage: 'payload_parse',
        bytesIn: 7,
        bytesOut: 0,
      },
    ]);
  });

  test('a prefix that is wrong fails as the envelope', () => {
    const { observer, failures } = watch(new GrpcParser(1_000));
    observer.push(message(Buffer.from('x'), 9));
    expect(failures()).toMatchObject([
      { decoderErrorCode: 'invalid_compressed_flag', decoderStage: 'envelope_parse', bytesIn: 6 },
    ]);
  });
});

function raise(error: unknown): void {
  // oxlint-disable-next-line typescript/only-throw-error -- a parser of somebody else may throw anything
  if (error !== undefined) throw error;
}

describe("a parser of the user's own", () => {
  const facts: FrameFacts = { kind: 'ndjson_line', isPartial: false };
  function parser(wrong: { push?: unknown; end?: unknown }): FrameParser {
    return {
      kind: 'ndjson_line',
      push: (bytes, emit) => {
        emit(bytes, facts);
        raise(wrong.push);
      },
      end: () => raise(wrong.end),
    };
  }

  test.each([
    ['anything while it reads', { push: new TypeError('mine') }, 'framer_failed', undefined],
    ['what is no error', { push: 'text' }, 'framer_failed', undefined],
    ['anything at the end', { end: new Error('mine') }, 'framer_failed', undefined],
    [
      'a FrameError',
      { push: new FrameError('invalid_frame', 'no such frame') },
      'invalid_frame',
      'no such frame',
    ],
    ['a FrameError at the end', { end: new FrameError('truncated_frame', 'cut') }, 'truncated_frame', 'cut'],
  ])('may throw %s', (_what, wrong, code, detail) => {
    const { observer, frames, failures, logs } = watch(parser(wrong));
    observer.push(Buffer.from('one'));
    void observer.end();
    observer.push(Buffer.from('two'));
    expect(frames).toEqual(['one']);
    expect(failures()).toMatchObject([{ decoderErrorCode: code, decoderErrorDetail: detail }]);
    expect(logs.map(({ msg }) => msg)).toEqual(code === 'framer_failed' ? ['framer failed'] : []);
  });
});
