// What a peer may try so that one HTTP/2 request becomes two in HTTP/1: no list of fields gets through that reads back as another
// message.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { noBody, requestFraming } from '../../src/framing.ts';
import { http1RequestText, http1ResponseText } from '../../src/h2/http1-text.ts';
import { H2MessageError } from '../../src/h2/message-error.ts';
import { parseH2Request } from '../../src/h2/request-head.ts';
import type { H2RequestHead } from '../../src/h2/request-head.ts';
import { parseH2Response } from '../../src/h2/response-head.ts';
import { h2RequestFraming } from '../../src/h2/translate.ts';
import { findHeadEnd, parseRequestHead } from '../../src/head.ts';
import { bytesOf, codeOf } from '../wire-text.ts';

const good = parseH2Request([
  ':method',
  'GET',
  ':scheme',
  'https',
  ':authority',
  'example.com',
  ':path',
  '/p',
]);
const goodResponse = parseH2Response([':status', '200']);
const badBytes = [
  ['CR LF', '\r\n'],
  ['LF', '\n'],
  ['CR', '\r'],
  ['NUL', '\0'],
  ['a vertical tab', '\v'],
  ['DEL', '\u007f'],
  ['a character beyond latin1 that ends in LF', '\u010a'],
] as const;

// Heads that no parser gave: the writer is the last who can refuse.
describe.each(badBytes)('RFC 9113 §10.3 %s is not written', (_rule, bad) => {
  const places = [
    ['before', (text: string) => bad + text],
    ['inside', (text: string) => text.slice(0, 1) + bad + text.slice(1)],
    ['behind', (text: string) => text + bad],
    ['alone', () => bad],
  ] as const;

  test.each(places)('%s', (_place, put) => {
    const fields = (list: readonly string[]) =>
      Object.create(good, { fields: { value: [...good.fields, ...list] } });
    const options = { target: '/p', host: 'example.com', framing: noBody };
    const method = Object.create(good, { method: { value: put('GET') } });
    expect(codeOf(() => http1RequestText(method, options))).toBe('invalid_method');
    expect(codeOf(() => http1RequestText(good, { ...options, target: put('/p') }))).toBe('invalid_path');
    expect(codeOf(() => http1RequestText(good, { ...options, host: put('a.b') }))).toBe('invalid_authority');
    expect(codeOf(() => http1RequestText(fields([put('name'), 'v']), options))).toBe('invalid_field');
    for (const name of ['x', 'cookie', 'content-length', 'host', 'te', 'expect', 'proxy-authorization']) {
      expect(codeOf(() => http1RequestText(fields([name, put('value')]), options))).toBe('invalid_field');
    }
    const answer = Object.create(goodResponse, { fields: { value: [':status', '200', 'x', put('value')] } });
    const to = { requestMethod: 'GET', framing: noBody, minorVersion: 1, isLast: false } as const;
    expect(codeOf(() => http1ResponseText(answer, to))).toBe('invalid_field');
  });
});

describe('RFC 9113 §10.3 what would pass by the rules is not written', () => {
  const options = { target: '/p', host: 'example.com', framing: noBody };
  test.each([
    ['a name in upper case', ['Transfer-Encoding', 'chunked']],
    ['a name with one capital', ['content-lengtH', '5']],
    ['a name with a space', ['content-length ', '5']],
    ['a name with a tab', ['transfer-encoding\t', 'chunked']],
    ['a name with a colon', ['x: y', 'z']],
    ['a name that begins with a colon', [':path', '/']],
    ['an empty name', ['', 'x']],
    ['a value that begins with a space', ['x', ' y']],
    ['a value that ends with a tab', ['x', 'y\t']],
    ['a value that is a space', ['x', ' ']],
  ])('%s', (_rule, list) => {
    const head = Object.create(good, { fields: { value: [...good.fields, ...list] } });
    expect(codeOf(() => http1RequestText(head, options))).toBe('invalid_field');
  });

  test.each(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])(
    '%s goes even where no parser refused it',
    (name) => {
      const head = Object.create(good, { fields: { value: [...good.fields, name, 'chunked'] } });
      expect(http1RequestText(head, options)).toBe('GET /p HTTP/1.1\r\nHost: example.com\r\n\r\n');
    },
  );

  test.each([
    ['an empty method', { method: '' }, {}, 'invalid_method'],
    ['a method with a space', { method: 'GET /x' }, {}, 'invalid_method'],
    ['an empty target', {}, { target: '' }, 'invalid_path'],
    ['a target with a space', {}, { target: '/ HTTP/1.1' }, 'invalid_path'],
    ['an empty host', {}, { host: '' }, 'invalid_authority'],
    ['a host with a space', {}, { host: 'a b' }, 'invalid_authority'],
  ])('%s', (_rule, facts, changes, code) => {
    const head = Object.create(
      good,
      Object.fromEntries(Object.entries(facts).map(([k, value]) => [k, { value }])),
    );
    expect(codeOf(() => http1RequestText(head, { ...options, ...changes }))).toBe(code);
  });

  test.each([99, 1000, 101, 200.5, Number.NaN])('status %d', (status) => {
    const head = Object.create(goodResponse, { status: { value: status } });
    const to = { requestMethod: 'GET', framing: noBody, minorVersion: 1, isLast: false } as const;
    expect(codeOf(() => http1ResponseText(head, to))).toBe('invalid_status');
  });
});

const anyText = fc.string({
  unit: fc.constantFrom('a', 'B', '1', '/', '.', ':', ',', ';', ' ', '\t', '\r', '\n', '\0', '\u00ff'),
  maxLength: 6,
});
const name = fc.oneof(
  fc.constantFrom(
    'accept',
    'cookie',
    'x',
    'content-length',
    'host',
    'te',
    'transfer-encoding',
    'expect',
    'Host',
  ),
  anyText,
);
const value = fc.oneof(
  fc.constantFrom('5', '0', 'trailers', 'chunked', '100-continue', 'example.com', ''),
  anyText,
);
const listed = fc.record({
  method: fc.oneof(fc.constantFrom('GET', 'POST', 'OPTIONS'), anyText),
  authority: fc.oneof(fc.constantFrom('example.com', 'a:1'), anyText),
  path: fc.oneof(fc.constantFrom('/', '/a?b', '*'), anyText),
  fields: fc.array(fc.tuple(name, value), { maxLength: 5 }),
});

interface Written {
  readonly head: H2RequestHead;
  readonly text: string;
}

/** What is written of a list; `undefined` where it is refused, which may be for one kind of reason only. */
function written(list: readonly string[]): Written | undefined {
  try {
    const head = parseH2Request(list);
    const framing = h2RequestFraming(head, false);
    return { head, text: http1RequestText(head, { target: head.target, host: head.host, framing }) };
  } catch (error) {
    if (error instanceof H2MessageError) return undefined;
    throw error;
  }
}

const changedNames = new Set(['host', 'te', 'cookie', 'transfer-encoding', 'content-length']);

function unchanged(pairs: Iterable<readonly [string, string]>): (readonly [string, string])[] {
  return [...pairs].filter(([key]) => !changedNames.has(key.toLowerCase()));
}

test('law: what is accepted is exactly one HTTP/1 request with the same method, target, host and fields', () => {
  let writtenCount = 0;
  fc.assert(
    fc.property(listed, ({ method, authority, path, fields }) => {
      const list = [':method', method, ':scheme', 'https', ':authority', authority, ':path', path];
      const result = written([...list, ...fields.flat()]);
      if (result === undefined) return;
      writtenCount++;
      const bytes = bytesOf(result.text);
      expect(findHeadEnd(bytes, 0)).toBe(bytes.length);
      // Other expectations are refused by our reader, not by our writer.
      if (
        result.head.hasExpect &&
        !fields.every(([key, text]) => key !== 'expect' || text === '100-continue')
      )
        return;
      const read = parseRequestHead(bytes, 0, bytes.length);
      expect([read.method, read.target, read.host]).toEqual([method, path, authority]);
      expect(requestFraming(read)).toEqual(h2RequestFraming(result.head, false));
      expect(unchanged(read.headers.entries())).toEqual(unchanged(fields));
      const cookies = fields
        .filter(([key, crumb]) => key === 'cookie' && crumb !== '')
        .map(([, crumb]) => crumb);
      expect(read.headers.get('cookie') ?? '').toBe(cookies.join('; '));
    }),
    { numRuns: 10_000 },
  );
  expect(writtenCount).toBeGreaterThan(100);
});
