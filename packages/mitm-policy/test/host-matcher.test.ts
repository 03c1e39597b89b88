import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseDestination } from '../src/destination.ts';
import { HostMatcher } from '../src/host-matcher.ts';

const matcher = (...entries: string[]) => new HostMatcher(entries.map(parseDestination));

describe('which hosts a rule covers', () => {
  test.each([
    ['an exact host', 'example.org:443', 'example.org', true],
    ['not what lies below it', 'example.org:443', 'a.example.org', false],
    ['an address in its canonical form', '[0:0::1]:443', '::1', true],
    ['below a suffix', '*.example.org:443', 'a.example.org', true],
    ['far below a suffix', '*.example.org:443', 'a.b.example.org', true],
    ['not the suffix itself', '*.example.org:443', 'example.org', false],
    ['not a name that merely ends so', '*.example.org:443', 'badexample.org', false],
    ['CP-34 a star within a label', 'x*.example.org:443', 'xyz.example.org', true],
    ['CP-34 what stands before the star must be there', 'x*.example.org:443', 'yz.example.org', false],
    ['a star may stand for nothing', 'x*.example.org:443', 'x.example.org', true],
    ['CP-37 a star spans dots', 'gw*.example.org:443', 'gw-1.eu.example.org', true],
    ['CP-35 patterns ignore case', 'GW*.Example.ORG:443', 'gw1.example.org', true],
    ['middle parts in their order', 'a*b*c.org:443', 'a-b-c.org', true],
    ['not in another order', 'a*b*c.org:443', 'a-c.b.org', false],
    ['a middle part may not reach into the tail', 'a*bc*c.org:443', 'abc.org', false],
    ['head and tail may not overlap', 'aba*aba.org:443', 'aba.org', false],
    ['a star alone covers names', '*:443', 'example.org', true],
    ['a star alone covers addresses', '*:443', '2001:db8::1', true],
    ['a star at the end', 'api.*:443', 'api.example.org', true],
  ])('%s', (_rule, entry, host, isCovered) => {
    expect(matcher(entry).match(host, 443)?.text).toBe(isCovered ? entry : undefined);
  });
});

describe('which ports a rule covers', () => {
  test.each([
    ['its own', 'example.org:443', 443, true],
    ['no other', 'example.org:443', 8443, false],
    ['every port for a star', 'example.org:*', 8443, true],
    ['CP-34 a pattern has its own port', '*.org:443', 443, true],
    ['CP-38 and no other', '*.org:443', 8443, false],
    ['every port for a star in a pattern', '*.org:*', 8443, true],
  ])('%s', (_rule, entry, port, isCovered) => {
    expect(matcher(entry).match('example.org', port)?.text).toBe(isCovered ? entry : undefined);
  });
});

describe('which of several rules is named', () => {
  test('an exact port before every port, exact hosts before patterns, patterns in list order', () => {
    const rules = matcher('*:*', '*.org:443', 'example.org:*', 'example.org:443');
    expect(rules.match('example.org', 443)?.text).toBe('example.org:443');
    expect(rules.match('example.org', 80)?.text).toBe('example.org:*');
    expect(rules.match('a.org', 443)?.text).toBe('*:*');
  });

  test('an exact host with another port leaves room for patterns', () => {
    expect(matcher('example.org:8443', '*.org:443').match('example.org', 443)?.text).toBe('*.org:443');
  });

  test('repeated rules count once, and the first is named', () => {
    const rules = matcher(
      'a.org:1',
      'A.org:1',
      'a.org:2',
      'a.org:*',
      'a.ORG.:*',
      '*.org:1',
      '**.org:1',
      '*.org:2',
    );
    expect(rules.size).toBe(5);
    expect(rules.match('a.org', 1)?.text).toBe('a.org:1');
  });

  test('an empty list covers nothing', () => {
    expect(matcher().match('example.org', 443)).toBeUndefined();
    expect(matcher().size).toBe(0);
  });
});

const fragment = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 6 });

test('a pattern covers what the same regular expression covers', () => {
  fc.assert(
    fc.property(fc.array(fragment, { minLength: 2, maxLength: 5 }), fragment, fragment, (parts, a, b) => {
      const pattern = { kind: 'pattern', host: parts.join('*'), port: 443, text: '' } as const;
      const expression = new RegExp(
        `^${parts.map((part) => part.replaceAll('.', String.raw`\.`)).join('.*')}$`,
        's',
      );
      for (const host of [a + b, parts.join(''), parts.join(a), a + parts.join(b)]) {
        expect(new HostMatcher([pattern]).match(host, 443) !== undefined).toBe(expression.test(host));
      }
    }),
  );
});

test('a hostile pattern and host cost no more than their lengths', () => {
  const host = `${'a'.repeat(250)}b`;
  const pattern = `a${'*a'.repeat(60)}`;
  expect(matcher(`${pattern}.x:443`).match(host, 443)).toBeUndefined();
});
