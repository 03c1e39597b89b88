import fc from 'fast-check';
import { HeaderMap, isHopByHop } from 'mitm-http';
import { expect, test } from 'vitest';

import { directions, endToEndHeaders } from '../src/messages.ts';

test.each<[string, readonly string[], string, readonly string[]]>([
  ['nothing to leave out', ['Host', 'a.test', 'X', '1'], '', ['Host', 'a.test', 'X', '1']],
  [
    'fields of one hop, in any case',
    [
      'Host',
      'a.test',
      'Keep-Alive',
      '5',
      'PROXY-AUTHORIZATION',
      'secret',
      'TE',
      'trailers',
      'Upgrade',
      'h2c',
    ],
    '',
    ['Host', 'a.test'],
  ],
  [
    'framing',
    ['Transfer-Encoding', 'chunked', 'Trailer', 'X-Sum', 'Content-Length', '5'],
    '',
    ['Content-Length', '5'],
  ],
  [
    'Connection and what it names',
    ['Connection', 'close, X-Hop', 'X-Hop', '1', 'x-hop', '2', 'X-End', '3'],
    'close,x-hop',
    ['X-End', '3'],
  ],
  ['names with space around them', ['X-Hop', '1', 'X-End', '2'], 'close , x-hop', ['X-End', '2']],
  [
    'order and duplicates stay',
    ['B', '1', 'TE', 'x', 'A', '2', 'b', '3'],
    '',
    ['B', '1', 'A', '2', 'b', '3'],
  ],
])('left out for a handler: %s', (_rule, list, connection, kept) => {
  expect(endToEndHeaders(new HeaderMap(list), connection).list).toEqual(kept);
});

test('a message without such fields is shown as it is, without a copy', () => {
  const headers = new HeaderMap(['Host', 'a.test']);
  expect(endToEndHeaders(headers, '').list).toBe(headers.list);
  expect(endToEndHeaders(headers, 'keep-alive').list).toBe(headers.list);
});

function isHidden([name]: readonly [string, string]): boolean {
  return isHopByHop(name.toLowerCase()) || name.toLowerCase() === 'x-hop';
}

test('whatever comes, no field of one hop is shown and every other one is', () => {
  const name = fc.oneof(
    fc.constantFrom('Connection', 'te', 'Upgrade', 'X-Hop', 'Accept'),
    fc.stringMatching(/^[a-z-]{1,8}$/),
  );
  const fields = fc.array(fc.tuple(name, fc.string()));
  fc.assert(
    fc.property(fields, (pairs) => {
      const shown = endToEndHeaders(HeaderMap.from(pairs), 'x-hop').toJSON();
      expect(shown).toEqual(pairs.filter((pair) => !isHidden(pair)));
    }),
  );
});

test('the two directions', () => {
  expect(directions).toEqual(['client_to_server', 'server_to_client']);
});
