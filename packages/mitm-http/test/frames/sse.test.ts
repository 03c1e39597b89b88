import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SseParser } from '../../src/frames/sse.ts';
import type { SseFacts } from '../../src/frames/sse.ts';
import { cutBodies, cuts, expectSameUnderSplits, runFrames, runWhole, singleBytes } from './frame-runs.ts';
import type { Run } from './frame-runs.ts';

const facts: SseFacts = {
  kind: 'sse_data',
  event: undefined,
  id: undefined,
  lastEventId: '',
  retryMs: undefined,
  dataLineCount: 1,
  isPartial: false,
};

function read(text: string, maxBytes = 1024): Run<SseFacts> {
  return runWhole(new SseParser(maxBytes), Buffer.from(text));
}

test.each([
  ['an event ends with a blank line', 'data: a\n\ndata: b\n\n', ['a', 'b']],
  ['data lines are joined by LF', 'data: a\ndata: b\ndata: c\n\n', ['a\nb\nc']],
  ['CR LF ends lines', 'data: a\r\ndata: b\r\n\r\n', ['a\nb']],
  ['a lone CR ends lines', 'data: a\rdata: b\r\rdata: c\r\r', ['a\nb', 'c']],
  [
    'line ends may be mixed',
    'data: a\rdata: b\ndata: c\r\n\ndata: d\n\r\ndata: e\r\n\r',
    ['a\nb\nc', 'd', 'e'],
  ],
  ['LF CR is two line ends', 'data: a\n\rdata: b\n\r', ['a', 'b']],
  [
    'one space behind the colon is not part of the value',
    'data:a\n\ndata: b\n\ndata:  c\n\n',
    ['a', 'b', ' c'],
  ],
  ['a tab is', 'data:\ta\n\n', ['\ta']],
  ['the value goes on behind further colons', 'data: a:b: c\n\n', ['a:b: c']],
  ['data without a colon is an empty line', 'data\n\n', ['']],
  ['data with nothing behind the colon too', 'data:\n\ndata: \n\n', ['', '']],
  ['two of them are a line end', 'data\ndata\n\n', ['\n']],
  ['an empty line of data between others stays', 'data: a\ndata\ndata: b\n\n', ['a\n\nb']],
  ['a comment is nothing', ': hello\n\n:\n\n::data: a\n\n', []],
  ['a comment within an event', 'data: a\n: hello\ndata: b\n\n', ['a\nb']],
  ['unknown fields are ignored', 'x: 1\ndatum: 2\nlongername: 3\ndata: a\n\n', ['a']],
  ['names have case', 'Data: a\nDATA: b\n\n', []],
  ['a space before the name makes another name', ' data: a\n\n', []],
  ['a space behind the name too', 'data : a\n\n', []],
  ['an empty name is a comment', ': data\ndata: a\n\n', ['a']],
  ['a line without a known name has no meaning', 'hello\n\nhello world\n\n', []],
  ['without a data line nothing is dispatched', 'event: a\nid: 1\n\n', []],
  ['blank lines alone are nothing', '\n\r\n\r\n\n', []],
  ['nothing is nothing', '', []],
  ['a byte order mark is passed over', '\ufeffdata: a\n\n', ['a']],
  ['a second one is part of the name', '\ufeff\ufeffdata: a\n\n', []],
  ['one in front of a later line too', 'data: a\n\n\ufeffdata: b\n\n', ['a']],
  ['a byte order mark before a comment', '\ufeff: hello\ndata: a\n\n', ['a']],
  ['a byte order mark alone', '\ufeff', []],
  ['the mark of a finished stream is data', 'data: [DONE]\n\ndata: a\n\n', ['[DONE]', 'a']],
  ['NUL is a character of data', 'data: a\u0000b\n\n', ['a\u0000b']],
])('WHATWG HTML 9.2.6: %s', (_rule, text, expected) => {
  expect(read(text)).toMatchObject({ payloads: expected, errors: [] });
});

test.each([
  ['the half of a mark', [0xef, 0xbb]],
  ['the first byte of a mark', [0xef]],
])('%s before a field belongs to its name', (_rule, bytes) => {
  const body = Buffer.concat([Buffer.from(bytes), Buffer.from('data: a\n\ndata: b\n\n')]);
  expect(runWhole(new SseParser(64), body).payloads).toEqual(['b']);
  expect(runFrames(new SseParser(64), singleBytes(body)).payloads).toEqual(['b']);
});

test('data is the bytes as sent: a character may be cut, or be no character at all', () => {
  const body = Buffer.from([...Buffer.from('data: '), 0xe2, 0x82, 0xac, 0xff, ...Buffer.from('\n\n')]);
  for (const pieces of [[body], singleBytes(body)]) {
    expect(runFrames(new SseParser(64), pieces).payloads).toEqual(['\u00e2\u0082\u00ac\u00ff']);
  }
});

test.each([
  ['event sets the type', 'event: add\ndata\n\n', { event: 'add' }],
  ['the last event wins', 'event: a\nevent: b\ndata\n\n', { event: 'b' }],
  ['an empty event is the default', 'event: a\nevent\ndata\n\n', { event: undefined }],
  ['event is decoded as UTF-8', 'event: \u20ac\ndata\n\n', { event: '\u20ac' }],
  ['id sets the last event id', 'id: 7\ndata\n\n', { id: '7', lastEventId: '7' }],
  ['the last id wins', 'id: 7\nid: 8\ndata\n\n', { id: '8', lastEventId: '8' }],
  ['an empty id resets it', 'id: 7\nid\ndata\n\n', { id: '', lastEventId: '' }],
  ['an id with NUL is ignored', 'id: 7\nid: 8\u0000\ndata\n\n', { id: '7', lastEventId: '7' }],
  ['retry is a time', 'retry: 3000\ndata\n\n', { retryMs: 3000 }],
  ['retry may begin with zeros', 'retry: 007\ndata\n\n', { retryMs: 7 }],
  ['SE-04 retry with a sign is ignored', 'retry: +5\ndata\n\n', { retryMs: undefined }],
  ['SE-04 retry with a fraction is ignored', 'retry: 5.0\ndata\n\n', { retryMs: undefined }],
  ['SE-04 retry with a space behind it is ignored', 'retry: 5 \ndata\n\n', { retryMs: undefined }],
  ['SE-04 retry in letters is ignored', 'retry: soon\ndata\n\n', { retryMs: undefined }],
  ['SE-04 an empty retry is ignored', 'retry:\ndata\n\n', { retryMs: undefined }],
  ['SE-04 a retry beyond 2^53 is ignored', 'retry: 9007199254740992\ndata\n\n', { retryMs: undefined }],
  ['SE-04 an ignored retry leaves the one before', 'retry: 5\nretry: x\ndata\n\n', { retryMs: 5 }],
  ['data lines are counted', 'data: a\ndata\ndata: c\n\n', { dataLineCount: 3 }],
])('facts: %s', (_rule, text, expected) => {
  expect(read(text)).toMatchObject({ facts: [{ ...facts, ...expected }], errors: [] });
});

test('event and id are of one event, the last event id and a time given by itself go on', () => {
  const text = 'id: 1\nretry: 5\n\nevent: a\n\ndata: x\n\nevent: b\nid: 2\ndata: y\n\ndata: z\n\n';
  expect(read(text).facts).toEqual([
    { ...facts, lastEventId: '1', retryMs: 5 },
    { ...facts, event: 'b', id: '2', lastEventId: '2' },
    { ...facts, lastEventId: '2' },
  ]);
});

test('SE-01 the tail of a body without its blank line is shown and marked', () => {
  const run = read('id: 1\nevent: first\ndata: a\ndata: b\n\nretry: 2000\ndata: cut o');
  expect(run.payloads).toEqual(['a\nb', 'cut o']);
  expect(run.facts).toEqual([
    { ...facts, event: 'first', id: '1', lastEventId: '1', dataLineCount: 2 },
    { ...facts, lastEventId: '1', retryMs: 2000, isPartial: true },
  ]);
});

test.each([
  ['a data line with its line end', 'data: a\n', ['a']],
  ['with half a line end', 'data: a\r', ['a']],
  ['without it', 'data: a', ['a']],
  ['a data line, then a cut one', 'data: a\nda', ['a']],
  ['a field without data', 'event: a\nid: 1', []],
  ['a comment', ': a', []],
  ['a comment behind data', 'data: a\n: b', ['a']],
])('a tail of %s', (_rule, text, expected) => {
  const run = read(text);
  expect(run.payloads).toEqual(expected);
  expect(run.facts.every((known) => known.isPartial)).toBe(true);
});

test('an event comes with the byte that completes its blank line', () => {
  const cases = ['data: a\n\n', 'data: a\r\r', 'data: a\r\n\r'];
  for (const text of cases) {
    const parser = new SseParser(64);
    const seen: string[] = [];
    parser.push(Buffer.from(text.slice(0, -1)), () => expect.unreachable('the line is not blank yet'));
    parser.push(Buffer.from(text.slice(-1)), (payload) => seen.push(Buffer.from(payload).toString()));
    expect(seen).toEqual(['a']);
  }
});

test('the data of an event that lies in one chunk is a view of it', () => {
  const chunk = Buffer.from('data: hello\n\n');
  const views: Uint8Array[] = [];
  new SseParser(64).push(chunk, (payload) => views.push(payload));
  expect(views[0]?.buffer).toBe(chunk.buffer);
});

test('SE-05 an event in many pieces', () => {
  const pieces = ['ev', 'ent: a\nid', ': 1\nret', 'ry: 10\nda', 'ta: x\n', 'data', ': y', '\n', '\n'];
  const run = runFrames(
    new SseParser(64),
    pieces.map((piece) => Buffer.from(piece)),
  );
  expect(run.payloads).toEqual(['x\ny']);
  expect(run.facts).toEqual([
    { ...facts, event: 'a', id: '1', lastEventId: '1', retryMs: 10, dataLineCount: 2 },
  ]);
});

test('SE-06 comments and a wrong time are ignored, the tail is shown', () => {
  const run = read(': hello\nretry: x\ndata: a');
  expect(run).toMatchObject({ payloads: ['a'], facts: [{ ...facts, isPartial: true }], errors: [] });
});

test.each([
  ['the lines of an event at the limit', 'data: 1234\nid: 12\n\n', 1, 0],
  ['above it', 'data: 1234\nid: 123\n\n', 0, 1],
  ['one line above it', 'data: 12345678901\n\n', 0, 1],
  ['a line without end', 'data: 12345678901', 0, 1],
  ['a line without meaning', 'x'.repeat(17), 0, 1],
  ['the next event begins anew', 'data: 1234567890\n\ndata: 1234567890\n\n', 2, 0],
  ['an event that is not dispatched counts', 'a: 1234567890\nb: 1234567890\n\n', 0, 1],
  ['a comment does not count', `: ${'x'.repeat(100)}\ndata: 1234567890\n\n`, 1, 0],
  ['many comments do not count', `${': x\n'.repeat(100)}data: 1234567890\n\n`, 1, 0],
])('a limit of 16 bytes: %s', (_rule, text, frameCount, errorCount) => {
  const errors = Array.from(
    { length: errorCount },
    () => 'frame_too_large: an event is longer than the limit of 16 bytes',
  );
  const run = runFrames(new SseParser(16), [Buffer.from(text)]);
  expect(run.payloads).toHaveLength(frameCount);
  expect(run.errors).toEqual(errors);
  expect(runFrames(new SseParser(16), singleBytes(Buffer.from(text)))).toEqual(run);
});

test('events before one that is too long are emitted, those behind it are not', () => {
  const run = read('data: a\n\ndata: 1234567890123\n\ndata: b\n\n', 16);
  expect(run.payloads).toEqual(['a']);
  expect(run.errors).toHaveLength(1);
});

test('SE-02 lines of data come back joined, however the body is cut', () => {
  const events = fc
    .array(fc.string({ unit: fc.constantFrom('a', ':', ' ', '\u20ac', '\u{1f600}', '\u0000') }), {
      minLength: 1,
      maxLength: 7,
    })
    .chain((lines) =>
      cuts(Buffer.from(`${lines.map((line) => `data: ${line}\n`).join('')}\n`)).map((pieces) => ({
        lines,
        pieces,
      })),
    );
  fc.assert(
    fc.property(events, ({ lines, pieces }) => {
      const { payloads } = runFrames(new SseParser(4096), pieces);
      expect(payloads.map((data) => Buffer.from(data, 'latin1').toString())).toEqual([lines.join('\n')]);
    }),
  );
});

test('SE-03 comments alone give nothing, also at the end', () => {
  fc.assert(
    fc.property(cutBodies([':', ': a', ':data: b']), ({ body }) => {
      const comments = Buffer.concat([Buffer.from(':'), body, Buffer.from('\n\n:'), body]);
      expect(runWhole(new SseParser(8), comments).payloads).toEqual([]);
    }),
  );
});

const parts = [
  'data: a',
  'data',
  'data:',
  'event: x',
  'id: 1',
  'id',
  'id: \u0000',
  'retry: 5',
  'retry: x',
  ': c',
  'x: y',
  '\n',
  '\r',
  '\r\n',
  '\n\n',
  '\ufeff',
  Buffer.from([0xef]),
  Buffer.from([0xef, 0xbb]),
];

test('every split gives the same events', () => {
  expectSameUnderSplits(() => new SseParser(20), cutBodies(parts));
});

/** The rules of the standard on a whole text, read as they are written there. */
function readByTheBook(
  body: Buffer,
): { readonly data: string; readonly event: string | undefined; readonly lastEventId: string }[] {
  const lines = new TextDecoder().decode(body).split(/\r\n|\r|\n/);
  const events = [];
  let data = '';
  let event = '';
  let lastEventId = '';
  // What stands behind the last line end is no line.
  for (const line of lines.slice(0, -1)) {
    const [, name = line, value = ''] = /^([^:]*): ?([^]*)$/.exec(line) ?? [];
    if (line === '') {
      if (data !== '')
        events.push({ data: data.slice(0, -1), event: event === '' ? undefined : event, lastEventId });
      data = '';
      event = '';
    } else if (name === 'data') data += `${value}\n`;
    else if (name === 'event') event = value;
    else if (name === 'id' && !value.includes('\u0000')) lastEventId = value;
  }
  return events;
}

test('the finished events are those of the standard', () => {
  fc.assert(
    fc.property(cutBodies(parts, 40), ({ body, pieces }) => {
      const run = runFrames(new SseParser(4096), pieces);
      const seen = run.payloads.map((payload, index) => ({
        data: Buffer.from(payload, 'latin1').toString(),
        event: run.facts[index]?.event,
        lastEventId: run.facts[index]?.lastEventId,
      }));
      const finished = seen.filter((_event, index) => run.facts[index]?.isPartial === false);
      expect(finished).toEqual(readByTheBook(body));
    }),
    { numRuns: 500 },
  );
});

test('garbage never throws below the limit, and never more than once above it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 500 }), (bytes, maxBytes) => {
      const run = runFrames(new SseParser(maxBytes), singleBytes(bytes));
      expect(run.errors.length).toBeLessThanOrEqual(maxBytes >= bytes.length ? 0 : 1);
    }),
  );
});

test('hundreds of thousands of lines, in large chunks or in small ones, take no time to speak of', () => {
  const body = Buffer.from('data: x\n'.repeat(100_000));
  const whole = runWhole(new SseParser(1 << 20), body);
  expect(whole.payloads.map((data) => data.length)).toEqual([199_999]);
  const bits = Array.from({ length: body.length / 8 }, (_, index) =>
    body.subarray(index * 8 + 3, index * 8 + 11),
  );
  expect(runFrames(new SseParser(1 << 20), [body.subarray(0, 3), ...bits])).toEqual(whole);
  const noLineFeed = Buffer.from('data: x\r\r'.repeat(300_000));
  expect(runWhole(new SseParser(64), noLineFeed).payloads).toHaveLength(300_000);
}, 10_000);
