// What the first bytes of a connection say it is, however they are cut.
import { describe, expect, test } from 'vitest';

import { everySplit } from '../../../../testing/lab/split.ts';
import {
  beginningRecogniser,
  type ClientBeginning,
  offersOnlyOtherProtocols,
  plainBeginning,
} from '../../src/handshake/first-bytes.ts';
import { clientHello } from '../streams.ts';

const limits = { maxHelloBytes: 65_536, maxLineBytes: 8_192 };

/** Feeds the pieces as `gather` does: all bytes so far, until there is an answer. */
function recognised(pieces: readonly Uint8Array[], given = limits): ClientBeginning | undefined {
  const recognise = beginningRecogniser(given);
  for (let count = 1; count <= pieces.length; count += 1) {
    const found = recognise(Buffer.concat(pieces.slice(0, count)));
    if (found !== undefined) return found;
  }
  return undefined;
}

function kindOf(text: string): string {
  return recognised([Buffer.from(text, 'latin1')])?.kind ?? 'asks for more';
}

describe('a client that speaks', () => {
  test.each([
    ['HTTP/1.1', 'GET / HTTP/1.1\r\n', 'http1'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n', 'http1'],
    ['HTTP with a line feed alone', 'GET / HTTP/1.1\n', 'http1'],
    ['a lower-case method', 'get / HTTP/1.1\r\n', 'http1'],
    ['an odd but legal method', "M-SEARCH!#$%&'*+-.^_`|~ * HTTP/1.1\r\n", 'http1'],
    ['an absolute target', 'GET http://example.org/ HTTP/1.1\r\n', 'http1'],
    ['an upgrade to WebSocket', 'GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n', 'http1'],
    ['an empty line before its request (RFC 9112 §2.2)', '\r\nGET / HTTP/1.1\r\n', 'http1'],
    ['an HTTP version of another time', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'http1'],
    ['HTTP/2 with the preface (RFC 9113 §3.4)', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['HTTP/2 and goes on', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'http2'],
    ['SSH', 'SSH-2.0-OpenSSH_9.9\r\n', 'unknown'],
    ['SMTP', 'EHLO mail.example.org\r\n', 'unknown'],
    ['Redis', '*1\r\n$4\r\nPING\r\n', 'unknown'],
    ['PostgreSQL', '\0\0\0\x08\x04\xd2\x16\x2f', 'unknown'],
    ['MySQL', '\x20\0\0\x01\x85\xa6\x3f\x20', 'unknown'],
    ['MQTT', '\x10\x0c\0\x04MQTT', 'unknown'],
    ['SOCKS5', '\x05\x01\0', 'unknown'],
    ['a line that only resembles a request', 'GET /\r\n', 'unknown'],
    ['nothing but empty lines', '\r\n'.repeat(5), 'unknown'],
    ['a word longer than any method', 'x'.repeat(65), 'unknown'],
    ['a byte that no method has', 'GE\0', 'unknown'],
    ['a target that goes on for ever', `GET /${'x'.repeat(9_000)}`, 'unknown'],
    ['a content type of TLS, but another major version', '\x16\x02\x01', 'unknown'],
  ])('%s', (_name, text, kind) => {
    expect(kindOf(text)).toBe(kind);
  });
});

describe('asks for more', () => {
  test.each([
    ['nothing', ''],
    ['the first byte of a TLS record', '\x16'],
    ['a TLS record without its body', '\x16\x03\x01\x02\x00'],
    ['a part of a method', 'GE'],
    ['a request line without its end', 'GET / HTTP/1.1'],
    ['a part of the preface', 'PRI * HTTP/2.0\r\n\r\nSM'],
    ['an empty line', '\r\n'],
  ])('after %s', (_name, text) => {
    expect(kindOf(text)).toBe('asks for more');
  });
});

describe('TLS', () => {
  test('is read from a real hello, the same for every way of cutting it', async () => {
    const hello = await clientHello({ ALPNProtocols: ['h2', 'http/1.1'] });
    const found = recognised([hello]);
    expect(found).toMatchObject({ kind: 'tls', hello: { sni: 'example.org', alpn: ['h2', 'http/1.1'] } });
    expect(everySplit(hello, (pieces) => recognised(pieces), { maxSplits: 150 })).toBeGreaterThan(100);
  });

  test('bytes that begin like it and are not are refused, never taken for something else', () => {
    const wrongMessage = Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]);
    expect(() => recognised([wrongMessage])).toThrow('ClientHello');
    expect(
      everySplit(Buffer.concat([wrongMessage, Buffer.alloc(20)]), (pieces) => recognised(pieces)),
    ).toBeGreaterThan(10);
  });

  test('a hello that does not end within the limit is refused', async () => {
    const hello = await clientHello();
    expect(() => recognised([hello], { ...limits, maxHelloBytes: 100 })).toThrow('100');
  });
});

test('plain beginnings are the same for every way of cutting them', () => {
  for (const text of [
    'GET /some/where HTTP/1.1\r\nHost: x\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\nXX',
    'SSH-2.0-x\r\n',
    '\r\n\r\nPOST / HTTP/1.0\n',
  ]) {
    const tried = everySplit(Buffer.from(text, 'latin1'), (pieces) => recognised(pieces));
    expect(tried).toBeGreaterThan(10);
  }
});

test('the limit of the line holds only for one that has not ended', () => {
  const line = `GET /${'x'.repeat(100)} HTTP/1.1\r\n`;
  expect(plainBeginning(Buffer.from(line), 50)).toEqual({ kind: 'http1' });
  expect(plainBeginning(Buffer.from(line.slice(0, -2)), 50)).toEqual({ kind: 'unknown' });
});

describe('a hello that offers', () => {
  test.each([
    ['nothing', [], false],
    ['HTTP/2 and HTTP/1.1', ['h2', 'http/1.1'], false],
    ['HTTP/1.0 alone', ['http/1.0'], false],
    ['HTTP beside something else', ['mqtt', 'http/1.1'], false],
    ['MQTT', ['mqtt'], true],
    ['an ACME challenge', ['acme-tls/1'], true],
  ])('%s', async (_name, alpn, isOther) => {
    const bytes = await clientHello(alpn.length === 0 ? {} : { ALPNProtocols: alpn });
    const found = recognised([bytes]);
    if (found?.kind !== 'tls') throw new Error('not read as TLS');
    expect(offersOnlyOtherProtocols(found.hello)).toBe(isOther);
  });
});
