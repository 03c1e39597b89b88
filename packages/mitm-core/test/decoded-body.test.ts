// A handler reads bodies without their codings, or as they came and marked.
import { HeaderMap } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { Capture } from '../src/capture.ts';
import { decodedBody, noBytes } from '../src/decoded-body.ts';
import { isPromise } from '../src/flow-queue.ts';
import { gzipped, testEngine } from './engine-fixture.ts';

const { engine } = testEngine();

function captured(bytes: string | Buffer, maxBytes = 10_000): Capture {
  const capture = new Capture(maxBytes, engine.budget);
  capture.push(Buffer.from(bytes));
  return capture;
}

describe('nothing to decode: answered at once', () => {
  test.each([
    ['a body without a coding', 'plain', [], 'plain', false],
    ['a body of which only a part was kept', 'plain', [], 'pla', true],
    ['no body, whatever its coding', '', ['Content-Encoding', 'gzip'], '', false],
  ])('%s', (_what, body, headers, expected, isTruncated) => {
    const capture = captured(body, isTruncated ? expected.length : 100);
    expect(decodedBody(capture, new HeaderMap(headers), 100)).toEqual({
      bytes: Buffer.from(expected),
      isTruncated,
      hasError: false,
    });
  });
});

describe('a coded body', () => {
  const gzip = new HeaderMap(['Content-Encoding', 'gzip']);
  test.each([
    [
      'is decoded',
      gzipped,
      gzip,
      1_000,
      { bytes: Buffer.from('plain text'), isTruncated: false, hasError: false },
    ],
    [
      'has the codings of all its fields',
      gzipped,
      new HeaderMap(['content-encoding', 'identity', 'Content-Encoding', 'gzip']),
      1_000,
      { bytes: Buffer.from('plain text'), isTruncated: false, hasError: false },
    ],
    [
      'of an unknown coding is as it came',
      gzipped,
      new HeaderMap(['Content-Encoding', 'lzma']),
      1_000,
      { bytes: gzipped, isTruncated: false, hasError: true },
    ],
    [
      'that is none is as it came',
      Buffer.from('no gzip'),
      gzip,
      1_000,
      { bytes: Buffer.from('no gzip'), isTruncated: false, hasError: true },
    ],
    [
      'that grows too large is as it came',
      gzipped,
      gzip,
      3,
      { bytes: gzipped, isTruncated: true, hasError: true },
    ],
  ])('%s', async (_rule, body, headers, most, expected) => {
    const answer = decodedBody(captured(body), headers, most);
    expect(isPromise(answer)).toBe(true);
    expect(await answer).toEqual(expected);
  });

  test('of which only a part was kept is decoded as far as it goes, and marked', async () => {
    const capture = captured(gzipped, gzipped.length - 8);
    expect(await decodedBody(capture, gzip, 1_000)).toEqual({
      bytes: Buffer.from('plain text'),
      isTruncated: true,
      hasError: false,
    });
  });
});

test('the body of a message without one is empty, whole and good', () => {
  expect(noBytes).toEqual({ bytes: Buffer.alloc(0), isTruncated: false, hasError: false });
});
