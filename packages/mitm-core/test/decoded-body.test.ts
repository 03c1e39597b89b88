// A handler reads bodies without their codings and guards, or as they came and marked, and is told what was done.
import { gzipSync } from 'node:zlib';

import { HeaderMap } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { Capture } from '../src/capture.ts';
import { type DecodedBody, decodedBody, noBytes } from '../src/decoded-body.ts';
import { isPromise } from '../src/flow-queue.ts';
import type { Awaitable } from '../src/handler.ts';
import type { Direction } from '../src/messages.ts';
import { gzipped, openExchangeFlow, testEngine } from './engine-fixture.ts';

const { engine, recorder } = testEngine();

function captured(bytes: string | Buffer, maxBytes = 10_000): Capture {
  const capture = new Capture(maxBytes, engine.budget);
  capture.push(Buffer.from(bytes));
  return capture;
}

function decode(
  capture: Capture,
  headers: readonly string[],
  maxSizeBytes = 1_000,
  direction: Direction = 'server_to_client',
): Awaitable<DecodedBody> {
  const flow = openExchangeFlow(testEngine({ body: { maxSizeBytes } }).engine);
  return decodedBody(capture, { flow, headers: new HeaderMap(headers), direction });
}

const json = ['Content-Type', 'application/json; charset=utf-8'];
const guarded = `)]}'\n{"a":1}`;

describe('nothing to decode: answered at once', () => {
  test.each([
    ['a body without a coding', 'plain', [], 'plain', false],
    ['a body of which only a part was kept', 'plain', [], 'pla', true],
    ['no body, whatever its coding', '', ['Content-Encoding', 'gzip'], '', false],
    ['the coding that is none', 'plain', ['Content-Encoding', 'identity'], 'plain', false],
    ['JSON without a guard', '{"a":1}', json, '{"a":1}', false],
    ['a guard where no script is', guarded, ['Content-Type', 'text/plain'], guarded, false],
  ])('%s', (_what, body, headers, expected, isTruncated) => {
    const capture = captured(body, isTruncated ? expected.length : 100);
    expect(decode(capture, headers)).toEqual({
      bytes: Buffer.from(expected),
      isTruncated,
      hasError: false,
      decoding: undefined,
    });
  });

  test('a guard in a request', () => {
    expect(decode(captured(guarded), json, 1_000, 'client_to_server')).toMatchObject({
      bytes: Buffer.from(guarded),
      decoding: undefined,
    });
  });
});

describe('a coded body', () => {
  const gzip = ['Content-Encoding', 'gzip'];
  const applied = [{ stage: 'content_decode', status: 'applied', bytesIn: gzipped.length, bytesOut: 10 }];
  test.each([
    [
      'is decoded',
      gzipped,
      gzip,
      1_000,
      {
        bytes: Buffer.from('plain text'),
        isTruncated: false,
        hasError: false,
        decoding: { stages: applied },
      },
    ],
    [
      'has the codings of all its fields',
      gzipped,
      ['content-encoding', 'identity', 'Content-Encoding', 'gzip'],
      1_000,
      { bytes: Buffer.from('plain text'), isTruncated: false, hasError: false },
    ],
    [
      'of an unknown coding is as it came',
      gzipped,
      ['Content-Encoding', 'lzma'],
      1_000,
      {
        bytes: gzipped,
        isTruncated: false,
        hasError: true,
        decoding: {
          stages: [
            {
              stage: 'content_decode',
              status: 'failed',
              failure: { stage: 'content_decode', code: 'stage_failed', detail: 'unknown_coding:lzma' },
            },
          ],
        },
      },
    ],
    [
      'that is none is as it came',
      Buffer.from('no gzip'),
      gzip,
      1_000,
      { bytes: Buffer.from('no gzip'), isTruncated: false, hasError: true },
    ],
    [
      'that grows too large is cut',
      gzipped,
      gzip,
      3,
      { bytes: Buffer.from('pla'), isTruncated: true, hasError: false },
    ],
  ])('%s', async (_rule, body, headers, most, expected) => {
    const answer = decode(captured(body), headers, most);
    expect(isPromise(answer)).toBe(true);
    expect(await answer).toMatchObject(expected);
  });

  test('of which only a part was kept is decoded as far as it goes, and marked', async () => {
    const capture = captured(gzipped, gzipped.length - 8);
    expect(await decode(capture, gzip)).toMatchObject({
      bytes: Buffer.from('plain text'),
      isTruncated: true,
      hasError: false,
    });
  });

  test('of a request is decoded as well', async () => {
    const decoded = await decode(captured(gzipped), [...json, ...gzip], 1_000, 'client_to_server');
    expect([decoded.bytes.toString(), decoded.decoding?.stages.length]).toEqual(['plain text', 1]);
  });

  test('that fails is one event of its flow', async () => {
    const flow = openExchangeFlow(engine);
    flow.http2StreamId = 5;
    const headers = new HeaderMap(['Content-Encoding', 'br, lzma']);
    await decodedBody(captured('four'), { flow, headers, direction: 'client_to_server' });
    const failures = recorder.events().filter(({ kind }) => kind === 'decoder_failed');
    expect(failures).toMatchObject([
      {
        decoder: 'lzma',
        decoderErrorCode: 'unknown_coding',
        decoderStage: 'content_decode',
        bytesIn: 4,
        bytesOut: 0,
        direction: 'client_to_server',
        http2StreamId: 5,
      },
    ]);
  });
});

describe('JSON behind a guard', () => {
  const found = {
    sanitized: 'true',
    sanitized_prefix: 'xssi_angular_prefix_lf',
    sanitized_provenance: 'anti_hijack_prefix:xssi_angular_prefix_lf',
  };

  test('is shown without it, and the guard is named', async () => {
    const decoded = await decode(captured(guarded), json);
    expect(decoded).toMatchObject({ isTruncated: false, hasError: false });
    expect(JSON.parse(decoded.bytes.toString())).toEqual({ a: 1 });
    expect(decoded.decoding).toEqual({
      stages: [{ stage: 'payload_parse', status: 'applied', bytesIn: 12, bytesOut: 7 }],
      attributes: found,
    });
  });

  test('is first decoded, whatever its pieces were', async () => {
    const coded = gzipSync(guarded);
    const capture = new Capture(1_000, engine.budget);
    for (const byte of coded) capture.push(Buffer.of(byte));
    const decoded = await decode(capture, [...json, 'Content-Encoding', 'gzip']);
    expect(decoded.bytes.toString()).toBe('{"a":1}');
    expect(decoded.decoding).toEqual({
      stages: [
        { stage: 'content_decode', status: 'applied', bytesIn: coded.length, bytesOut: 12 },
        { stage: 'payload_parse', status: 'applied', bytesIn: 12, bytesOut: 7 },
      ],
      attributes: found,
    });
  });

  test('is not looked for where the coding can not be undone', async () => {
    const decoded = await decode(captured(guarded), [...json, 'Content-Encoding', 'gzip']);
    expect(decoded.bytes.toString()).toBe(guarded);
    expect(decoded.decoding?.stages.map(({ status }) => status)).toEqual(['failed', 'blocked']);
  });
});

test('the body of a message without one is empty, whole and good', () => {
  expect(noBytes).toEqual({
    bytes: Buffer.alloc(0),
    isTruncated: false,
    hasError: false,
    decoding: undefined,
  });
});
