// What a client of HTTP/1 reads is what the origin said, in whichever version it said it.
import { type BodyFraming, chunkedBody, noBody } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { interimText, responseText, type ResponseTextOptions } from '../../src/http1/response-text.ts';
import { h2ResponseOf, responseOf } from '../messages.ts';

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;
const plain: ResponseTextOptions = { isOld: false, isLast: false, isUpgrade: false, method: 'GET' };
const three: BodyFraming = { kind: 'length', length: 3 };

type Row = readonly [string, BodyFraming, Partial<ResponseTextOptions>, string];

describe('a head of HTTP/1', () => {
  const head = responseOf('HTTP/1.1 200 Fine', 'Content-Length: 3', 'Connection: x', 'X: y', 'Server: s');
  const chunked = responseOf('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Server: s');
  const rows: readonly Row[] = [
    ['goes on without its hop', three, {}, lines('HTTP/1.1 200 Fine', 'Content-Length: 3', 'Server: s')],
    [
      'says that it is the last',
      three,
      { isLast: true },
      lines('HTTP/1.1 200 Fine', 'Content-Length: 3', 'Server: s', 'Connection: close'),
    ],
    [
      'says to an old client that it is not',
      three,
      { isOld: true },
      lines('HTTP/1.1 200 Fine', 'Content-Length: 3', 'Server: s', 'Connection: keep-alive'),
    ],
    [
      'is signed behind its fields',
      three,
      { via: '1.1 us', isLast: true },
      lines('HTTP/1.1 200 Fine', 'Content-Length: 3', 'Server: s', 'Via: 1.1 us', 'Connection: close'),
    ],
  ];
  test.each(rows)('%s', (_rule, framing, options, expected) => {
    expect(responseText(head, framing, { ...plain, ...options })).toBe(expected);
  });

  test('chunks are not announced to a client that knows none', () => {
    expect(responseText(chunked, chunkedBody, plain)).toBe(
      lines('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Server: s'),
    );
    expect(responseText(chunked, chunkedBody, { ...plain, isOld: true, isLast: true })).toBe(
      lines('HTTP/1.1 200 OK', 'Server: s', 'Connection: close'),
    );
  });

  test('a 101 keeps its upgrade, and says nothing of the connection', () => {
    const switching = responseOf('HTTP/1.1 101 Switching Protocols', 'Upgrade: x', 'Connection: upgrade');
    expect(responseText(switching, noBody, { ...plain, isUpgrade: true, isLast: true })).toBe(
      lines('HTTP/1.1 101 Switching Protocols', 'Upgrade: x', 'Connection: Upgrade'),
    );
  });
});

describe('a head of HTTP/2', () => {
  const head = h2ResponseOf(200, ['content-length', '3', 'server', 's']);
  const rows: readonly Row[] = [
    ['gets the standard phrase', three, {}, lines('HTTP/1.1 200 OK', 'content-length: 3', 'server: s')],
    [
      'says that it is the last',
      three,
      { isLast: true },
      lines('HTTP/1.1 200 OK', 'content-length: 3', 'server: s', 'Connection: close'),
    ],
    [
      'says to an old client that it is not',
      three,
      { isOld: true },
      lines('HTTP/1.1 200 OK', 'content-length: 3', 'server: s', 'Connection: keep-alive'),
    ],
    [
      'is signed behind its fields',
      three,
      { via: '2 us' },
      lines('HTTP/1.1 200 OK', 'content-length: 3', 'server: s', 'Via: 2 us'),
    ],
  ];
  test.each(rows)('%s', (_rule, framing, options, expected) => {
    expect(responseText(head, framing, { ...plain, ...options })).toBe(expected);
  });

  const bodies: readonly Row[] = [
    ['comes in chunks', chunkedBody, {}, lines('HTTP/1.1 200 OK', 'transfer-encoding: chunked')],
    [
      'comes until the close to an old client',
      chunkedBody,
      { isOld: true },
      lines('HTTP/1.1 200 OK', 'Connection: close'),
    ],
    ['that is empty has a length of 0', noBody, {}, lines('HTTP/1.1 200 OK', 'content-length: 0')],
    ['that HEAD does not ask for has none', noBody, { method: 'HEAD' }, lines('HTTP/1.1 200 OK')],
  ];
  test.each(bodies)('a body without a declared length %s', (_rule, framing, options, expected) => {
    expect(responseText(h2ResponseOf(200), framing, { ...plain, ...options })).toBe(expected);
  });
});

test('alternatives over QUIC are taken out of an answer of either version', () => {
  const value = 'h3=":443", h2=":443"';
  const options = { ...plain, dropsQuic: true };
  expect(responseText(h2ResponseOf(204, ['alt-svc', value]), noBody, options)).toBe(
    lines('HTTP/1.1 204 No Content', 'alt-svc: h2=":443"'),
  );
  expect(responseText(responseOf('HTTP/1.1 204 No Content', `Alt-Svc: ${value}`), noBody, options)).toBe(
    lines('HTTP/1.1 204 No Content', 'Alt-Svc: h2=":443"'),
  );
});

test('a 1xx of either version is a head without anything of the connection', () => {
  const early = lines('HTTP/1.1 103 Early Hints', 'link: </a>');
  expect(interimText(responseOf('HTTP/1.1 103 Early Hints', 'link: </a>'))).toBe(early);
  expect(interimText(h2ResponseOf(103, ['link', '</a>']))).toBe(early);
});
