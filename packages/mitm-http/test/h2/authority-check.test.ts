import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseAuthority } from '../../src/authority.ts';
import { checkH2Authority, isSameAuthority } from '../../src/h2/authority-check.ts';
import { codeOf } from '../wire-text.ts';

const accepted = [
  'a',
  'example.com',
  'example.com:8443',
  'Example.COM',
  'example.com.',
  'xn--bcher-kva.example',
  'a_b.example',
  '192.0.2.1',
  '[2001:db8::1]',
  '[2001:db8::1]:443',
  'h2.1x',
  'a:65535',
  'a:00443',
  `${'a'.repeat(63)}.b`,
];

test.each(accepted)('%s is an authority', (text) => {
  expect(codeOf(() => checkH2Authority(text, 443))).toBe('accepted');
});

test.each([
  ['user information (RFC 9113 §8.3.1)', 'user@example.com'],
  ['a password', 'user:pass@example.com'],
  ['a space', 'exa mple.com'],
  ['a tab', 'example.com\t'],
  ['CR LF', 'example.com\r\nx: y'],
  ['NUL', 'example.com\0'],
  ['a path', 'example.com/x'],
  ['a query', 'example.com?x'],
  ['a comma', 'a,b'],
  ['an empty label', 'a..b'],
  ['an empty first label', '.a'],
  ['nothing but a port', ':443'],
  ['nothing', ''],
  ['a port that is no number', 'a:x'],
  ['port 0', 'a:0'],
  ['a port beyond 65535', 'a:65536'],
  ['two ports', 'a:1:2'],
  ['IPv6 without brackets', '2001:db8::1'],
  ['what some read as an IPv4 address', '127.1'],
  ['a label of 64 characters', 'a'.repeat(64)],
  ['a first label of 64 characters', `${'a'.repeat(64)}.b`],
  ['a name of 254 characters', `${'a.'.repeat(126)}ab`],
  ['bytes beyond ASCII', 'b\u00fccher.example'],
])('refused: %s', (_rule, text) => {
  expect(codeOf(() => checkH2Authority(text, 443))).toBe('invalid_authority');
});

test('RFC 9113 §8.5 without a default the port has to be there', () => {
  expect(codeOf(() => checkH2Authority('example.com', undefined))).toBe('invalid_authority');
  expect(codeOf(() => checkH2Authority('[::1]', undefined))).toBe('invalid_authority');
  expect(codeOf(() => checkH2Authority('example.com:443', undefined))).toBe('accepted');
});

test.each([
  ['a default port left out', 'a', 'a:443', true],
  ['case', 'A', 'a', true],
  ['a final dot', 'a.', 'a', true],
  ['two spellings of an address', '[::0001]', '[::1]', true],
  ['another port', 'a:80', 'a', false],
  ['another name', 'a', 'b', false],
])('the same destination: %s', (_rule, one, other, isSame) => {
  expect(isSameAuthority(one, other, 443)).toBe(isSame);
});

const part = fc.constantFrom('a', 'b-_', '1', '12', '.', '.', ':', '443', '[', ']', '::', 'A', '@', '%', ' ');

test('law: the quick judgement is that of parseAuthority', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, hasDefault) => {
      const text = parts.join('');
      const options = hasDefault ? { defaultPort: 443 } : {};
      const expected = codeOf(() => parseAuthority(text, options)) === 'accepted';
      const quick = codeOf(() => checkH2Authority(text, hasDefault ? 443 : undefined)) === 'accepted';
      expect(quick).toBe(expected);
    }),
    { numRuns: 5000 },
  );
});
