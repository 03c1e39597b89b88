import fc from 'fast-check';
import { expect, test } from 'vitest';

import { BodyFramer, encodeChunkHead, encodeLastChunk } from '../src/body-framer.ts';
import { HttpError } from '../src/errors.ts';
import { chunkedBody, noBody, untilCloseBody } from '../src/framing.ts';
import type { BodyFraming } from '../src/framing.ts';
import { bytesOf, codeOf, readBody, splits } from './wire-text.ts';

const five: BodyFraming = { kind: 'length', length: 5 };

test.each([
  ['no body', noBody, 'next', { payload: '', rest: 'next' }],
  ['a length of 0', { kind: 'length', length: 0 } as const, 'next', { payload: '', rest: 'next' }],
  ['a length', five, 'hellonext', { payload: 'hello', rest: 'next' }],
  ['until the end', untilCloseBody, 'hellonext', { payload: 'hellonext', rest: '' }],
  ['H1-05 one chunk', chunkedBody, '5\r\nhello\r\n0\r\n\r\nnext', { payload: 'hello', rest: 'next' }],
  [
    'chunks in any case',
    chunkedBody,
    'A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n',
    { payload: '0123456789'.repeat(2) },
  ],
  ['leading zeros', chunkedBody, '0005\r\nhello\r\n000\r\n\r\n', { payload: 'hello' }],
  ['extensions are dropped', chunkedBody, '5;a=b;c="d;e"\r\nhello\r\n0;x\r\n\r\n', { payload: 'hello' }],
  ['a space before an extension', chunkedBody, '5 \t; a = b\r\nhello\r\n0\r\n\r\n', { payload: 'hello' }],
  ['line ends are payload like any byte', chunkedBody, '4\r\n\r\n\r\n\r\n0\r\n\r\n', { payload: '\r\n\r\n' }],
  [
    'trailers',
    chunkedBody,
    '0\r\nX-Sum: 1\r\nx-b:2\r\n\r\nnext',
    { payload: '', trailers: ['X-Sum', '1', 'x-b', '2'], rest: 'next' },
  ],
  ['only an empty line is no trailer', chunkedBody, '0\r\n\r\n', { trailers: undefined }],
])('a body: %s', (_rule, framing, text, expected) => {
  expect(readBody([bytesOf(text)], framing)).toMatchObject({ isDone: true, error: 'accepted', ...expected });
});

test.each([
  ['no size', '\r\n', 'invalid_chunk'],
  ['a sign', '+5\r\n', 'invalid_chunk'],
  ['a negative size', '-5\r\n', 'invalid_chunk'],
  ['0x', '0x5\r\n', 'invalid_chunk'],
  ['a space before the size', ' 5\r\n', 'invalid_chunk'],
  ['a space behind the size', '5 \r\n', 'invalid_chunk'],
  ['an underscore', '1_0\r\n', 'invalid_chunk'],
  ['no hexadecimal digit', 'g\r\n', 'invalid_chunk'],
  ['an extension without a size', ';a\r\n', 'invalid_chunk'],
  ['digits behind a space', '5 5\r\n', 'invalid_chunk'],
  ['17 digits', '00000000000000005\r\n', 'invalid_chunk'],
  ['2^53', '20000000000000\r\n', 'invalid_chunk'],
  ['2^64 + 2', '10000000000000002\r\n', 'invalid_chunk'],
  ['a bare LF behind the size', '5\nhello', 'invalid_chunk'],
  ['a bare CR behind the size', '5\rhello', 'invalid_chunk'],
  ['a bare LF in an extension', '5;a\nhello', 'invalid_chunk'],
  ['a bare CR in an extension', '5;a\rb\r\n', 'invalid_chunk'],
  ['NUL in an extension', '5;\u0000\r\n', 'invalid_chunk'],
  ['data longer than its size', '5\r\nhello!\r\n', 'invalid_chunk'],
  ['no line end behind data', '5\r\nhello0\r\n', 'invalid_chunk'],
  ['a bare LF behind data', '5\r\nhello\n0\r\n', 'invalid_chunk'],
  ['a bare CR behind data', '5\r\nhello\r0\r\n', 'invalid_chunk'],
  ['a long extension', `5;${'x'.repeat(8192)}\r\n`, 'chunk_line_too_large'],
  ['a size without end', '0'.repeat(20), 'invalid_chunk'],
  ['long trailers', `0\r\nX: ${'x'.repeat(65_536)}\r\n\r\n`, 'trailers_too_large'],
  ['a length in trailers', '0\r\nContent-Length: 5\r\n\r\n', 'forbidden_trailer'],
  ['a folded trailer', '0\r\nX: a\r\n b\r\n\r\n', 'obsolete_line_folding'],
  ['a bare LF in trailers', '0\r\nX: a\n\r\n', 'bare_line_feed'],
])('a chunked body is refused: %s', (_rule, text, code) => {
  expect(readBody([bytesOf(text)], chunkedBody).error).toBe(code);
});

test.each([
  ['a chunk line at its limit', `1;${'x'.repeat(12)}\r\na\r\n0\r\n\r\n`, 'accepted'],
  ['a chunk line above it', `1;${'x'.repeat(13)}\r\na\r\n0\r\n\r\n`, 'chunk_line_too_large'],
  ['trailers at their limit', `0\r\nX: ${'x'.repeat(9)}\r\n\r\n`, 'accepted'],
  ['trailers above it', `0\r\nX: ${'x'.repeat(10)}\r\n\r\n`, 'trailers_too_large'],
])('limits of 16 bytes: %s', (_rule, text, outcome) => {
  const limits = { maxChunkLineBytes: 16, maxTrailerBytes: 16 };
  expect(readBody([bytesOf(text)], chunkedBody, limits).error).toBe(outcome);
});

test.each([
  ['a length', five, 'hell'],
  ['a chunk size', chunkedBody, '5'],
  ['a chunk', chunkedBody, '5\r\nhell'],
  ['the last chunk', chunkedBody, '5\r\nhello\r\n'],
  ['the empty line behind it', chunkedBody, '5\r\nhello\r\n0\r\n'],
  ['trailers', chunkedBody, '0\r\nX: a\r\n'],
])('a connection that ends too early is no end: %s', (_rule, framing, text) => {
  expect(readBody([bytesOf(text)], framing)).toMatchObject({ error: 'truncated_body', isDone: false });
});

test('the end of the connection completes a body that lasts until then', () => {
  const framer = new BodyFramer(untilCloseBody);
  expect(framer.isDone).toBe(false);
  framer.end();
  expect(framer.isDone).toBe(true);
});

test('a body without bytes is done at once and takes none', () => {
  const framer = new BodyFramer(noBody);
  expect(framer.isDone).toBe(true);
  expect(framer.push(bytesOf('next'), 0, () => expect.unreachable('there is no body'))).toBe(0);
});

test('pieces are views, a whole read is passed on as it is, and payload is counted', () => {
  const framer = new BodyFramer({ kind: 'length', length: 8 });
  const first = bytesOf('head|abc');
  const second = bytesOf('defgh');
  const pieces: Buffer[] = [];
  framer.push(first, 5, (piece) => pieces.push(piece));
  expect(framer.bytes).toBe(3);
  framer.push(second, 0, (piece) => pieces.push(piece));
  expect(pieces[0]?.buffer).toBe(first.buffer);
  expect(pieces[1]).toBe(second);
  expect(framer).toMatchObject({ bytes: 8, isDone: true });
});

test('a faulty body stays faulty', () => {
  const framer = new BodyFramer(chunkedBody);
  const push = (text: string) => codeOf(() => framer.push(bytesOf(text), 0, () => undefined));
  expect(push('x')).toBe('invalid_chunk');
  expect(push('0\r\n\r\n')).toBe('invalid_chunk');
  expect(codeOf(() => framer.end())).toBe('truncated_body');
});

test('chunks and their end are written as they are read', () => {
  expect(encodeChunkHead(255)).toBe('ff\r\n');
  expect(encodeLastChunk()).toBe('0\r\n\r\n');
  expect(encodeLastChunk(['X-Sum', '1'])).toBe('0\r\nX-Sum: 1\r\n\r\n');
  expect(codeOf(() => encodeLastChunk(['X', 'a\r\nb']))).toBe('invalid_header_value');
});

test.each([0, -1, 1.5, 2 ** 53])('a chunk of %d bytes is not written', (size) => {
  expect(() => encodeChunkHead(size)).toThrow(RangeError);
});

const chunkTexts = fc.array(
  fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', '\u00ff'), minLength: 1 }),
  { maxLength: 5 },
);
const trailerLists = fc.option(fc.constantFrom(['X-Sum', '1'], ['a', '', 'A', 'b c']), { nil: undefined });
const chunkedBodies = fc.tuple(chunkTexts, trailerLists).map(([texts, trailers]) => ({
  payload: texts.join(''),
  trailers,
  bytes: bytesOf(
    `${texts.map((text) => `${encodeChunkHead(text.length)}${text}\r\n`).join('')}${encodeLastChunk(trailers)}next`,
  ),
}));

test('law: every split of a chunked body gives the same payload, trailers and rest', () => {
  const cases = chunkedBodies.chain((body) => fc.tuple(fc.constant(body), splits(body.bytes)));
  fc.assert(
    fc.property(cases, ([{ payload, trailers }, pieces]) => {
      const expected = { payload, trailers, isDone: true, rest: 'next', error: 'accepted' };
      expect(readBody(pieces, chunkedBody)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('law: garbage is a body or an HttpError, the same for every split', () => {
  const part = fc.constantFrom(
    '0',
    '5',
    'a',
    'f',
    ';',
    ' ',
    '\r',
    '\n',
    '\r\n',
    '0\r\n',
    'hello\r\n',
    '1\r\na\r\n',
    ':',
    'X: y',
    '\u0000',
  );
  const cases = fc
    .array(part, { maxLength: 15 })
    .map((parts) => bytesOf(parts.join('')))
    .chain((bytes) => fc.tuple(fc.constant(bytes), splits(bytes)));
  fc.assert(
    fc.property(cases, ([bytes, pieces]) => {
      const whole = readBody([bytes], chunkedBody);
      expect(whole.error).not.toBeInstanceOf(Error);
      expect(readBody(pieces, chunkedBody)).toEqual(whole);
    }),
    { numRuns: 1000 },
  );
});

test('law: a length takes exactly its bytes', () => {
  fc.assert(
    fc.property(fc.nat(40), splits(bytesOf('x'.repeat(40))), (length, pieces) => {
      const { payload, rest } = readBody(pieces, { kind: 'length', length });
      expect([payload.length, rest.length]).toEqual([length, 40 - length]);
    }),
  );
});

test('an error thrown by whoever takes the payload comes through unchanged', () => {
  const framer = new BodyFramer(five);
  const taking = (): void => {
    framer.push(bytesOf('hello'), 0, () => {
      throw new RangeError('full');
    });
  };
  expect(taking).toThrow(RangeError);
  expect(taking).not.toThrow(HttpError);
});
