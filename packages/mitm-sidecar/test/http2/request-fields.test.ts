// What an origin of HTTP/2 gets is what the client said; a list of HTTP/2 that nothing changes is not even copied.
import { describe, expect, test } from 'vitest';

import { requestFields } from '../../src/http2/request-fields.ts';
import type { OutboundRequest } from '../../src/relay/sides.ts';
import { askedFor, getFields, h2RequestOf, requestOf } from '../messages.ts';

test('an unchanged head of HTTP/2 gives the very list it came in', () => {
  const fields = getFields('accept', 'a', 'te', 'trailers');
  expect(requestFields(askedFor(h2RequestOf(fields)))).toBe(fields);
});

describe('a head of HTTP/2', () => {
  const rows: readonly [string, readonly string[], Partial<OutboundRequest>, readonly string[]][] = [
    ['is signed behind its fields', ['a', 'b'], { via: '2 us' }, ['a', 'b', 'via', '2 us']],
    [
      'has its hops counted',
      ['max-forwards', '5', 'a', 'b'],
      { maxForwards: 4 },
      ['max-forwards', '4', 'a', 'b'],
    ],
    [
      'has its hops counted where they are counted, and nowhere else',
      ['a', 'max-forwards', 'max-forwards', 'max-forwards'],
      { maxForwards: 0 },
      ['a', 'max-forwards', 'max-forwards', '0'],
    ],
    ['loses its Expect', ['expect', '100-continue', 'a', 'b'], { dropExpect: true }, ['a', 'b']],
    ['keeps its Expect', ['expect', '100-continue'], {}, ['expect', '100-continue']],
    ['loses credentials for us', ['proxy-authorization', 'Basic x', 'a', 'b'], {}, ['a', 'b']],
  ];
  test.each(rows)('%s', (_rule, more, changes, expected) => {
    const fields = getFields(...more);
    const before = [...fields];
    expect(requestFields(askedFor(h2RequestOf(fields), changes))).toEqual(getFields(...expected));
    expect(fields).toEqual(before);
  });
});

describe('a head of HTTP/1', () => {
  const head = requestOf('GET /p HTTP/1.1', 'Host: o.test', 'Connection: x', 'X: y', 'Accept: a');
  const rows: readonly [string, Partial<OutboundRequest>, readonly string[]][] = [
    ['is said in HTTP/2, without its hop', {}, getFields('accept', 'a')],
    [
      'is for the planned host and target',
      { host: 'n.test', target: '/q', scheme: 'http' },
      [':method', 'GET', ':scheme', 'http', ':authority', 'n.test', ':path', '/q', 'accept', 'a'],
    ],
    ['is signed behind its fields', { via: '1.1 us' }, getFields('accept', 'a', 'via', '1.1 us')],
  ];
  test.each(rows)('%s', (_rule, changes, expected) => {
    expect(requestFields(askedFor(head, changes))).toEqual(expected);
  });

  test('without a Host is for the authority of its exchange', () => {
    const nameless = requestOf('GET /p HTTP/1.0', 'Accept: a');
    expect(requestFields(askedFor(nameless))).toEqual(getFields('accept', 'a'));
  });

  test('has its hops counted, however the field is written', () => {
    const options = requestOf('OPTIONS /p HTTP/1.1', 'Host: o.test', 'MAX-forwards: 5');
    expect(requestFields(askedFor(options, { maxForwards: 4 })).slice(-2)).toEqual(['max-forwards', '4']);
  });
});
