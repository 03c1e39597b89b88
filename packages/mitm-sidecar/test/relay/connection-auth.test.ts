// NTLM and Negotiate are found however they are written, and nothing else is taken for them.
import { parseRequestHead, parseResponseHead } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { asksForConnectionAuth, authenticatesConnection } from '../../src/relay/connection-auth.ts';
import { getFields, h2RequestOf } from '../messages.ts';

describe('a request authenticates its connection', () => {
  const rows: readonly [string, string, boolean][] = [
    ['with NTLM', 'Authorization: NTLM TlRMTVNTUAAB', true],
    ['with Negotiate', 'Authorization: Negotiate YIIC', true],
    ['in any case', 'AUTHORIZATION: ntlm TlRMTVNTUAAB', true],
    ['behind other fields of the same length', 'Cache-Control: no-cache\r\nauthorization:nEgOtIaTe', true],
    ['but not with Bearer', 'Authorization: Bearer NTLM', false],
    ['but not with a scheme that only begins so', 'Authorization: NTLMv3 x', false],
    ['but not towards a proxy', 'Proxy-Authorization: NTLM x', false],
    ['but not by another field', 'X-Auth-Scheme: NTLM\r\nCache-Control: NTLM', false],
    ['but not without fields', 'Accept: */*', false],
  ];
  test.each(rows)('%s', (_rule, fields, expected) => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: o\r\n${fields}\r\n\r\n`);
    expect(authenticatesConnection(parseRequestHead(bytes, 0, bytes.length))).toBe(expected);
  });
});

describe('a request of HTTP/2 authenticates its connection', () => {
  const rows: readonly [string, readonly string[], boolean][] = [
    ['with NTLM', ['authorization', 'NTLM TlRMTVNTUAAB'], true],
    ['with Negotiate, in any case', ['authorization', 'negotiate YIIC'], true],
    ['but not with Bearer', ['authorization', 'Bearer NTLM'], false],
    ['but not by another field', ['x-scheme', 'NTLM'], false],
    ['but not by a value that is the name', ['access-control-request-headers', 'authorization'], false],
    ['but not without fields', [], false],
  ];
  test.each(rows)('%s', (_rule, fields, expected) => {
    expect(authenticatesConnection(h2RequestOf(getFields(...fields)))).toBe(expected);
  });

  // The first text that is the name is looked at, be it a value, and no other.
  test.each([
    [
      'behind a value that is the name',
      ['access-control-request-headers', 'authorization', 'authorization', 'NTLM x'],
    ],
    ['with the second of two', ['authorization', 'Basic x', 'authorization', 'NTLM x']],
  ])('also %s', (_rule, fields) => {
    expect(authenticatesConnection(h2RequestOf(getFields(...fields)))).toBe(true);
  });
});

describe('an answer asks for it', () => {
  const rows: readonly [string, number, string, boolean][] = [
    ['with a 401 for NTLM', 401, 'WWW-Authenticate: NTLM', true],
    ['with a challenge in progress', 401, 'WWW-Authenticate: NTLM TlRMTVNTUAAC', true],
    [
      'in one of several fields',
      401,
      'WWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: Negotiate',
      true,
    ],
    ['in a list', 401, 'www-authenticate: Basic realm="x",negotiate, Digest realm="y"', true],
    ['but not for Basic', 401, 'WWW-Authenticate: Basic realm="NTLM"', false],
    ['but not for a scheme that only begins so', 401, 'WWW-Authenticate: NegotiateX', false],
    ['but not with a 407, which is for the proxy', 407, 'Proxy-Authenticate: NTLM', false],
    ['but not with a 200, whose request has said it', 200, 'WWW-Authenticate: Negotiate oYG', false],
    ['but not without a challenge', 401, 'Content-Length: 0', false],
  ];
  test.each(rows)('%s', (_rule, status, fields, expected) => {
    const bytes = Buffer.from(`HTTP/1.1 ${status} X\r\n${fields}\r\n\r\n`);
    expect(asksForConnectionAuth(parseResponseHead(bytes, 0, bytes.length))).toBe(expected);
  });
});
