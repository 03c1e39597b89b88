import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

import { type ClientHello, ClientHelloReader, looksLikeTls } from '../src/client-hello.ts';
import { ClientHelloError } from '../src/errors.ts';
import { extension, helloBody, helloOfNode, inRecords } from './hellos.ts';

const body = helloBody({
  extensions: [extension.serverName('example.test'), extension.alpn('h2', 'http/1.1')],
});

/** Pushes pieces until the hello is whole; the code of the error when it is refused. */
function readPieces(pieces: Iterable<Uint8Array>, maxBytes?: number): ClientHello | string | undefined {
  const reader = new ClientHelloReader(maxBytes === undefined ? {} : { maxBytes });
  try {
    for (const piece of pieces) {
      const hello = reader.push(piece);
      if (hello !== undefined) return hello;
    }
    return undefined;
  } catch (error) {
    if (error instanceof ClientHelloError) return error.code;
    throw error;
  }
}

function* split(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  const offsets = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  for (let at = 1; at < offsets.length; at += 1) {
    // A copy that is overwritten afterwards would show if the reader kept a view.
    const piece = Uint8Array.from(bytes.subarray(offsets[at - 1], offsets[at]));
    yield piece;
    piece.fill(0xee);
  }
}

describe('a whole hello', () => {
  let fromNode: Buffer;

  beforeAll(async () => {
    fromNode = await helloOfNode({ servername: 'Example.test', ALPNProtocols: ['h2', 'http/1.1'] });
  });

  test('of this Node is read with all it offers', () => {
    expect(readPieces([fromNode])).toMatchObject({
      sni: 'example.test',
      alpn: ['h2', 'http/1.1'],
      legacyVersion: 0x0303,
      supportedVersions: [0x0304, 0x0303],
      hasEch: false,
      sessionIdLength: 32,
      byteLength: fromNode.length,
    });
  });

  test('law: any split of a real hello, in segments, gives the same', () => {
    const whole = readPieces([fromNode]);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        expect(readPieces(split(fromNode, cuts))).toEqual(whole);
      }),
    );
  });

  test('law: any split, in records and in segments, gives the same values', () => {
    const whole = readPieces([inRecords(body)]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (recordLength, cuts) => {
          const bytes = inRecords(body, recordLength);
          expect(readPieces(split(bytes, cuts))).toEqual(
            Object.assign({}, whole, { byteLength: bytes.length }),
          );
        },
      ),
    );
  });

  test('byte by byte, in records of one byte', () => {
    const bytes = inRecords(body, 1);
    expect(readPieces([...bytes].map((byte) => Uint8Array.of(byte)))).toMatchObject({ sni: 'example.test' });
  });

  test('what follows it is not looked at, and asking again gives it again', () => {
    const bytes = inRecords(body);
    const reader = new ClientHelloReader();
    const hello = reader.push(Buffer.concat([bytes, Buffer.from('anything')]));
    expect(hello?.byteLength).toBe(bytes.length);
    expect(reader.push(Buffer.from('more'))).toBe(hello);
  });

  test('while a byte is missing more is wanted', () => {
    expect(readPieces([inRecords(body).subarray(0, -1)])).toBeUndefined();
    expect(readPieces([])).toBeUndefined();
  });
});

const tls = (hex: string): Buffer => Buffer.from(hex, 'hex');

describe('refusals', () => {
  test.each<[string, Buffer, string]>([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n'), 'not_tls'],
    ['an SSH banner', Buffer.from('SSH-2.0-x\r\n'), 'not_tls'],
    ['a handshake record of another major version', tls('1602'), 'not_tls'],
    ['an SSL 2 hello', tls('802e010301'), 'malformed'],
    ['an alert record', tls('1503010002'), 'not_tls'],
    ['an empty record', tls('1603010000'), 'malformed'],
    ['a record over 16384 bytes', tls('1603014001'), 'malformed'],
    ['another message than a ClientHello', inRecords(body, 16_384, 2), 'malformed'],
    [
      'an alert between the records of a hello',
      Buffer.concat([inRecords(body, 10).subarray(0, 15), tls('15')]),
      'malformed',
    ],
    [
      'another major version between them',
      Buffer.concat([inRecords(body, 10).subarray(0, 15), tls('1602')]),
      'malformed',
    ],
    ['a hello without content', tls('16030100040100000016'), 'malformed'],
    ['a hello cut short inside', inRecords(body.subarray(0, 60)), 'malformed'],
    ['a length beyond the limit', tls('160301000401ffffff'), 'too_large'],
  ])('%s', (_rule, bytes, code) => {
    expect(readPieces([bytes])).toBe(code);
    expect(readPieces([...bytes].map((byte) => Uint8Array.of(byte)))).toBe(code);
  });

  test('the limit counts record headers, and a hello that just fits is read', () => {
    const bytes = inRecords(body, 1);
    expect(readPieces([bytes], bytes.length)).toMatchObject({ sni: 'example.test' });
    expect(readPieces([bytes], bytes.length - 1)).toBe('too_large');
  });

  test('a refusal stays', () => {
    const reader = new ClientHelloReader();
    expect(() => reader.push(Buffer.from('GET'))).toThrow(ClientHelloError);
    expect(() => reader.push(inRecords(body))).toThrow(expect.objectContaining({ code: 'not_tls' }));
  });

  test('law: garbage, alone or in a hello, is refused with a ClientHelloError or wants more, however it is split', () => {
    const mutated = fc
      .tuple(fc.nat(), fc.nat(255), fc.integer({ min: 1, max: 60 }))
      .map(([at, value, recordLength]) => {
        const bytes = Buffer.from(inRecords(body, recordLength));
        bytes[at % bytes.length] = value;
        return bytes;
      });
    const garbage = fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated, mutated);
    fc.assert(
      fc.property(garbage, fc.array(fc.nat(), { maxLength: 8 }), (bytes, cuts) => {
        expect(readPieces(split(bytes, cuts), 1000)).toEqual(readPieces([bytes], 1000));
      }),
      { numRuns: 500 },
    );
  });
});

test.each([
  [[], undefined],
  [[0x16], undefined],
  [[0x16, 0x03], true],
  [[0x16, 0x03, 0x01, 0x02], true],
  [[0x16, 0x02], false],
  [[0x47], false],
  [[0x80], undefined],
  [[0x80, 0x2e], undefined],
  [[0x80, 0x2e, 0x01], undefined],
  [[0x80, 0x2e, 0x01, 0x03], true],
  [[0x80, 0x2e, 0x01, 0x00], undefined],
  [[0x80, 0x2e, 0x01, 0x00, 0x02], true],
  [[0x80, 0x2e, 0x01, 0x00, 0x03], false],
  [[0x80, 0x2e, 0x01, 0x04], false],
  [[0x80, 0x2e, 0x02], false],
])('looksLikeTls(%j) is %s', (bytes, expected) => {
  expect(looksLikeTls(Uint8Array.from(bytes))).toBe(expected);
});

describe('a hello in the form of SSLv2', () => {
  const bytes = Buffer.from('802e0103010015000000100100800700c0030080060040020080040080', 'hex');

  test('is refused as TLS that cannot be read, however it is cut', () => {
    expect(readPieces([bytes])).toBe('malformed');
    expect(readPieces(split(bytes, [1, 2, 3, 4]))).toBe('malformed');
  });

  test('is told from bytes that only begin so', () => {
    expect(readPieces([Buffer.from('80aa02ffff', 'hex')])).toBe('not_tls');
    expect(readPieces([Buffer.from('80aa01ffff', 'hex')])).toBe('not_tls');
  });
});
