import fc from 'fast-check';
import { expect, test } from 'vitest';

import { EventStreamParser } from '../../src/frames/event-stream.ts';
import { FrameError } from '../../src/frames/frame.ts';
import { errorOf } from '../wire-text.ts';
import { encodeMessage, header, prelude, textHeader, uint32 } from './event-stream-messages.ts';
import { cutBodies, expectSameUnderSplits, runFrames, runWhole, singleBytes } from './frame-runs.ts';

const payload = "{'foo':'bar'}";

// The messages that the clients of AWS are tested with.
test.each([
  ['an empty message', '000000100000000005c248eb7d98c8ff', '', []],
  ['a message without headers', '0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936', payload, []],
  [
    'a message with a header',
    '0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1',
    payload,
    [{ name: 'content-type', type: 'string', value: 'application/json' }],
  ],
  [
    'a message with a number',
    '0000002d0000001041c424b80a6576656e742d747970650400 00a00c7b27666f6f273a27626172277d36f480a0'.replace(
      ' ',
      '',
    ),
    payload,
    [{ name: 'event-type', type: 'integer', value: 40_972 }],
  ],
])('known bytes: %s', (_name, hex, expected, headers) => {
  const run = runWhole(new EventStreamParser(1024), Buffer.from(hex, 'hex'));
  expect(run).toMatchObject({
    payloads: [expected],
    facts: [{ kind: 'event_stream_message', headers }],
    errors: [],
  });
});

test('messages follow one another', () => {
  const body = Buffer.concat([
    encodeMessage([textHeader(':event-type', 'a')], 'one'),
    encodeMessage([], ''),
    encodeMessage([textHeader(':event-type', 'b'), header('x', 0, Buffer.alloc(0))], 'two'),
  ]);
  const run = runWhole(new EventStreamParser(1024), body);
  expect(run.payloads).toEqual(['one', '', 'two']);
  expect(run.facts.map(({ headers }) => headers.length)).toEqual([1, 0, 2]);
});

test('a payload within one chunk is a view of it', () => {
  const chunk = encodeMessage([], 'payload');
  const views: Uint8Array[] = [];
  new EventStreamParser(1024).push(chunk, (view) => views.push(view));
  expect(views[0]?.buffer).toBe(chunk.buffer);
});

function flipped(body: Buffer, at: number): Buffer {
  const copy = Buffer.from(body);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

const good = encodeMessage([textHeader('a', 'b')], 'payload');

test.each([
  ['the length', 0, 'the CRC-32 of a message prelude is wrong'],
  ['the length of the headers', 7, 'the CRC-32 of a message prelude is wrong'],
  ['the checksum of the prelude', 8, 'the CRC-32 of a message prelude is wrong'],
  ['a header', 13, 'the CRC-32 of a message is wrong'],
  ['the payload', good.length - 5, 'the CRC-32 of a message is wrong'],
  ['the checksum', good.length - 1, 'the CRC-32 of a message is wrong'],
])('one wrong bit in %s is found', (_place, at, message) => {
  const run = runWhole(new EventStreamParser(1024), Buffer.concat([good, flipped(good, at), good]));
  expect(run).toMatchObject({
    payloads: ['payload'],
    errors: [`checksum_mismatch: ${message}`],
    faultyFrames: [2],
  });
});

test.each([
  [
    'a message shorter than its overhead',
    prelude(15, 0),
    "invalid_frame: a message of 15 bytes can't have 0 bytes of headers",
  ],
  [
    'headers longer than the message',
    prelude(20, 5),
    "invalid_frame: a message of 20 bytes can't have 5 bytes of headers",
  ],
  [
    'a message above the limit',
    prelude(1025, 0),
    'frame_too_large: a message of 1025 bytes is longer than the limit of 1024',
  ],
  [
    'a message of 4 GiB',
    prelude(0xffff_ffff, 0),
    'frame_too_large: a message of 4294967295 bytes is longer than the limit of 1024',
  ],
  ['headers that do not add up', encodeMessage([Buffer.of(0)], ''), 'invalid_frame: a header has no name'],
  ['text', Buffer.from('data: hello\n\n'), 'checksum_mismatch: the CRC-32 of a message prelude is wrong'],
])('refused: %s', (_rule, bytes, error) => {
  expect(runFrames(new EventStreamParser(1024), [bytes, good])).toMatchObject({
    payloads: [],
    errors: [error],
  });
});

test('headers above 128 KiB are refused whatever the limit', () => {
  const run = runWhole(new EventStreamParser(1 << 24), prelude(1 << 20, 131_073));
  expect(run.errors).toEqual([
    'frame_too_large: headers of 131073 bytes are longer than the limit of 131072',
  ]);
});

test('a message at the limit is read', () => {
  expect(runWhole(new EventStreamParser(good.length), good)).toMatchObject({
    payloads: ['payload'],
    errors: [],
  });
  expect(runWhole(new EventStreamParser(good.length - 1), good).payloads).toEqual([]);
});

test.each([
  ['between messages', good.length, []],
  ['inside a prelude', 11, ['truncated_frame: the body ends after 11 of the 12 bytes before a message']],
  [
    'behind a prelude',
    12,
    [
      `truncated_frame: the body ends ${good.length - 12} bytes before the end of a message of ${good.length}`,
    ],
  ],
  [
    'before the last byte',
    good.length - 1,
    [`truncated_frame: the body ends 1 bytes before the end of a message of ${good.length}`],
  ],
])('a body that ends %s', (_place, length, errors) => {
  for (const pieces of [[good.subarray(0, length)], singleBytes(good.subarray(0, length))]) {
    expect(runFrames(new EventStreamParser(1024), pieces).errors).toEqual(errors);
  }
});

test('an error says by how much', () => {
  const parser = new EventStreamParser(1024);
  parser.push(good.subarray(0, 20), () => undefined);
  const error = errorOf(() => parser.end(() => undefined));
  expect(error).toBeInstanceOf(FrameError);
  expect(error).toMatchObject({
    code: 'truncated_frame',
    facts: { sequence: 1, declaredBytes: good.length, missingBytes: good.length - 20 },
  });
});

test('every split gives the same messages', () => {
  const parts = [
    good,
    encodeMessage([], ''),
    encodeMessage([], 'x'.repeat(100)),
    encodeMessage([Buffer.of(0)], ''),
    flipped(good, 20),
    prelude(500, 0),
    uint32(1),
  ];
  expectSameUnderSplits(() => new EventStreamParser(100), cutBodies(parts, 8));
  expectSameUnderSplits(() => new EventStreamParser(1024), cutBodies(parts.slice(0, 3), 8));
});

test('garbage ends in one error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const run = runFrames(new EventStreamParser(100), singleBytes(bytes));
      expect(run.errors).toHaveLength(bytes.length > 0 ? 1 : 0);
    }),
  );
});
