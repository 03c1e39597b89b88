// Which targets a NO_PROXY list lets go directly.
import { describe, expect, test } from 'vitest';

import { DestinationError } from '../src/destination.ts';
import { NoProxyList, parseNoProxyEntry } from '../src/no-proxy.ts';

test.each([
  ['*', 'anything.test', 1, true],
  ['example.org', 'example.org', 443, true],
  ['example.org', 'www.example.org', 443, true],
  ['example.org', 'badexample.org', 443, false],
  ['.example.org', 'example.org', 443, true],
  ['.example.org', 'a.b.example.org', 443, true],
  ['*.example.org', 'a.example.org', 443, true],
  ['Example.ORG', 'example.org', 443, true],
  ['example.org:8443', 'example.org', 8_443, true],
  ['example.org:8443', 'example.org', 443, false],
  ['localhost', 'localhost', 80, true],
  ['127.0.0.1', '127.0.0.1', 80, true],
  ['127.0.0.1', '::ffff:127.0.0.1', 80, true],
  ['127.0.0.1:80', '127.0.0.1', 81, false],
  ['10.0.0.0/8', '10.1.2.3', 80, true],
  ['10.0.0.0/8', '11.1.2.3', 80, false],
  ['10.0.0.0/8', 'ten.example.org', 80, false],
  ['::1', '::1', 80, true],
  ['[::1]', '::1', 80, true],
  ['[::1]:80', '::1', 80, true],
  ['[::1]:80', '::1', 81, false],
  ['fd00::/8', 'fd12::1', 80, true],
])('%s covers %s:%i: %s', (entry, host, port, expected) => {
  expect(new NoProxyList([entry]).covers(host, port)).toBe(expected);
});

test('any entry of a list counts, and an empty list covers nothing', () => {
  expect(new NoProxyList(['a.test', 'b.test']).covers('b.test', 1)).toBe(true);
  expect(new NoProxyList([]).covers('b.test', 1)).toBe(false);
});

describe('what cannot be read is refused', () => {
  test.each(['', ' ', 'http://example.org', 'a*b.org', '10.0.0.0/99', 'example.org:0', 'a b', '1::2::3'])(
    '%j',
    (entry) => {
      expect(() => parseNoProxyEntry(entry)).toThrow(DestinationError);
    },
  );
});
