import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { http1RequestText } from '../../src/h2/http1-text.ts';
import { parseH2Request } from '../../src/h2/request-head.ts';
import { parseH2Response } from '../../src/h2/response-head.ts';
import {
  forwardedRequestFields,
  forwardedResponseFields,
  h2RequestFraming,
  h2ResponseFraming,
  requestFieldsOf,
  responseFieldsOf,
} from '../../src/h2/translate.ts';
import { parseRequestHead } from '../../src/head.ts';
import { hopByHopFields } from '../../src/rewrite.ts';
import { bytesOf, codeOf, requestOf, responseOf } from '../wire-text.ts';

const to = { scheme: 'https', authority: 'example.com', path: '/p' } as const;
const pseudo = [':method', 'GET', ':scheme', 'https', ':authority', 'example.com', ':path', '/p'];

/** The regular fields of an HTTP/1.1 GET with these lines, in HTTP/2. */
function translated(lines: readonly string[], dropExpect = false): string[] {
  const head = requestOf('GET /p HTTP/1.1', 'Host: example.com', ...lines);
  const list = requestFieldsOf(head, { ...to, dropExpect });
  expect(list.slice(0, 8)).toEqual(pseudo);
  return list.slice(8);
}

describe('HTTP/1 requests in HTTP/2', () => {
  test.each([
    ['§8.2 names in lower case, values as they came', ['X-Custom:  AbC '], ['x-custom', 'AbC']],
    ['§8.3.1 Host is :authority and not repeated', ['A: 1'], ['a', '1']],
    ['duplicates keep their order', ['a: 1', 'B: 2', 'A: 3'], ['a', '1', 'b', '2', 'a', '3']],
    ['a cookie stays one field', ['Cookie: a=1; b=2'], ['cookie', 'a=1; b=2']],
    ['a length', ['Content-Length: 5'], ['content-length', '5']],
    [
      'equal lengths are one',
      ['Content-Length: 5', 'A: 1', 'content-length: 5'],
      ['content-length', '5', 'a', '1'],
    ],
    ['a list of equal lengths is one', ['Content-Length: 5, 5'], ['content-length', '5']],
    ['§8.2.2 a chunked body needs no field', ['Transfer-Encoding: chunked', 'Trailer: X'], ['trailer', 'X']],
    ['a length beside chunked is void', ['Content-Length: 5', 'Transfer-Encoding: chunked'], []],
    ['fields named by Connection', ['Connection: x-a, close', 'X-A: 1', 'B: 2'], ['b', '2']],
    ['a Trailer named by Connection', ['Connection: trailer', 'Trailer: X'], []],
    ['Connection without names', ['Connection: keep-alive', 'A: 1'], ['a', '1']],
    ['§8.2.2 te: trailers stays', ['TE: trailers', 'Connection: TE'], ['te', 'trailers']],
    ['of te nothing else stays', ['TE: gzip;q=0.5, Trailers', 'te: trailers'], ['te', 'trailers']],
    ['a te without trailers goes', ['TE: gzip, trailers;q=1'], []],
    ['an expectation', ['Expect: 100-continue'], ['expect', '100-continue']],
  ])('RFC 9113 %s', (_rule, lines, fields) => {
    expect(translated(lines)).toEqual(fields);
  });

  test.each(hopByHopFields)('RFC 9110 §7.6.1 %s goes', (name) => {
    expect(translated([`${name}: x`, 'A: 1'])).toEqual(['a', '1']);
  });

  test('an upgrade is not offered to HTTP/2 (§8.6)', () => {
    expect(
      translated(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMA']),
    ).toEqual([]);
  });

  test('Expect is dropped where asked, and of HTTP/1.0 always', () => {
    expect(translated(['Expect: 100-continue', 'A: 1'], true)).toEqual(['a', '1']);
    const old = requestOf('GET /p HTTP/1.0', 'Expect: 100-continue', 'A: 1');
    expect(requestFieldsOf(old, to)).toEqual([...pseudo, 'a', '1']);
  });

  test('§8.5 CONNECT has no scheme and no path', () => {
    const head = requestOf('CONNECT a:443 HTTP/1.1', 'Host: a:443', 'B: 1');
    const list = requestFieldsOf(head, { ...to, authority: 'a:443' });
    expect(list).toEqual([':method', 'CONNECT', ':authority', 'a:443', 'b', '1']);
    expect(parseH2Request(list).target).toBe('a:443');
  });
});

describe('HTTP/1 responses in HTTP/2', () => {
  test.each([
    [
      'names in lower case',
      '200 OK',
      ['Set-Cookie: A', 'Set-Cookie: B'],
      ['set-cookie', 'A', 'set-cookie', 'B'],
    ],
    ['a length', '200 OK', ['Content-Length: 5, 5'], ['content-length', '5']],
    ['chunked needs no field', '200 OK', ['Transfer-Encoding: chunked', 'Trailer: X'], ['trailer', 'X']],
    [
      'fields of the connection go',
      '200 OK',
      ['Connection: close, X', 'X: 1', 'Keep-Alive: a', 'B: 2'],
      ['b', '2'],
    ],
    ['te says nothing in a response', '200 OK', ['TE: trailers'], []],
    ['proxy challenges go', '407 No', ['Proxy-Authenticate: Basic', 'Proxy-Authentication-Info: x'], []],
    ['204 has no length (RFC 9110 §8.6)', '204 No Content', ['Content-Length: 5', 'A: 1'], ['a', '1']],
    ['nor has 1xx', '103 Early Hints', ['Content-Length: 5', 'Link: x'], ['link', 'x']],
    ['304 keeps it', '304 Not Modified', ['Content-Length: 5'], ['content-length', '5']],
  ])('RFC 9113 §8.2: %s', (_rule, status, lines, fields) => {
    const list = responseFieldsOf(responseOf(`HTTP/1.1 ${status}`, ...lines));
    expect(list).toEqual([':status', status.slice(0, 3), ...fields]);
  });

  test('§8.6 a switch of protocols can not be said', () => {
    const head = responseOf('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket');
    expect(codeOf(() => responseFieldsOf(head))).toBe('untranslatable');
  });
});

describe('HTTP/2 requests sent on', () => {
  test('GR-01 with nothing to change the received list itself is sent on, te: trailers included', () => {
    const fields = [
      ...pseudo,
      'te',
      'trailers',
      'content-length',
      '5',
      'cookie',
      'a',
      'cookie',
      'b',
      'expect',
      'x',
    ];
    const head = parseH2Request(fields);
    expect(forwardedRequestFields(head)).toBe(fields);
    expect(forwardedRequestFields(head, { path: '/p', authority: 'example.com', dropExpect: false })).toBe(
      fields,
    );
    expect(forwardedRequestFields(parseH2Request(pseudo), { dropExpect: true })).toBe(pseudo);
  });

  test.each([
    ['credentials for us', ['proxy-authorization', 'Basic x'], {}, []],
    ['settings of an upgrade', ['http2-settings', 'AAMA', 'a', '1'], {}, ['a', '1']],
    [
      'equal lengths made one',
      ['content-length', '5', 'a', '1', 'content-length', '5'],
      {},
      ['content-length', '5', 'a', '1'],
    ],
    ['a list of lengths made one', ['content-length', '5, 5'], {}, ['content-length', '5']],
    ['Expect where asked', ['expect', '100-continue', 'a', '1'], { dropExpect: true }, ['a', '1']],
    [
      'Expect stays when something else goes',
      ['expect', 'x', 'proxy-authorization', 'y'],
      {},
      ['expect', 'x'],
    ],
  ])('without %s', (_rule, fields, options, expected) => {
    const head = parseH2Request([...pseudo, ...fields]);
    expect(forwardedRequestFields(head, options)).toEqual([...pseudo, ...expected]);
  });

  test('another path stands in place', () => {
    const list = forwardedRequestFields(parseH2Request([...pseudo, 'a', '1']), { path: '/q' });
    expect(list).toEqual([...pseudo.slice(0, 6), ':path', '/q', 'a', '1']);
  });

  test('another authority stands in place, and no host contradicts it', () => {
    const head = parseH2Request([...pseudo, 'host', 'example.com', 'a', '1']);
    const list = forwardedRequestFields(head, { authority: 'b.example' });
    expect(list).toEqual([...pseudo.slice(0, 5), 'b.example', ':path', '/p', 'a', '1']);
    expect(parseH2Request(list).host).toBe('b.example');
  });

  test('§8.3.1 an authority takes the place of host where only that was sent', () => {
    const fields = [':method', 'GET', ':scheme', 'https', ':path', '/p', 'host', 'example.com'];
    const head = parseH2Request(fields);
    expect(forwardedRequestFields(head)).toBe(fields);
    const list = forwardedRequestFields(head, { authority: 'example.com' });
    expect(list).toEqual([...fields.slice(0, 6), ':authority', 'example.com']);
  });
});

describe('HTTP/2 responses sent on', () => {
  test('with nothing to change the received list itself is sent on', () => {
    for (const fields of [
      [':status', '200', 'content-length', '5', 'trailer', 'x', 'set-cookie', 'a', 'set-cookie', 'b'],
      [':status', '204', 'a', '1'],
      [':status', '103', 'link', 'x'],
    ]) {
      expect(forwardedResponseFields(parseH2Response(fields))).toBe(fields);
    }
  });

  test.each([
    ['a challenge for us', ['407', 'proxy-authenticate', 'Basic', 'a', '1'], ['407', 'a', '1']],
    ['what follows on it', ['200', 'proxy-authentication-info', 'x'], ['200']],
    ['te', ['200', 'te', 'trailers', 'a', '1'], ['200', 'a', '1']],
    ['equal lengths', ['200', 'content-length', '5', 'content-length', '5'], ['200', 'content-length', '5']],
    ['a length that is a list', ['200', 'content-length', '5,5'], ['200', 'content-length', '5']],
    ['a length in 204', ['204', 'content-length', '0', 'a', '1'], ['204', 'a', '1']],
    ['a length in 1xx', ['103', 'content-length', '0'], ['103']],
  ])('without %s', (_rule, [status = '', ...fields], [newStatus, ...expected]) => {
    const head = parseH2Response([':status', status, ...fields]);
    expect(forwardedResponseFields(head)).toEqual([':status', newStatus, ...expected]);
  });
});

describe('how a body is framed outside HTTP/2', () => {
  test.each([
    ['no body when the head ended the stream', [], true, { kind: 'none' }],
    ['a declared length', ['content-length', '5'], false, { kind: 'length', length: 5 }],
    ['a declared length of 0', ['content-length', '0'], false, { kind: 'none' }],
    ['chunks without one', [], false, { kind: 'chunked' }],
  ])('requests: %s', (_rule, fields, isEnded, framing) => {
    expect(h2RequestFraming(parseH2Request([...pseudo, ...fields]), isEnded)).toEqual(framing);
  });

  test.each([
    ['no body when the head ended the stream', '200', 'GET', true, { kind: 'none' }],
    ['a declared length', '200', 'GET', false, { kind: 'length', length: 5 }],
    ['none after HEAD', '200', 'HEAD', false, { kind: 'none' }],
    ['none in 204', '204', 'GET', false, { kind: 'none' }],
    ['none in 304', '304', 'GET', false, { kind: 'none' }],
    ['none in 1xx', '103', 'GET', false, { kind: 'none' }],
    ['none in 2xx to CONNECT', '200', 'CONNECT', false, { kind: 'none' }],
    ['one in 4xx to CONNECT', '407', 'CONNECT', false, { kind: 'length', length: 5 }],
  ])('RFC 9110 §6.4.1 responses: %s', (_rule, status, requestMethod, isEnded, framing) => {
    const head = parseH2Response([':status', status, 'content-length', '5']);
    expect(h2ResponseFraming(head, { requestMethod, isEnded })).toEqual(framing);
  });

  test('responses: chunks without a length', () => {
    const head = parseH2Response([':status', '200']);
    expect(h2ResponseFraming(head, { requestMethod: 'GET', isEnded: false })).toEqual({ kind: 'chunked' });
  });
});

const name = fc.constantFrom('Accept', 'x-A', 'X-B', 'Cookie', 'Authorization', 'Range', 'Trailer');
const value = fc.stringMatching(/^(?:[!-~\u0080-\u00ff](?:[ \t!-~\u0080-\u00ff]{0,8}[!-~])?)?$/);

test('law: HTTP/1 to HTTP/2 and back keeps method, target, host and fields', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 8 }),
      fc.constantFrom('', '?a=b'),
      (pairs, query) => {
        const lines = pairs.map(([key, text]) => `${key}: ${text}`);
        const path = `/p${query}`;
        const first = requestOf(`DELETE ${path} HTTP/1.1`, 'Host: example.com', ...lines);
        const head = parseH2Request(requestFieldsOf(first, { ...to, path }));
        const text = http1RequestText(head, {
          target: head.target,
          host: head.host,
          framing: { kind: 'none' },
        });
        const last = parseRequestHead(bytesOf(text), 0, text.length);
        expect([last.method, last.target, last.host]).toEqual(['DELETE', path, 'example.com']);
        expect(withJoinedCookies(last.headers.entries())).toEqual(withJoinedCookies(first.headers.entries()));
      },
    ),
    { numRuns: 500 },
  );
});

function withJoinedCookies(pairs: Iterable<readonly [string, string]>): string[] {
  const fields = [...pairs].map(([key, text]) => [key.toLowerCase(), text] as const);
  const cookies = fields.filter(([key, text]) => key === 'cookie' && text !== '').map(([, text]) => text);
  const others = fields.filter(([key]) => key !== 'cookie').map(([key, text]) => `${key}: ${text}`);
  return [...others, `cookie: ${cookies.join('; ')}`];
}
