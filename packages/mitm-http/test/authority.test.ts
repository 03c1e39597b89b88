import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  AuthorityError,
  canonicalHost,
  formatAuthority,
  formatHost,
  hostKind,
  parseAuthority,
} from '../src/authority.ts';
import { codeOf, errorOf } from './wire-text.ts';

test.each([
  ['lower case', 'Example.COM', 'example.com', 'name'],
  ['one final dot goes', 'example.com.', 'example.com', 'name'],
  ['a single label', 'localhost', 'localhost', 'name'],
  ['underscores exist in the wild', '_dmarc.a_b.example', '_dmarc.a_b.example', 'name'],
  ['a label may begin with digits', '1password.com', '1password.com', 'name'],
  ['a last label may hold a number', 'host-1.a1', 'host-1.a1', 'name'],
  ['a last label may begin like hexadecimal', 'a.0xyz', 'a.0xyz', 'name'],
  ['A-labels stay', 'XN--MNCHEN-3YA.de', 'xn--mnchen-3ya.de', 'name'],
  ['other scripts become A-labels', 'MÜNCHEN.de', 'xn--mnchen-3ya.de', 'name'],
  ['full-width letters fold', 'ａ.com', 'a.com', 'name'],
  ['IPv4', '192.0.2.1', '192.0.2.1', 'ipv4'],
  ['IPv4 with a final dot', '192.0.2.1.', '192.0.2.1', 'ipv4'],
  ['IPv6 in brackets', '[2001:DB8::0:1]', '2001:db8::1', 'ipv6'],
  ['IPv6 bare', '::1', '::1', 'ipv6'],
  ['IPv6 with a zone', '[FE80::1%eth0]', 'fe80::1%eth0', 'ipv6'],
])('canonical host: %s', (_rule, text, host, kind) => {
  expect(canonicalHost(text)).toBe(host);
  expect(hostKind(host)).toBe(kind);
});

test.each([
  ['empty', ''],
  ['a dot alone', '.'],
  ['an empty label', 'a..b'],
  ['two final dots', 'a..'],
  ['a leading dot', '.a'],
  ['a label of 64', `${'a'.repeat(64)}.com`],
  ['a name of 254', `${'a.'.repeat(126)}ab`],
  ['a space', 'a b'],
  ['a control character', 'a\u0000b'],
  ['a line end', 'a\r\nb'],
  ['user information', 'user@example.com'],
  ['a percent sign in a name', 'ex%61mple.com'],
  ['a wildcard', '*.example.com'],
  ['a slash', 'a/b'],
  ['a full-width slash', 'a／b'],
  ['a percent sign in another script', 'ü%41'],
  ['an address in full-width digits', '１.2.3.4'],
  ['a hexadecimal address in full-width digits', '０x7f.1'],
  ['an address too short', '127.1'],
  ['an address as one number', '2130706433'],
  ['a hexadecimal address', '0x7f000001'],
  ['a hexadecimal end', 'a.0x'],
  ['an octal part', '010.0.0.1'],
  ['a part above 255', '256.0.0.1'],
  ['five parts', '1.2.3.4.5'],
  ['a name that ends in a number', 'example.123'],
  ['a bracket not closed', '[::1'],
  ['text behind the bracket', '[::1]x'],
  ['brackets around a name', '[example.com]'],
  ['brackets around IPv4', '[192.0.2.1]'],
  ['empty brackets', '[]'],
  ['an empty zone', '[fe80::1%]'],
  ['a zone with a space', '[fe80::1%a b]'],
  ['letters that no name has', 'ü'.repeat(70)],
  ['a name of IDNA that does not map', 'ü.xn--x'],
])('no host: %s', (_rule, text) => {
  expect(codeOf(() => canonicalHost(text))).toBe('invalid_authority');
});

test.each([
  ['a name of 253 is', `${'a.'.repeat(126)}a`],
  ['a label of 63 is', 'a'.repeat(63)],
])('the longest allowed: %s a host', (_rule, text) => {
  expect(canonicalHost(text)).toBe(text);
});

test.each([
  ['CP-15 a name and a port', 'Example.com:443', { host: 'example.com', port: 443 }],
  ['CP-16 brackets go', '[2001:db8::1]:8443', { host: '2001:db8::1', port: 8443 }],
  ['the least port', 'h:1', { host: 'h', port: 1 }],
  ['the greatest port', 'h:65535', { host: 'h', port: 65_535 }],
  ['IPv4', '127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
])('authority: %s', (_rule, text, expected) => {
  expect(parseAuthority(text)).toEqual(expected);
  expect(parseAuthority(text, { defaultPort: 9 })).toEqual(expected);
});

test.each([
  ['no port', 'example.com', 'missing_port'],
  ['an empty port', 'example.com:', 'missing_port'],
  ['no port behind brackets', '[::1]', 'missing_port'],
  ['an empty port behind brackets', '[::1]:', 'missing_port'],
  ['no colon behind brackets', '[::1]443', 'missing_port'],
  ['CP-18 bare IPv6', '::1', 'invalid_authority'],
  ['bare IPv6 and a port', '2001:db8::1:443', 'invalid_authority'],
  ['no host', ':443', 'invalid_authority'],
  ['nothing', '', 'invalid_authority'],
  ['user information', 'user@host:443', 'invalid_authority'],
  ['user and password', 'user:secret@host:443', 'invalid_authority'],
  ['port 0', 'h:0', 'invalid_port'],
  ['a port above 65535', 'h:65536', 'invalid_port'],
  ['a long port', 'h:000443', 'invalid_port'],
  ['a signed port', 'h:+443', 'invalid_port'],
  ['a port with a space', 'h:443 ', 'invalid_port'],
  ['letters', 'h:abc', 'invalid_port'],
  ['hexadecimal', 'h:0x1', 'invalid_port'],
])('no authority: %s', (_rule, text, code) => {
  expect(codeOf(() => parseAuthority(text))).toBe(code);
});

test.each([
  ['no port', 'example.com', { host: 'example.com', port: 443 }],
  ['an empty port', 'example.com:', { host: 'example.com', port: 443 }],
  ['brackets alone', '[::1]', { host: '::1', port: 443 }],
])('a default port serves for %s', (_rule, text, expected) => {
  expect(parseAuthority(text, { defaultPort: 443 })).toEqual(expected);
});

test('a default port does not hide text that is no port', () => {
  expect(codeOf(() => parseAuthority('[::1]443', { defaultPort: 443 }))).toBe('missing_port');
  expect(codeOf(() => parseAuthority('h:x', { defaultPort: 443 }))).toBe('invalid_port');
});

test('the error quotes the text and says what to write', () => {
  expect(() => parseAuthority('h:70000')).toThrow(
    '"h:70000" has no valid port: write digits from 1 to 65535',
  );
  expect(() => canonicalHost('a b')).toThrow(AuthorityError);
});

test('a host and an authority are written with brackets around IPv6 only', () => {
  expect(formatHost('::1')).toBe('[::1]');
  expect(formatHost('example.com')).toBe('example.com');
  expect(formatAuthority('fe80::1%eth0', 80)).toBe('[fe80::1%eth0]:80');
  expect(formatAuthority('192.0.2.1', 80)).toBe('192.0.2.1:80');
});

const hostText = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.ipV6().map((text) => `[${text}]`),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', 'Z', '0', '.', '-', '_', 'ü', '１', 'x', ':', '[', ']', '%') }),
);

test('law: a canonical host is its own canonical form, in brackets too, and anything else is an AuthorityError', () => {
  fc.assert(
    fc.property(hostText, (text) => {
      let host = 'refused';
      const error = errorOf(() => (host = canonicalHost(text)));
      expect(error === undefined || error instanceof AuthorityError).toBe(true);
      expect(canonicalHost(host)).toBe(host);
      expect(canonicalHost(formatHost(host))).toBe(host);
      expect(host).toMatch(/^[\u0021-\u007e]+$/);
    }),
    { numRuns: 1000 },
  );
});

test('law: what is formatted parses back to itself', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
      fc.integer({ min: 1, max: 65_535 }),
      (text, port) => {
        const host = canonicalHost(text);
        expect(parseAuthority(formatAuthority(host, port))).toEqual({ host, port });
      },
    ),
  );
});
