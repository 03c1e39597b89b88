import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { hopByHopFields, isHopByHop, writeRequestHead, writeResponseHead } from '../src/rewrite.ts';
import type { WriteRequestOptions, WriteResponseOptions } from '../src/rewrite.ts';
import { requestOf, requestWith, responseOf, wire } from './wire-text.ts';

function request(fields: readonly string[], options?: WriteRequestOptions): string[] {
  const written = writeRequestHead(requestOf('GET /p HTTP/1.1', 'Host: a', ...fields), options);
  expect(written.endsWith('\r\n\r\n')).toBe(true);
  const lines = written.slice(0, -4).split('\r\n');
  expect(lines.slice(0, 2)).toEqual(['GET /p HTTP/1.1', 'Host: a']);
  return lines.slice(2);
}

function response(line: string, fields: readonly string[], options?: WriteResponseOptions): string[] {
  return writeResponseHead(responseOf(line, ...fields), options)
    .slice(0, -4)
    .split('\r\n');
}

describe('requests', () => {
  test('with nothing to change the received text itself is sent on', () => {
    const head = requestWith('x-A:1', 'X-a:  2 ', 'Content-Length: 5');
    expect(writeRequestHead(head)).toBe(head.text);
    expect(writeRequestHead(head, { target: head.target, host: 'example.com', dropExpect: true })).toBe(
      head.text,
    );
  });

  test('H1-14 what belongs to the connection goes, what is for the origin stays as it came', () => {
    const fields = [
      'user-AGENT:  x ',
      'Connection: Keep-Alive, X-Secret',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eDp5',
      'TE: trailers',
      'X-Custom: 1',
      'x-secret: 2',
      'Transfer-Encoding: chunked',
      'Trailer: X-Sum',
      'HTTP2-Settings: AAMA',
      'Upgrade: h2c',
      'X-SECRET: 3',
    ];
    expect(request(fields)).toEqual([
      'user-AGENT:  x ',
      'X-Custom: 1',
      'Transfer-Encoding: chunked',
      'Trailer: X-Sum',
    ]);
  });

  test('Max-Forwards gets its new value in place, and is not added (RFC 9110 §7.6.2)', () => {
    expect(request(['A: 1', 'max-forwards:  9', 'B: 2'], { maxForwards: 8 })).toEqual([
      'A: 1',
      'max-forwards:  8',
      'B: 2',
    ]);
    expect(request(['A: 1'], { maxForwards: 8 })).toEqual(['A: 1']);
    expect(request(['Max-Forwards: 9'])).toEqual(['Max-Forwards: 9']);
  });

  test.each([
    ['options that name no field', ['Connection: close, te, upgrade', 'A: 1'], ['A: 1']],
    ['a field that is often kept', ['Connection: Trailer', 'Trailer: X', 'A: 1'], ['A: 1']],
    ['a name that is not there', ['Connection: x-b', 'A: 1'], ['A: 1']],
    ['two Connection fields', ['Connection: a', 'A: 1', 'Connection: b', 'B: 2'], []],
  ])('Connection: %s', (_rule, fields, lines) => {
    expect(request(fields)).toEqual(lines);
  });

  test.each([
    [
      'repeated equal lengths become the first',
      ['content-length:5', 'Content-Length: 5'],
      {},
      ['content-length:5'],
    ],
    ['a list becomes one', ['Content-Length: 5, 5'], {}, ['Content-Length: 5']],
    [
      'a length is set in place',
      ['Content-Length: 5', 'A: 1'],
      { contentLength: 7 },
      ['Content-Length: 7', 'A: 1'],
    ],
    ['the same length changes nothing', ['Content-Length:  5'], { contentLength: 5 }, ['Content-Length:  5']],
    ['a length is added', ['A: 1'], { contentLength: 0 }, ['A: 1', 'Content-Length: 0']],
    [
      'a length replaces chunks',
      ['Transfer-Encoding: chunked', 'A: 1'],
      { dropTransferEncoding: true, contentLength: 3 },
      ['A: 1', 'Content-Length: 3'],
    ],
    ['Expect stays', ['Expect: 100-continue'], {}, ['Expect: 100-continue']],
    ['Expect goes when asked', ['Expect: 100-continue', 'A: 1'], { dropExpect: true }, ['A: 1']],
    ['lines are added at the end', ['A: 1'], { fields: 'B: 2\r\nC: 3\r\n' }, ['A: 1', 'B: 2', 'C: 3']],
  ])('%s', (_rule, fields, options, lines) => {
    expect(request(fields, options)).toEqual(lines);
  });

  const upgrade = 'Connection: Upgrade';
  test.each([
    [
      'websocket stays, with its option',
      ['Upgrade:  WebSocket', upgrade, 'A: 1'],
      ['Upgrade:  WebSocket', 'A: 1', upgrade],
    ],
    ['h2c goes from a list', ['Upgrade: h2c, foo/1 , H2C', upgrade], ['Upgrade: foo/1', upgrade]],
    ['TLS goes in every version', ['Upgrade: TLS/1.0, tls', upgrade], []],
    [
      'h2c alone leaves nothing',
      ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: A'],
      [],
    ],
    ['two fields', ['Upgrade: h2c', 'Upgrade: a', upgrade], ['Upgrade: a', upgrade]],
    ['no option, no upgrade', ['Upgrade: websocket'], []],
    ['no Upgrade, no option', [upgrade, 'A: 1'], ['A: 1']],
    ['an empty Upgrade', ['Upgrade:', upgrade], []],
  ])('an upgrade that is kept: %s', (_rule, fields, lines) => {
    expect(request(fields, { keepUpgrade: true })).toEqual(lines);
  });

  test.each([
    ['the target', ['Host: a', 'A: 1'], { target: '/new' }, ['GET /new HTTP/1.1', 'Host: a', 'A: 1']],
    [
      'Host in place',
      ['A: 1', 'HOST:a '],
      { host: 'b:81' },
      ['GET http://a/old HTTP/1.1', 'A: 1', 'HOST:b:81'],
    ],
    ['Host where there is none', ['A: 1'], { host: 'b' }, ['GET http://a/old HTTP/1.1', 'Host: b', 'A: 1']],
    [
      'both, and a hop-by-hop field',
      ['Proxy-Connection: x', 'Host: a'],
      { target: '/', host: 'b' },
      ['GET / HTTP/1.1', 'Host: b'],
    ],
  ])('replaced: %s', (_rule, fields, options, lines) => {
    const head = requestOf('GET http://a/old HTTP/1.1', ...fields);
    expect(writeRequestHead(head, options)).toBe(wire(...lines));
  });

  test('HTTP/1.0 becomes our version, without Expect and Upgrade', () => {
    const head = requestOf(
      'GET / HTTP/1.0',
      'Expect: x',
      'A: 1',
      'Upgrade: websocket',
      'Connection: upgrade',
    );
    expect(writeRequestHead(head, { keepUpgrade: true })).toBe(wire('GET / HTTP/1.1', 'A: 1'));
    expect(writeRequestHead(requestOf('GET / HTTP/1.0', 'A: 1'))).toBe(wire('GET / HTTP/1.1', 'A: 1'));
  });

  test('a head without fields', () => {
    expect(writeRequestHead(requestOf('GET / HTTP/1.0'))).toBe('GET / HTTP/1.1\r\n\r\n');
    expect(writeRequestHead(requestOf('GET / HTTP/1.1'), { fields: 'A: 1\r\n' })).toBe(
      wire('GET / HTTP/1.1', 'A: 1'),
    );
  });
});

describe('responses', () => {
  const ok = 'HTTP/1.1 200 OK';

  test('with nothing to change the received text itself is sent on', () => {
    const head = responseOf('HTTP/1.1 200 ', 'Set-Cookie: a', 'set-cookie: b', 'Content-Length: 5');
    expect(writeResponseHead(head)).toBe(head.text);
  });

  test('H1-14 what belongs to the connection goes, what is for the client stays as it came', () => {
    const fields = [
      'Content-Type: text/plain',
      'Connection: close, x-b',
      'Keep-Alive: timeout=5',
      'Upgrade: h2',
      'TE: x',
      'Proxy-Authenticate: Basic',
      'Proxy-Authentication-Info: x',
      'X-B: 1',
      'WWW-Authenticate: Basic',
      'content-LENGTH: 5',
    ];
    expect(response(ok, fields)).toEqual([
      ok,
      'Content-Type: text/plain',
      'WWW-Authenticate: Basic',
      'content-LENGTH: 5',
    ]);
  });

  test.each([
    ['the version is ours', 'HTTP/1.0 200 OK', {}, 'HTTP/1.1 200 OK'],
    ['the space before no reason is written', 'HTTP/1.1 200', {}, 'HTTP/1.1 200 '],
    ['the reason stays', 'HTTP/1.0 404 Nicht  da', {}, 'HTTP/1.1 404 Nicht  da'],
    ['another version when asked', 'HTTP/1.1 200 OK', { version: 'HTTP/1.0' } as const, 'HTTP/1.0 200 OK'],
    ['the same version', 'HTTP/1.0 200 OK', { version: 'HTTP/1.0' } as const, 'HTTP/1.0 200 OK'],
  ])('status line: %s', (_rule, line, options, expected) => {
    expect(response(line, ['A: 1'], options)).toEqual([expected, 'A: 1']);
  });

  test.each([
    [
      '101 with its protocol',
      'HTTP/1.1 101 X',
      ['Upgrade: websocket', 'Connection: upgrade', 'A: 1'],
      ['Upgrade: websocket', 'A: 1', 'Connection: Upgrade'],
    ],
    ['101 that forgot its option', 'HTTP/1.1 101 X', ['Upgrade: a'], ['Upgrade: a', 'Connection: Upgrade']],
  ])('an upgrade that is kept: %s', (_rule, line, fields, lines) => {
    expect(response(line, fields, { keepUpgrade: true })).toEqual([line, ...lines]);
  });

  test.each([
    ['chunks', { dropTransferEncoding: true }, ['Transfer-Encoding: chunked', 'A: 1']],
    ['a length', { dropContentLength: true }, ['Content-Length: 5', 'A: 1']],
  ])('dropped when asked: %s', (_rule, options, fields) => {
    expect(response(ok, fields, options)).toEqual([ok, 'A: 1']);
  });

  test.each(['HTTP/1.1 204 No Content', 'HTTP/1.1 103 Early Hints', 'HTTP/1.1 101 Switching Protocols'])(
    '%s loses framing that it may not have',
    (line) => {
      expect(response(line, ['Content-Length: 0', 'A: 1', 'Transfer-Encoding: chunked'])).toEqual([
        line,
        'A: 1',
      ]);
    },
  );

  test.each([
    ['an alternative over QUIC', ['Alt-Svc: h3=":443"; ma=86400'], []],
    ['it alone of several', ['alt-svc:  h3=":443", h2=":8443"'], ['alt-svc:  h2=":8443"']],
    ['it in each of several fields', ['Alt-Svc: h3=":443"', 'A: 1', 'Alt-Svc: quic=":1"'], ['A: 1']],
    [
      'nothing where there is none',
      ['Alt-Svc: clear', 'X-Alt-Svc: h3=":443"'],
      ['Alt-Svc: clear', 'X-Alt-Svc: h3=":443"'],
    ],
    ['nothing of a head without the field', ['A: 1'], ['A: 1']],
  ])('dropQuicAlternatives takes out %s', (_what, fields, lines) => {
    expect(response(ok, fields, { dropQuicAlternatives: true })).toEqual([ok, ...lines]);
    expect(response(ok, fields)).toEqual([ok, ...fields]);
  });

  test('a head whose alternatives all stay is the received text itself', () => {
    const head = responseOf(ok, 'Alt-Svc: h2=":8443"', 'A: 1');
    expect(writeResponseHead(head, { dropQuicAlternatives: true })).toBe(head.text);
  });

  test('304 keeps the length of what it stands for', () => {
    expect(response('HTTP/1.1 304 X', ['Content-Length: 5'])).toEqual([
      'HTTP/1.1 304 X',
      'Content-Length: 5',
    ]);
  });

  test('lines are added at the end', () => {
    expect(response(ok, ['A: 1', 'Connection: x'], { fields: 'Connection: close\r\n' })).toEqual([
      ok,
      'A: 1',
      'Connection: close',
    ]);
  });
});

test.each(hopByHopFields)('%s is never sent on', (name) => {
  expect(writeRequestHead(requestWith(`${name}: x`))).toBe(requestWith().text);
  expect(writeResponseHead(responseOf('HTTP/1.1 200 OK', `${name}: x`))).toBe('HTTP/1.1 200 OK\r\n\r\n');
  expect(isHopByHop(name)).toBe(true);
});

test('what frames a chunked body is of one hop for whoever reads the whole message', () => {
  expect(['transfer-encoding', 'trailer', 'content-length', 'host'].map(isHopByHop)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

const line = fc
  .tuple(
    fc.constantFrom(
      'A',
      'b-C',
      'Accept',
      'COOKIE',
      'Connection',
      'X-Gone',
      'keep-alive',
      'TE',
      'Trailer',
      'Upgrade',
    ),
    fc.constantFrom(':', ': ', ':\t '),
    fc.constantFrom('', 'v', 'x  y', '\u00e9\u00ff', 'x-gone', 'a,b'),
    fc.constantFrom('', ' ', '\t'),
  )
  .map((parts) => parts.join(''));

test('law: untouched lines stay byte for byte and in order, all others are gone', () => {
  fc.assert(
    fc.property(fc.array(line), (fields) => {
      const nominated = fields
        .filter((text) => /^connection:/i.test(text))
        .flatMap((text) => text.slice(11).split(','))
        .map((name) => name.trim().toLowerCase());
      const kept = fields.filter((text) => {
        return (
          !/^(?:connection|keep-alive|te|upgrade):/i.test(text) &&
          !nominated.includes(text.slice(0, text.indexOf(':')).toLowerCase())
        );
      });
      expect(writeRequestHead(requestWith(...fields))).toBe(
        wire('POST /path HTTP/1.1', 'Host: example.com', ...kept),
      );
      expect(writeResponseHead(responseOf('HTTP/1.1 200 OK', ...fields))).toBe(
        wire('HTTP/1.1 200 OK', ...kept),
      );
    }),
    { numRuns: 500 },
  );
});
