// What an origin of HTTP/1 reads is what the client said, in whichever version it said it.
import { Failure } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { requestText } from '../../src/http1/request-text.ts';
import type { OutboundRequest } from '../../src/relay/sides.ts';
import { askedFor, getFields, h2RequestOf, postFields, requestOf, webSocketFields } from '../messages.ts';

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;

describe('a head of HTTP/1', () => {
  const head = requestOf('GET /p HTTP/1.1', 'Host: o.test', 'Upgrade: x', 'Connection: upgrade', 'Accept: a');
  const rows: readonly [string, Partial<OutboundRequest>, string][] = [
    ['goes on without its hop', {}, lines('GET /p HTTP/1.1', 'Host: o.test', 'Accept: a')],
    [
      'may keep its upgrade',
      { keepUpgrade: true },
      lines('GET /p HTTP/1.1', 'Host: o.test', 'Upgrade: x', 'Accept: a', 'Connection: Upgrade'),
    ],
    [
      'gets another target and Host',
      { target: '/q', host: 'n.test' },
      lines('GET /q HTTP/1.1', 'Host: n.test', 'Accept: a'),
    ],
    [
      'is signed behind its fields',
      { via: '1.1 us' },
      lines('GET /p HTTP/1.1', 'Host: o.test', 'Accept: a', 'Via: 1.1 us'),
    ],
  ];
  test.each(rows)('%s', (_rule, changes, expected) => {
    expect(requestText(askedFor(head, changes))).toBe(expected);
  });

  test('loses its Expect, and has its hops counted', () => {
    const counted = requestOf(
      'OPTIONS /p HTTP/1.1',
      'Host: o.test',
      'Expect: 100-continue',
      'Max-Forwards: 5',
    );
    expect(requestText(askedFor(counted, { dropExpect: true, maxForwards: 4 }))).toBe(
      lines('OPTIONS /p HTTP/1.1', 'Host: o.test', 'Max-Forwards: 4'),
    );
  });
});

describe('a head of HTTP/2', () => {
  const rows: readonly [string, readonly string[], Partial<OutboundRequest>, string][] = [
    [
      'is said in HTTP/1.1, Host first',
      getFields('accept', 'a'),
      {},
      lines('GET /p HTTP/1.1', 'Host: o.test', 'accept: a'),
    ],
    [
      'has its cookie in one field',
      getFields('cookie', 'a=1', 'cookie', 'b=2'),
      {},
      lines('GET /p HTTP/1.1', 'Host: o.test', 'cookie: a=1; b=2'),
    ],
    [
      'has its body in chunks where no length is declared',
      postFields(),
      { framing: { kind: 'chunked' } },
      lines('POST /p HTTP/1.1', 'Host: o.test', 'transfer-encoding: chunked'),
    ],
    [
      'has its length otherwise',
      postFields('content-length', '3'),
      { framing: { kind: 'length', length: 3 } },
      lines('POST /p HTTP/1.1', 'Host: o.test', 'content-length: 3'),
    ],
    [
      'gets the planned target and Host',
      getFields(),
      { target: '/q', host: 'n.test' },
      lines('GET /q HTTP/1.1', 'Host: n.test'),
    ],
    [
      'loses its Expect when the client was told to go on',
      getFields('expect', '100-continue'),
      { dropExpect: true },
      lines('GET /p HTTP/1.1', 'Host: o.test'),
    ],
    [
      'is signed behind its fields',
      getFields('accept', 'a'),
      { via: '2 us' },
      lines('GET /p HTTP/1.1', 'Host: o.test', 'accept: a', 'Via: 2 us'),
    ],
  ];
  test.each(rows)('%s', (_rule, fields, changes, expected) => {
    expect(requestText(askedFor(h2RequestOf(fields), changes))).toBe(expected);
  });

  test('has its hops counted', () => {
    const head = h2RequestOf([':method', 'OPTIONS', ...getFields('max-forwards', '5').slice(2)]);
    expect(requestText(askedFor(head, { maxForwards: 4 }))).toBe(
      lines('OPTIONS /p HTTP/1.1', 'Host: o.test', 'max-forwards: 4'),
    );
  });

  const refused: readonly [string, readonly string[], Partial<OutboundRequest>, number][] = [
    ['a WebSocket', webSocketFields, {}, 501],
    [
      'a length that is not the one of the body',
      postFields('content-length', '3'),
      { framing: { kind: 'length', length: 4 } },
      400,
    ],
    ['a value that ends its line', getFields('x', 'a\r\nhost: other'), {}, 400],
    ['a target that ends its line', getFields(), { target: '/ HTTP/1.1\r\nx: y' }, 400],
  ];
  test.each(refused)('%s is refused', (_rule, fields, changes, status) => {
    const said = (): string => requestText(askedFor(h2RequestOf(fields), changes));
    expect(said).toThrow(Failure);
    expect(said).toThrow(
      expect.objectContaining({
        reason: 'mitm_http_error',
        side: 'client',
        reply: expect.objectContaining({ status }),
      }),
    );
  });

  test('a fault of our own stays one', () => {
    const broken = { ...askedFor(h2RequestOf(getFields())) };
    Object.defineProperty(broken, 'framing', {
      get: () => {
        throw new TypeError('a bug');
      },
    });
    expect(() => requestText(broken)).toThrow(TypeError);
  });
});
