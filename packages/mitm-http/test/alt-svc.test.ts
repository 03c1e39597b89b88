// Alternatives over QUIC go, whatever they are called; every other byte stays.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { withoutQuicAlternatives } from '../src/alt-svc.ts';

describe('an alternative over QUIC is taken out', () => {
  test.each([
    ['HTTP/3', 'h3=":443"; ma=86400', undefined],
    ['HTTP/3 in capitals', 'H3=":443"', undefined],
    ['a draft of HTTP/3', 'h3-29=":443"; ma=2592000', undefined],
    ['what came before it', 'quic=":443"; ma=2592000; v="46,43"', undefined],
    ['HTTP over QUIC', 'hq=":443", hq-interop=":443"', undefined],
    ['an encoded name', '%683=":443"', undefined],
    ['all of several', 'h3=":443",h3-29=":443",quic=":443"', undefined],
    [
      'before another one',
      'h3=":443"; ma=1, h2="alt.example.test:443"; ma=2',
      'h2="alt.example.test:443"; ma=2',
    ],
    ['between others', 'h2=":1", h3=":2", http%2F1.1=":3"', 'h2=":1", http%2F1.1=":3"'],
    ['with a comma inside quotes', 'h3=":443"; v="1,2", h2=":8443"', 'h2=":8443"'],
    ['with a quote inside quotes', 'h3=":443"; v="a\\",h2=", h2=":8443"', 'h2=":8443"'],
  ])('%s', (_what, value, expected) => {
    expect(withoutQuicAlternatives(value)).toBe(expected);
  });
});

describe('everything else stays as it is', () => {
  test.each([
    ['nothing', ''],
    ['clear', 'clear'],
    ['HTTP/2', 'h2=":443"; ma=3600; persist=1'],
    ['a list with its spaces', 'h2=":443" ,\th2c=":80"'],
    ['a name that only begins so', 'h3x=":443"'],
    ['a name that only ends so', 'xh3=":443"'],
    ['quotes that hold the name', 'h2="h3=:443"'],
    ['what is no list', ',,;="'],
    ['quotes that do not end', 'h2=":443, h3=":443"'],
  ])('%s', (_what, value) => {
    expect(withoutQuicAlternatives(value)).toBe(value);
  });
});

test('law: nothing throws, what is left has no HTTP/3 first, and taking out twice is taking out once', () => {
  const word = fc.constantFrom(
    'h3',
    'h2',
    'quic',
    'h3-29',
    'clear',
    '=":443"',
    ',',
    '"',
    '\\',
    ' ',
    ';ma=1',
    '%68',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      const once = withoutQuicAlternatives(words.join(''));
      if (once === undefined) return;
      expect(withoutQuicAlternatives(once)).toBe(once);
      expect(once).not.toMatch(/^h3=/);
    }),
  );
});
