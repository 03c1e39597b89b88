import { describe, expect, test } from 'vitest';

import { chunkedBody, noBody, requestFraming, responseFraming, untilCloseBody } from '../../src/framing.ts';
import type { BodyFraming } from '../../src/framing.ts';
import { http1RequestText, http1ResponseText } from '../../src/h2/http1-text.ts';
import type { Http1RequestOptions, Http1ResponseOptions } from '../../src/h2/http1-text.ts';
import { parseH2Request } from '../../src/h2/request-head.ts';
import { parseH2Response } from '../../src/h2/response-head.ts';
import { codeOf, requestOf, responseOf } from '../wire-text.ts';

const five: BodyFraming = { kind: 'length', length: 5 };

function pseudoOf(method: string): string[] {
  return [':method', method, ':scheme', 'https', ':authority', 'example.com', ':path', '/p'];
}

function requestText(
  method: string,
  fields: readonly string[],
  options: Partial<Http1RequestOptions> = {},
): string {
  const head = parseH2Request([...pseudoOf(method), ...fields]);
  return http1RequestText(head, { target: '/p', host: 'example.com', framing: noBody, ...options });
}

/** The lines behind the request line and Host. */
function request(...args: Parameters<typeof requestText>): string[] {
  const lines = requestText(...args).split('\r\n');
  expect(lines.slice(0, 2)).toEqual([`${args[0]} /p HTTP/1.1`, 'Host: example.com']);
  expect(lines.slice(-2)).toEqual(['', '']);
  return lines.slice(2, -2);
}

function response(
  status: number,
  fields: readonly string[],
  options: Partial<Http1ResponseOptions> = {},
): string[] {
  const head = parseH2Response([':status', String(status), ...fields]);
  const text = http1ResponseText(head, {
    requestMethod: 'GET',
    framing: noBody,
    minorVersion: 1,
    isLast: false,
    ...options,
  });
  expect(text.endsWith('\r\n\r\n')).toBe(true);
  return text.slice(0, -4).split('\r\n');
}

describe('requests', () => {
  test.each([
    ['fields as received', ['accept', '*/*', 'x', ''], ['accept: */*', 'x: ']],
    ['§8.3.1 a host field gives way to Host', ['host', 'example.com', 'a', '1'], ['a: 1']],
    [
      '§8.2.3 cookie crumbs are joined where the first was',
      ['cookie', 'a=1', 'x', '1', 'cookie', 'b=2'],
      ['cookie: a=1; b=2', 'x: 1'],
    ],
    ['§8.2.3 a single cookie stays', ['cookie', 'a=1; b=2'], ['cookie: a=1; b=2']],
    ['§8.2.2 te concerns this hop', ['te', 'trailers', 'a', '1'], ['a: 1']],
    ['credentials for us', ['proxy-authorization', 'Basic x'], []],
    ['settings of an upgrade', ['http2-settings', 'AAMA'], []],
    ['the announcement of trailers stays', ['trailer', 'x'], ['trailer: x']],
    ['Expect stays', ['expect', '100-continue'], ['expect: 100-continue']],
  ])('RFC 9113 %s', (_rule, fields, lines) => {
    expect(request('GET', fields)).toEqual(lines);
  });

  test('Expect goes where asked', () => {
    expect(request('GET', ['expect', '100-continue'], { dropExpect: true })).toEqual([]);
  });

  test.each([
    ['GET without a body', 'GET', [], noBody, []],
    ['POST without a body says so (RFC 9110 §8.6)', 'POST', [], noBody, ['content-length: 0']],
    ['PUT', 'PUT', ['a', '1'], noBody, ['a: 1', 'content-length: 0']],
    ['PATCH', 'PATCH', [], noBody, ['content-length: 0']],
    ['DELETE', 'DELETE', [], noBody, []],
    ['a declared length of 0 stays', 'GET', ['content-length', '0'], noBody, ['content-length: 0']],
    [
      'a declared length stays in place',
      'POST',
      ['content-length', '5', 'a', '1'],
      five,
      ['content-length: 5', 'a: 1'],
    ],
    [
      'equal lengths become one',
      'POST',
      ['content-length', '5', 'content-length', '5, 5'],
      five,
      ['content-length: 5'],
    ],
    ['a length that became known is added', 'POST', ['a', '1'], five, ['a: 1', 'content-length: 5']],
    [
      'a body of unknown length comes in chunks',
      'POST',
      ['a', '1'],
      chunkedBody,
      ['a: 1', 'transfer-encoding: chunked'],
    ],
    [
      'chunks have no length beside them',
      'POST',
      ['content-length', '5'],
      chunkedBody,
      ['transfer-encoding: chunked'],
    ],
  ])('the body: %s', (_rule, method, fields, framing, lines) => {
    expect(request(method, fields, { framing })).toEqual(lines);
    expect(requestFraming(requestOf(`${method} /p HTTP/1.1`, ...lines))).toEqual(framing);
  });

  test.each([
    ['more is declared than comes', ['content-length', '5'], noBody, 'conflicting_content_length'],
    ['less is declared than comes', ['content-length', '0'], five, 'conflicting_content_length'],
    ['until the connection closes', [], untilCloseBody, 'untranslatable'],
  ])('the body is refused: %s', (_rule, fields, framing, code) => {
    expect(codeOf(() => requestText('POST', fields, { framing }))).toBe(code);
  });

  test('RFC 8441 an extended CONNECT is no request of HTTP/1', () => {
    expect(codeOf(() => requestText('CONNECT', [':protocol', 'websocket']))).toBe('untranslatable');
  });

  test('RFC 9113 §8.5 CONNECT is', () => {
    const head = parseH2Request([':method', 'CONNECT', ':authority', 'a:443']);
    const text = http1RequestText(head, { target: head.target, host: head.host, framing: noBody });
    expect(text).toBe('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n');
  });
});

describe('responses', () => {
  test.each([
    [
      'a length',
      200,
      ['content-length', '5', 'a', '1'],
      five,
      ['HTTP/1.1 200 OK', 'content-length: 5', 'a: 1'],
    ],
    [
      'no length: chunks',
      200,
      ['a', '1'],
      chunkedBody,
      ['HTTP/1.1 200 OK', 'a: 1', 'transfer-encoding: chunked'],
    ],
    ['no body: a length of 0', 200, [], noBody, ['HTTP/1.1 200 OK', 'content-length: 0']],
    [
      'a body until the end',
      200,
      ['a', '1'],
      untilCloseBody,
      ['HTTP/1.1 200 OK', 'a: 1', 'Connection: close'],
    ],
    ['an error', 404, [], noBody, ['HTTP/1.1 404 Not Found', 'content-length: 0']],
    ['a status without a standard phrase', 299, [], noBody, ['HTTP/1.1 299 ', 'content-length: 0']],
    ['204 has no length', 204, ['content-length', '0'], noBody, ['HTTP/1.1 204 No Content']],
    [
      '1xx neither',
      103,
      ['link', 'x', 'content-length', '0'],
      noBody,
      ['HTTP/1.1 103 Early Hints', 'link: x'],
    ],
    [
      '304 keeps what is declared',
      304,
      ['content-length', '5'],
      noBody,
      ['HTTP/1.1 304 Not Modified', 'content-length: 5'],
    ],
    ['304 gets none', 304, [], noBody, ['HTTP/1.1 304 Not Modified']],
    [
      'cookies stay apart',
      200,
      ['set-cookie', 'a', 'set-cookie', 'b', 'content-length', '0'],
      noBody,
      ['HTTP/1.1 200 OK', 'set-cookie: a', 'set-cookie: b', 'content-length: 0'],
    ],
    [
      'challenges for us go',
      407,
      ['proxy-authenticate', 'Basic', 'te', 'trailers'],
      noBody,
      ['HTTP/1.1 407 Proxy Authentication Required', 'content-length: 0'],
    ],
  ])('to HTTP/1.1: %s', (_rule, status, fields, framing, lines) => {
    expect(response(status, fields, { framing })).toEqual(lines);
    expect(responseFraming(responseOf(...lines), 'GET')).toEqual(framing);
  });

  test.each([
    ['what GET would get stays', ['content-length', '5'], ['HTTP/1.1 200 OK', 'content-length: 5']],
    ['and nothing is made up', [], ['HTTP/1.1 200 OK']],
  ])('to HEAD: %s', (_rule, fields, lines) => {
    expect(response(200, fields, { requestMethod: 'HEAD' })).toEqual(lines);
  });

  test('RFC 9110 §9.3.6 a 2xx to CONNECT has no length', () => {
    expect(response(200, ['content-length', '0'], { requestMethod: 'CONNECT' })).toEqual(['HTTP/1.1 200 OK']);
    expect(response(407, [], { requestMethod: 'CONNECT' })).toHaveLength(2);
  });

  test.each([
    ['HTTP/1.1 goes on by itself', 1, false, five, undefined],
    ['HTTP/1.1 ends where told', 1, true, five, 'Connection: close'],
    ['HTTP/1.0 goes on where told', 0, false, five, 'Connection: keep-alive'],
    ['HTTP/1.0 ends where told', 0, true, five, 'Connection: close'],
    [
      'HTTP/1.0 knows no chunks: the body ends with the connection',
      0,
      false,
      chunkedBody,
      'Connection: close',
    ],
  ] as const)('the connection: %s', (_rule, minorVersion, isLast, framing, line) => {
    const [, ...lines] = response(200, framing === five ? ['content-length', '5'] : [], {
      minorVersion,
      isLast,
      framing,
    });
    const expected = framing === five ? ['content-length: 5'] : [];
    expect(lines).toEqual(line === undefined ? expected : [...expected, line]);
  });

  test('1xx says nothing of the connection', () => {
    expect(response(103, [], { isLast: true })).toEqual(['HTTP/1.1 103 Early Hints']);
    expect(response(100, [], { minorVersion: 0 })).toEqual(['HTTP/1.1 100 Continue']);
  });

  test.each([
    ['less declared than comes', ['content-length', '4'], five],
    ['more declared than comes', ['content-length', '5'], noBody],
  ])('refused: %s', (_rule, fields, framing) => {
    expect(codeOf(() => response(200, fields, { framing }))).toBe('conflicting_content_length');
  });
});
