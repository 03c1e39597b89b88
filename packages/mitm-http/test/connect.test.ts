import fc from 'fast-check';
import { expect, test } from 'vitest';

import { canonicalHost } from '../src/authority.ts';
import {
  ConnectParseError,
  connectParseCodes,
  connectParseModes,
  http3Hint,
  parseConnectHead,
} from '../src/connect.ts';
import type { ConnectParseMode } from '../src/connect.ts';
import { HeaderMap } from '../src/header-map.ts';
import { bytesOf, codeOf, errorOf, wire } from './wire-text.ts';

/** "host port" of a head, or its code. */
function outcome(mode: ConnectParseMode, ...lines: readonly string[]): unknown {
  let result: unknown = '';
  const code = codeOf(() => {
    const { host, port } = parseConnectHead(bytesOf(wire(...lines)), mode);
    result = `${host} ${port}`;
  });
  return code === 'accepted' ? result : code;
}

test('the codes of the original are all there', () => {
  expect(connectParseCodes).toEqual(
    expect.arrayContaining([
      'incomplete_headers',
      'header_too_large',
      'read_error',
      'invalid_utf8',
      'empty_request_line',
    ]),
  );
});

test.each([
  ['CP-15 a name', 'example.com:443', 'example.com 443', 'example.com 443'],
  ['CP-16 IPv6', '[2001:db8::1]:8443', '2001:db8::1 8443', '2001:db8::1 8443'],
  ['case folds', 'EXAMPLE.com:443', 'example.com 443', 'example.com 443'],
  ['a zone', '[fe80::1%eth0]:1', 'fe80::1%eth0 1', 'fe80::1%eth0 1'],
  ['CP-21 no port', 'example.com', 'missing_port', 'example.com 443'],
  ['an empty port', 'example.com:', 'missing_port', 'example.com 443'],
  ['brackets alone', '[::1]', 'missing_port', '::1 443'],
  ['brackets and a colon', '[::1]:', 'missing_port', '::1 443'],
  ['no colon behind brackets', '[::1]443', 'missing_port', 'missing_port'],
  ['a bracket not closed', '[::1', 'invalid_authority', 'invalid_authority'],
  ['empty brackets', '[]:443', 'invalid_authority', 'invalid_authority'],
  ['brackets around anything', '[anything]:443', 'invalid_authority', 'invalid_authority'],
  ['no host', ':443', 'invalid_authority', 'invalid_authority'],
  ['CP-18 bare IPv6', '::1', 'invalid_authority', '::1 443'],
  ['bare IPv6 of eight groups', '1:2:3:4:5:6:7:8', 'invalid_authority', '1:2:3:4:5:6:7:8 443'],
  ['bare IPv6 whose end is no port', '2001:db8::1:ff', 'invalid_authority', '2001:db8::1:ff 443'],
  ['bare IPv6 whose end could be a port', '2001:db8::1:443', 'invalid_authority', 'invalid_authority'],
  ['nine groups', '1:2:3:4:5:6:7:8:443', 'invalid_authority', 'invalid_authority'],
  ['CP-22 https with port and path', 'https://h:8443/p', 'invalid_authority', 'h 8443'],
  ['https without a port', 'https://h/p', 'invalid_port', 'h 443'],
  ['http without a port', 'http://h/p', 'invalid_port', 'h 80'],
  ['a scheme in upper case', 'HTTP://h', 'invalid_port', 'h 80'],
  ['http and brackets', 'http://[::1]/', 'invalid_authority', '::1 80'],
  ['a port above 65535', 'h:99999', 'invalid_port', 'invalid_port'],
  ['letters for a port', 'h:abc', 'invalid_port', 'invalid_port'],
  ['port 0', 'h:0', 'invalid_port', 'invalid_port'],
  ['a signed port', 'h:+443', 'invalid_port', 'invalid_port'],
  ['user information', 'user@h:443', 'invalid_authority', 'invalid_authority'],
  ['an empty label', 'a..b:443', 'invalid_authority', 'invalid_authority'],
])('authority: %s', (_rule, authority, strict, lenient) => {
  expect(outcome('strict', `CONNECT ${authority} HTTP/1.1`)).toBe(strict);
  expect(outcome('lenient', `CONNECT ${authority} HTTP/1.1`)).toBe(lenient);
});

test.each([
  ['CP-03 CP-23 a lower-case method', 'connect h:1 HTTP/1.1', 'method_not_connect', 'h 1'],
  ['CP-04 absolute form', 'connect https://h:2/p HTTP/1.1', 'method_not_connect', 'h 2'],
  ['CP-02 CP-17 another method', 'GET / HTTP/1.2', 'method_not_connect', 'method_not_connect'],
  ['two spaces', 'CONNECT  h:1 HTTP/1.1', 'invalid_request_line', 'h 1'],
  ['tabs', 'CONNECT\th:1\t HTTP/1.1', 'invalid_request_line', 'h 1'],
  ['a space in front', ' CONNECT h:1 HTTP/1.1', 'invalid_request_line', 'h 1'],
  ['a no-break space', 'CONNECT\u00c2\u00a0h:1 HTTP/1.1', 'invalid_request_line', 'invalid_request_line'],
  ['HTTP/1.0', 'CONNECT h:1 HTTP/1.0', 'h 1', 'h 1'],
  ['any other version', 'CONNECT h:1 HTTP/9', 'invalid_http_version', 'h 1'],
  ['no version of HTTP', 'CONNECT h:1 FTP/1', 'invalid_http_version', 'invalid_http_version'],
  ['two tokens', 'CONNECT h:1', 'invalid_request_line', 'invalid_request_line'],
  ['four tokens', 'CONNECT h:1 HTTP/1.1 x', 'invalid_request_line', 'invalid_request_line'],
  ['nothing', '', 'empty_request_line', 'empty_request_line'],
  ['spaces alone', ' \t', 'empty_request_line', 'empty_request_line'],
  ['bytes that are no UTF-8', 'CONNECT \u00ff:1 HTTP/1.1', 'invalid_utf8', 'invalid_utf8'],
  [
    'a method that is no token',
    '\u0016\u0003\u0001 h:1 HTTP/1.1',
    'invalid_request_line',
    'invalid_request_line',
  ],
])('request line: %s', (_rule, line, strict, lenient) => {
  expect(outcome('strict', line, 'Host: h')).toBe(strict);
  expect(outcome('lenient', line, 'Host: h')).toBe(lenient);
});

test('a name in UTF-8 is refused by strict and mapped by lenient parsing', () => {
  const bytes = Buffer.from(wire('CONNECT münchen.de:443 HTTP/1.1'), 'utf8');
  expect(codeOf(() => parseConnectHead(bytes, 'strict'))).toBe('invalid_authority');
  expect(parseConnectHead(bytes, 'lenient').host).toBe('xn--mnchen-3ya.de');
});

test.each([
  ['bytes that are no UTF-8', 'X: \u00ff', 'invalid_utf8'],
  ['a folded line', 'X: a\r\n b', 'invalid_header'],
  ['a space before the colon', 'X : a', 'invalid_header'],
  ['a bare LF', 'X: a\nY: b', 'invalid_header'],
])('the fields of CONNECT follow the rules of heads: %s', (_rule, field, code) => {
  for (const mode of connectParseModes) expect(outcome(mode, 'CONNECT h:1 HTTP/1.1', field)).toBe(code);
});

test('another method is told as such although its fields are not UTF-8', () => {
  expect(outcome('strict', 'GET http://h/ HTTP/1.1', 'X: \u00ff')).toBe('method_not_connect');
});

test('CP-20 a head without its empty line is incomplete', () => {
  expect(codeOf(() => parseConnectHead(bytesOf('CONNECT h:1 HTTP/1.1\r\nHost: h\r\n'), 'strict'))).toBe(
    'incomplete_headers',
  );
});

test('CP-19 what follows the head is left alone', () => {
  const head = wire('CONNECT h:1 HTTP/1.1', 'Host: h:1', 'X-A: \u00c3\u00a9');
  const connect = parseConnectHead(new Uint8Array(bytesOf(`${head}\u0016\u0003\u0001`)), 'strict');
  expect(connect.headLength).toBe(head.length);
  expect(connect.headers.list).toEqual(['Host', 'h:1', 'X-A', '\u00c3\u00a9']);
});

test('CP-14 CP-24 a lenient head is consumed whole', () => {
  const head = wire('connect http://h:81/x HTTP/1.1', 'Host: h');
  expect(parseConnectHead(bytesOf(head), 'lenient')).toMatchObject({
    host: 'h',
    port: 81,
    headLength: head.length,
  });
});

test('the error says what was received', () => {
  expect(() => parseConnectHead(bytesOf(wire('CONNECT h HTTP/1.1')), 'strict')).toThrow(
    expect.objectContaining({ name: 'ConnectParseError', message: '"h" has no port: write "host:port"' }),
  );
});

test.each([
  [['X-Proxy-Protocol', 'H3'], 'x-proxy-protocol'],
  [['x-http3-passthrough', 'YES'], 'x-http3-passthrough'],
  [['X-HTTP3-Passthrough', '1'], 'x-http3-passthrough'],
  [['X-HTTP3-Passthrough', 'true', 'X-Proxy-Protocol', 'h3'], 'x-http3-passthrough'],
  [['X-Proxy-Protocol', 'h2', 'X-HTTP3-Passthrough', '0'], undefined],
  [[], undefined],
])('the HTTP/3 hint in %j is %s', (list, hint) => {
  expect(http3Hint(new HeaderMap(list))).toBe(hint);
});

const hosts = fc
  .string({ unit: fc.constantFrom('a', 'b', 'x', 'z', '0', '1', '9', '.', '-'), minLength: 1, maxLength: 32 })
  .filter((text) => {
    return codeOf(() => canonicalHost(text)) === 'accepted' && !text.endsWith('.');
  });
const ports = fc.integer({ min: 1, max: 65_535 });

test('CP-11 law: a canonical line parses back to itself', () => {
  fc.assert(
    fc.property(hosts, ports, (host, port) => {
      expect(outcome('strict', `CONNECT ${host}:${port} HTTP/1.1`)).toBe(`${host} ${port}`);
    }),
  );
});

test('CP-12 law: strict parsing refuses every lower-case method', () => {
  fc.assert(
    fc.property(hosts, ports, (host, port) => {
      expect(outcome('strict', `connect ${host}:${port} HTTP/1.1`)).toBe('method_not_connect');
    }),
  );
});

test('CP-13 law: lenient parsing takes absolute form and the default port', () => {
  fc.assert(
    fc.property(hosts, (host) => {
      expect(outcome('lenient', `connect https://${host}/chat HTTP/1.1`)).toBe(`${host} 443`);
    }),
  );
});

test('law: garbage is a CONNECT or a ConnectParseError', () => {
  const part = fc.constantFrom(
    'CONNECT',
    ' ',
    'h',
    ':',
    '443',
    '[',
    ']',
    '::1',
    'HTTP/1.1',
    '\r\n',
    'http://',
    '@',
    '\u00ff',
    '\u0000',
    'X: y',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 14 }), fc.constantFrom(...connectParseModes), (parts, mode) => {
      const error = errorOf(() => parseConnectHead(bytesOf(wire(parts.join(''))), mode));
      expect(error === undefined || error instanceof ConnectParseError).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
