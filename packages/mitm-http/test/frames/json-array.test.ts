import fc from 'fast-check';
import { expect, test } from 'vitest';

import { JsonValueParser } from '../../src/frames/json-array.ts';
import type { JsonForm } from '../../src/frames/json-array.ts';
import { cutBodies, cuts, expectSameUnderSplits, runFrames, runWhole, singleBytes } from './frame-runs.ts';
import type { AnyParser, Run } from './frame-runs.ts';

function read<Facts>(parser: AnyParser<Facts>, text: string): Run<Facts> {
  return runWhole(parser, Buffer.from(text));
}

test.each([
  ['elements of an array', '[{"a":1},\n{"b":2}]', ['{"a":1}', '{"b":2}']],
  ['an array over lines', '[{\n  "a": 1\n}\n,\r\n{"b":2}\n]\n', ['{\n  "a": 1\n}', '{"b":2}']],
  ['elements of all types', '[1,"a",true,null,[2],{}]', ['1', '"a"', 'true', 'null', '[2]', '{}']],
  ['an empty array', ' [ ] ', []],
  ['arrays in arrays are elements', '[[1,2],[[3]]]', ['[1,2]', '[[3]]']],
  ['arrays one after another', '[1][2]\n[]', ['1', '2']],
  [
    'values one after another',
    '{"a":1}{"b":2} {"c":3}\n"d" 4 5\ntrue',
    ['{"a":1}', '{"b":2}', '{"c":3}', '"d"', '4', '5', 'true'],
  ],
  ['strings need no whitespace between them', '"a""b"', ['"a"', '"b"']],
  ['a single object', '{"a":[1,{"b":"}"}]}', ['{"a":[1,{"b":"}"}]}']],
  ['brackets and commas in strings', '["]",{"a":"}{,"},"["]', ['"]"', '{"a":"}{,"}', '"["']],
  ['an escaped quote', String.raw`["\"]",{"\"}":"\""}]`, [String.raw`"\"]"`, String.raw`{"\"}":"\""}`]],
  [
    'an escaped backslash before a quote',
    String.raw`["\\",{"a":"\\\\"}]`,
    [String.raw`"\\"`, String.raw`{"a":"\\\\"}`],
  ],
  ['an odd row of backslashes', String.raw`["\\\"]"]`, [String.raw`"\\\"]"`]],
  ['numbers as they are written', '[-1.5e+3,0]', ['-1.5e+3', '0']],
  ['a byte order mark is passed over', '\ufeff[1]', ['1']],
  ['nothing', '', []],
  ['whitespace', ' \t\r\n', []],
  ['what a value has within is not checked', '[{"a" "b",,},truth]', ['{"a" "b",,}', 'truth']],
])('JSON values: %s', (_rule, text, expected) => {
  const run = read(new JsonValueParser(256), text);
  expect(run).toMatchObject({ payloads: expected, errors: [] });
});

test.each([
  ['a comma at the start', '[,1]', [], '2c'],
  ['two commas', '[1,,2]', ['1'], '2c'],
  ['a comma at the end', '[1,]', ['1'], '5d'],
  ['no comma', '[1 2]', ['1'], '32'],
  ['a colon', '[1:2]', ['1'], '3a'],
  ['a comma outside an array', '1,2', ['1'], '2c'],
  ['a bracket outside an array', '1]', ['1'], '5d'],
  ['a brace that closes nothing', '}', [], '7d'],
  ['a value behind an array needs no comma, a comma is wrong', '[1],2', ['1'], '2c'],
  ['text', '<html>', [], '3c'],
  ['a control character', '[\u0000', [], '00'],
  ['half a byte order mark', '\u00ef[1]', [], '5b'],
  ['a byte order mark later', '1 \u00ef\u00bb\u00bf2', ['1'], 'ef'],
  ['a record separator outside a sequence', '1\u001e2', ['1'], '1e'],
])('no JSON values: %s', (_rule, text, payloads, byte) => {
  const body = Buffer.from(text, 'latin1');
  expect(runFrames(new JsonValueParser(256), [body, Buffer.from('[3]')])).toMatchObject({
    payloads,
    errors: [`invalid_frame: the byte 0x${byte} stands where a JSON value or its end should`],
  });
});

test.each([
  ['an object', '[{"a":1},{"b":', ['{"a":1}', '{"b":'], [false, true]],
  ['a string', '"abc', ['"abc'], [true]],
  ['an escape', String.raw`["\\\"`, [String.raw`"\\\"`], [true]],
  ['an element that may go on', '[1,23', ['1', '23'], [false, true]],
  ['a number that the end completes', '1 23', ['1', '23'], [false, false]],
])('a value that the end of the body cuts is shown and marked: %s', (_rule, text, payloads, marks) => {
  const run = read(new JsonValueParser(256), text);
  expect(run).toMatchObject({ payloads, errors: [] });
  expect(run.facts).toEqual(marks.map((isPartial) => ({ kind: 'json_value', isPartial })));
});

test.each(
  ['[', '[1', '[1,', '[1 '].map((text) => [
    text,
    text === '[1' ? [] : ['truncated_frame: the body ended inside an array'],
  ]),
)('an array that is not closed and no cut value shows it: %s', (text, errors) => {
  expect(read(new JsonValueParser(256), text).errors).toEqual(errors);
});

test.each([
  ['a text behind each separator', '\u001e{"a":1}\n\u001e[1,2]\n', ['{"a":1}', '[1,2]'], [false, false]],
  ['texts over lines', '\u001e{\n"a":1\n}\n', ['{\n"a":1\n}'], [false]],
  ['separators in a row', '\u001e\u001e1\n\u001e\n\u001e2\n', ['1', '2'], [false, false]],
  ['a text that is cut in an object', '\u001e{"a":\u001e{"b":2}\n', ['{"a":', '{"b":2}'], [true, false]],
  ['in a string', '\u001e{"a":"x\u001e"b"\n', ['{"a":"x', '"b"'], [true, false]],
  ['in a number', '\u001e12\u001e3\n', ['12', '3'], [true, false]],
  ['in a word at the end of the body', '\u001etru', ['tru'], [true]],
  ['behind an escape', '\u001e"\\\u001e"\\""\n', ['"\\', '"\\""'], [true, false]],
])('a sequence (RFC 7464): %s', (_rule, text, payloads, marks) => {
  const body = Buffer.from(text);
  for (const pieces of [[body], singleBytes(body)]) {
    const run = runFrames(new JsonValueParser(256, 'sequence'), pieces);
    expect(run).toMatchObject({ payloads, errors: [] });
    expect(run.facts.map(({ isPartial }) => isPartial)).toEqual(marks);
  }
});

test.each([
  ['at the limit', '["123456"]', 1, 0],
  ['above it', '["1234567"]', 0, 1],
  ['a string without end', '["12345678', 0, 1],
  ['a number without end', '123456789', 0, 1],
  ['brackets without end', '['.repeat(10), 0, 1],
  ['whitespace between values does not count', `[${' '.repeat(20)}1${' '.repeat(20)}]`, 1, 0],
  ['an array does not count', '[1,2,3,4,5,6]', 6, 0],
])('a limit of 8 bytes: %s', (_rule, text, frameCount, errorCount) => {
  const message = 'frame_too_large: a JSON value is longer than the limit of 8 bytes';
  for (const pieces of [[Buffer.from(text)], singleBytes(Buffer.from(text))]) {
    const run = runFrames(new JsonValueParser(8), pieces);
    expect(run.payloads).toHaveLength(frameCount);
    expect(run.errors).toEqual(Array.from({ length: errorCount }, () => message));
  }
});

test('a value comes with the byte that completes it', () => {
  const parser = new JsonValueParser(64);
  parser.push(Buffer.from('[{"a":[1]'), () => expect.unreachable('a brace is open'));
  const seen: string[] = [];
  parser.push(Buffer.from('}'), (payload) => seen.push(Buffer.from(payload).toString()));
  expect(seen).toEqual(['{"a":[1]}']);
});

test('the elements are those that JSON.parse finds, however the text is written and cut', () => {
  const texts = fc
    .tuple(fc.array(fc.jsonValue()), fc.constantFrom('', ' ', '\n', '\t\t'))
    .chain(([values, indent]) =>
      cuts(Buffer.from(JSON.stringify(values, undefined, indent))).map((pieces) => ({ values, pieces })),
    );
  fc.assert(
    fc.property(texts, ({ values, pieces }) => {
      const { payloads, errors } = runFrames(new JsonValueParser(1 << 20), pieces);
      expect(errors).toEqual([]);
      const seen: unknown[] = payloads.map((payload) =>
        JSON.parse(Buffer.from(payload, 'latin1').toString()),
      );
      expect(seen).toEqual(JSON.parse(JSON.stringify(values)));
    }),
  );
});

test.each<[JsonForm]>([['array'], ['sequence']])('every split gives the same values: %s', (form) => {
  const parts = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '\\"',
    '\\\\',
    '1',
    'true',
    ' ',
    '\n',
    '\u001e',
    '\ufeff',
    '"a"',
    '{"b":2}',
    '!',
  ];
  expectSameUnderSplits(() => new JsonValueParser(12, form), cutBodies(parts));
  expectSameUnderSplits(() => new JsonValueParser(1024, form), cutBodies(parts));
});

test('garbage is no value, or is held up to the limit and not further', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const run = runFrames(new JsonValueParser(16), singleBytes(bytes));
      expect(run.errors.length).toBeLessThanOrEqual(1);
      expect(Math.max(0, ...run.payloads.map((payload) => payload.length))).toBeLessThanOrEqual(16);
    }),
  );
});

test.each([
  ['escaped quotes', `"${String.raw`\"`.repeat(100_000)}"`, 1],
  ['backslashes', `"${'\\\\'.repeat(100_000)}"`, 1],
  ['brackets', `[${'['.repeat(100_000)}${']'.repeat(100_000)}]`, 1],
  ['short elements', `[${'{"a":"b"},'.repeat(100_000)}1]`, 100_001],
])(
  'a hundred thousand %s take no time to speak of',
  (_name, text, count) => {
    const body = Buffer.from(text);
    const pieces = Array.from({ length: Math.ceil(body.length / 7) }, (_, at) =>
      body.subarray(at * 7, at * 7 + 7),
    );
    expect(read(new JsonValueParser(1 << 20), text).payloads).toHaveLength(count);
    expect(runFrames(new JsonValueParser(1 << 20), pieces).payloads).toHaveLength(count);
  },
  10_000,
);
