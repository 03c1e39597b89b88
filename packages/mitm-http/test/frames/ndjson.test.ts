import fc from 'fast-check';
import { expect, test } from 'vitest';

import { NdjsonParser } from '../../src/frames/ndjson.ts';
import { cutBodies, cuts, expectSameUnderSplits, runFrames, runWhole } from './frame-runs.ts';

test.each([
  ['a line per LF', '{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
  ['one CR before LF belongs to the line end', '1\r\n2\n', ['1', '2']],
  ['only one CR does', '1\r\r\n', ['1\r']],
  ['a lone CR ends no line', '1\r2\n', ['1\r2']],
  ['empty lines are skipped', '\n\n1\n\n\n2\n\n', ['1', '2']],
  ['a line of a lone CR is empty', '\r\n1\r\n\r\n', ['1']],
  ['a last line without LF is emitted', '1\n2', ['1', '2']],
  ['its CR is removed too', '1\n2\r', ['1', '2']],
  ['nothing gives nothing', '', []],
  ['what is no JSON is a line as well', 'not json\n', ['not json']],
  ['NUL and 0xff are bytes like others', '\u0000\u00ff\n', ['\u0000\u00ff']],
])('lines: %s', (_rule, text, expected) => {
  expect(runWhole(new NdjsonParser(64), Buffer.from(text, 'latin1'))).toMatchObject({
    payloads: expected,
    errors: [],
  });
});

test('only a last line without a line end is marked', () => {
  expect(runWhole(new NdjsonParser(64), Buffer.from('1\n2\n3')).facts).toEqual([
    { kind: 'ndjson_line', isPartial: false },
    { kind: 'ndjson_line', isPartial: false },
    { kind: 'ndjson_line', isPartial: true },
  ]);
});

test.each([
  ['at the limit', '12345678\n', []],
  ['at the limit with CR LF', '12345678\r\n', []],
  ['at the limit without a line end', '12345678', []],
  ['at the limit with CR at the end', '12345678\r', []],
  ['above it', '123456789\n', ['frame_too_large: a line is longer than the limit of 8 bytes']],
  ['above it with CR LF', '123456789\r\n', ['frame_too_large: a line is longer than the limit of 8 bytes']],
  [
    'above it without a line end',
    '123456789',
    ['frame_too_large: a line is longer than the limit of 8 bytes'],
  ],
  [
    'a CR that no LF follows counts',
    '12345678\r1\n',
    ['frame_too_large: a line is longer than the limit of 8 bytes'],
  ],
])('a limit of 8 bytes: %s', (_rule, text, errors) => {
  const whole = runWhole(new NdjsonParser(8), Buffer.from(text));
  expect(whole.errors).toEqual(errors);
  expect(whole.payloads).toHaveLength(errors.length === 0 ? 1 : 0);
});

test('lines before a line that is too long are emitted, those behind it are not', () => {
  const run = runFrames(new NdjsonParser(4), [Buffer.from('1\n12345\n2\n'), Buffer.from('3\n')]);
  expect(run.payloads).toEqual(['1']);
  expect(run.errors).toHaveLength(1);
});

test('a line without end fails at the limit and not later', () => {
  const parser = new NdjsonParser(1000);
  const chunk = Buffer.alloc(100, 'x');
  for (let i = 0; i < 10; i++) parser.push(chunk, () => expect.unreachable('no line has ended'));
  expect(() => parser.push(chunk, () => undefined)).toThrow('1000');
});

test('every split gives the same lines', () => {
  expectSameUnderSplits(
    () => new NdjsonParser(9),
    cutBodies(['{"a":1}', '\n', '\r\n', '\r', '1', '12345', '\u00e4']),
  );
});

test('the lines of a text are those that JSON was written in', () => {
  const bodies = fc
    .array(fc.jsonValue())
    .map((values) => values.map((value) => JSON.stringify(value)))
    .chain((lines) =>
      cuts(Buffer.from(lines.map((line) => `${line}\n`).join(''))).map((pieces) => ({ lines, pieces })),
    );
  fc.assert(
    fc.property(bodies, ({ lines, pieces }) => {
      const { payloads } = runFrames(new NdjsonParser(1 << 20), pieces);
      expect(payloads.map((line) => Buffer.from(line, 'latin1').toString())).toEqual(lines);
    }),
  );
});

test('many short lines in a large chunk and many small chunks of a long line take no time to speak of', () => {
  const many = runWhole(new NdjsonParser(64), Buffer.from('{}\n'.repeat(100_000)));
  expect(many.payloads).toHaveLength(100_000);
  const long = runFrames(
    new NdjsonParser(1 << 20),
    Array.from({ length: 100_000 }, () => Buffer.from('12345678')),
  );
  expect(long.payloads.map((line) => line.length)).toEqual([800_000]);
}, 10_000);
