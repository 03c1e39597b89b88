import { expect, test } from 'vitest';

import {
  checkHost,
  checkStrictHeaderMode,
  checkTargetHost,
  chunkedBody,
  isPersistent,
  noBody,
  requestFraming,
  responseFraming,
  untilCloseBody,
} from '../src/framing.ts';
import { parseTarget } from '../src/target.ts';
import { codeOf, requestOf, requestWith, responseOf } from './wire-text.ts';

test.each([
  ['nothing declared', [], noBody],
  ['a length', ['Content-Length: 5'], { kind: 'length', length: 5 }],
  ['a length of 0', ['Content-Length: 0'], noBody],
  [
    'SG-14 a repeated equal length',
    ['Content-Length: 4', 'Content-Length: 4'],
    { kind: 'length', length: 4 },
  ],
  ['a list of equal lengths', ['Content-Length: 4, 4'], { kind: 'length', length: 4 }],
  ['chunks', ['Transfer-Encoding: chunked'], chunkedBody],
  ['chunks in another case behind a tab', ['Transfer-Encoding:\tChunked'], chunkedBody],
])('the body of a request: %s', (_rule, fields, framing) => {
  expect(requestFraming(requestWith(...fields))).toEqual(framing);
});

const chunked = 'Transfer-Encoding: chunked';
const refused = [
  ['SG-06a SG-12 SG-21 both framings', [chunked, 'Content-Length: 5'], 'conflicting_framing'],
  ['both, the length first', ['Content-Length: 5', chunked], 'conflicting_framing'],
  ['both, a length of 0', ['Content-Length: 0', chunked], 'conflicting_framing'],
  [
    'SG-06b SG-13 SG-22 two lengths',
    ['Content-Length: 4', 'Content-Length: 7'],
    'conflicting_content_length',
  ],
  ['SG-06c two lengths in a list', ['Content-Length: 4, 7'], 'conflicting_content_length'],
  ['SG-06d SG-15 gzip', ['Transfer-Encoding: gzip'], 'unknown_transfer_coding'],
  ['gzip before chunked', ['Transfer-Encoding: gzip, chunked'], 'unknown_transfer_coding'],
  ['chunked before gzip', ['Transfer-Encoding: chunked, gzip'], 'unknown_transfer_coding'],
  ['identity', ['Transfer-Encoding: identity'], 'unknown_transfer_coding'],
  ['identity on another line', ['Transfer-Encoding: identity', chunked], 'unknown_transfer_coding'],
  ['xchunked', ['Transfer-Encoding: xchunked'], 'unknown_transfer_coding'],
  ['a parameter', ['Transfer-Encoding: chunked;q=1'], 'unknown_transfer_coding'],
  ['quotes', ['Transfer-Encoding: "chunked"'], 'unknown_transfer_coding'],
  ['SG-06e SG-16 chunked twice', ['Transfer-Encoding: chunked, chunked'], 'invalid_transfer_encoding'],
  ['chunked on two lines', [chunked, chunked], 'invalid_transfer_encoding'],
  ['an empty list member', ['Transfer-Encoding: chunked,'], 'invalid_transfer_encoding'],
  ['a list of nothing', ['Transfer-Encoding: ,'], 'invalid_transfer_encoding'],
] as const;

test.each(refused)('SG-06 refused in requests: %s', (_rule, fields, code) => {
  expect(codeOf(() => requestFraming(requestWith(...fields)))).toBe(code);
});

test.each(refused)('SG-07 refused in responses: %s', (_rule, fields, code) => {
  expect(codeOf(() => responseFraming(responseOf('HTTP/1.1 200 OK', ...fields), 'GET'))).toBe(code);
});

test('chunks in HTTP/1.0 are refused on both sides', () => {
  const code = 'transfer_encoding_in_http_1_0';
  expect(codeOf(() => requestFraming(requestOf('POST / HTTP/1.0', chunked)))).toBe(code);
  expect(codeOf(() => responseFraming(responseOf('HTTP/1.0 200 OK', chunked), 'GET'))).toBe(code);
});

test('a coding we do not know is 501 to the client, an ambiguity 400', () => {
  expect(() => requestFraming(requestWith('Transfer-Encoding: gzip'))).toThrow(
    expect.objectContaining({
      status: 501,
      message: 'transfer coding "gzip" is not known: only "chunked" is',
    }),
  );
  expect(() => requestFraming(requestWith(chunked, 'Content-Length: 1'))).toThrow(
    expect.objectContaining({ status: 400 }),
  );
});

test.each([
  ['a length', 200, ['Content-Length: 5'], 'GET', { kind: 'length', length: 5 }],
  ['a length of 0', 200, ['Content-Length: 0'], 'GET', noBody],
  ['chunks', 200, [chunked], 'GET', chunkedBody],
  ['nothing declared', 200, [], 'GET', untilCloseBody],
  ['HEAD', 200, ['Content-Length: 5'], 'HEAD', noBody],
  ['HEAD is not head', 200, [], 'head', untilCloseBody],
  ['an interim answer', 103, [], 'GET', noBody],
  ['101', 101, [], 'GET', noBody],
  ['204, whatever it says', 204, ['Content-Length: 5', chunked], 'GET', noBody],
  ['304', 304, ['Content-Length: 5'], 'GET', noBody],
  ['an accepted CONNECT', 200, [chunked], 'CONNECT', noBody],
  ['a refused CONNECT', 407, ['Content-Length: 5'], 'CONNECT', { kind: 'length', length: 5 }],
])('the body of a response: %s', (_rule, status, fields, method, framing) => {
  expect(responseFraming(responseOf(`HTTP/1.1 ${status} X`, ...fields), method)).toEqual(framing);
});

test.each(['example.com', 'Example.com:8080', '[::1]', '[::1]:443', '192.0.2.1:1', 'a_b'])(
  'Host %j is valid',
  (host) => {
    expect(codeOf(() => checkHost(requestOf('GET / HTTP/1.1', `Host: ${host}`)))).toBe('accepted');
  },
);

test.each([
  ['a list', 'a, b'],
  ['nothing', ''],
  ['user information', 'user@a'],
  ['a path', 'a/b'],
  ['a URI', 'http://a'],
  ['port 0', 'a:0'],
  ['bare IPv6', '::1'],
  ['a letter beyond ASCII', 'm\u00fcnchen.de'],
  ['a space', 'a b'],
])('Host is refused: %s', (_rule, host) => {
  expect(codeOf(() => checkHost(requestOf('GET / HTTP/1.1', `Host: ${host}`)))).toBe('invalid_host');
  expect(codeOf(() => checkHost(requestOf('GET / HTTP/1.0', `Host: ${host}`)))).toBe('invalid_host');
});

test.each([
  ['the same name', 'https://api.test/v1', 'api.test', 'accepted'],
  ['the same name in another case', 'https://API.test/', 'api.TEST', 'accepted'],
  ["the scheme's own port given in one of them", 'https://api.test:443/', 'api.test', 'accepted'],
  ["the scheme's own port of http", 'http://api.test/', 'api.test:80', 'accepted'],
  ['the same address', 'https://[::1]:8443/', '[0:0::1]:8443', 'accepted'],
  ['another name', 'https://api.test/', 'other.test', 'host_mismatch'],
  ['another port', 'https://api.test/', 'api.test:8443', 'host_mismatch'],
  ['the port of the other scheme', 'https://api.test/', 'api.test:80', 'host_mismatch'],
  ['a name below it', 'https://api.test/', 'v1.api.test', 'host_mismatch'],
  ['no name at all', 'https://api.test/', 'a, b', 'invalid_host'],
  ['a path says nothing about the host', '/v1', 'other.test', 'accepted'],
])('an absolute target names the host that Host names: %s', (_rule, target, host, code) => {
  const head = requestOf(`GET ${target} HTTP/1.1`, `Host: ${host}`);
  expect(codeOf(() => checkTargetHost(head, parseTarget(head)))).toBe(code);
});

test('a target is compared with no Host where there is none, and CONNECT with none at all', () => {
  const old = requestOf('GET https://api.test/ HTTP/1.0');
  expect(codeOf(() => checkTargetHost(old, parseTarget(old)))).toBe('accepted');
  const connect = requestOf('CONNECT api.test:443 HTTP/1.1', 'Host: other.test');
  expect(codeOf(() => checkTargetHost(connect, parseTarget(connect)))).toBe('accepted');
});

test('HTTP/1.1 needs a Host, HTTP/1.0 does not', () => {
  expect(codeOf(() => checkHost(requestOf('GET / HTTP/1.1')))).toBe('missing_host');
  expect(codeOf(() => checkHost(requestOf('GET / HTTP/1.0')))).toBe('accepted');
});

test.each([
  ['a request', requestWith(), true],
  ['a request that closes', requestWith('Connection: x, CLOSE'), false],
  ['close wins', requestWith('Connection: keep-alive, close'), false],
  ['a request with other options', requestWith('Connection: Upgrade'), true],
  ['an HTTP/1.0 request', requestOf('GET / HTTP/1.0'), false],
  ['an HTTP/1.0 request for keep-alive', requestOf('GET / HTTP/1.0', 'Connection: keep-alive'), false],
  ['an HTTP/1.0 response', responseOf('HTTP/1.0 200 OK'), false],
  ['an HTTP/1.0 response that stays', responseOf('HTTP/1.0 200 OK', 'Connection: Keep-Alive'), true],
  ['a response', responseOf('HTTP/1.1 200 OK'), true],
  ['a response that closes', responseOf('HTTP/1.1 200 OK', 'Connection: close'), false],
])('whether the connection stays: %s', (_rule, head, isKept) => {
  expect(isPersistent(head)).toBe(isKept);
});

test.each([
  ['SG-23 request', requestOf('GET / HTTP/1.0')],
  ['SG-24 response', responseOf('HTTP/1.0 200 OK')],
])('%s: strict_header_mode takes HTTP/1.1 only', (_row, head) => {
  expect(() => checkStrictHeaderMode(head)).toThrow('strict_header_mode takes HTTP/1.1 only');
});

test('strict_header_mode takes HTTP/1.1', () => {
  expect(codeOf(() => checkStrictHeaderMode(requestWith()))).toBe('accepted');
});
