import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeElement, encodeOctetString, encodeOid, encodeSequence } from '../src/der.ts';
import { parseOcspResponse } from '../src/ocsp-response.ts';

const enumerated = (value: number): Buffer => encodeElement(0x0a, Buffer.of(value));
const algorithm = encodeSequence(encodeOid('1.2.840.10045.4.3.2'));
const time = (text: string): Buffer => encodeElement(0x18, Buffer.from(text));
const implicit = (number: number, ...parts: readonly Uint8Array[]): Buffer => encodeElement(number, ...parts);

function responseOf(parts: {
  readonly status?: number;
  readonly certStatus?: Buffer;
  readonly thisUpdate?: string;
  readonly nextUpdate?: string;
}): Buffer {
  const id = encodeSequence(
    encodeSequence(encodeOid('1.3.14.3.2.26')),
    encodeOctetString(Buffer.from('name')),
    encodeOctetString(Buffer.from('key')),
    encodeElement(0x02, Buffer.of(0x10, 0x01)),
  );
  const single = encodeSequence(
    id,
    parts.certStatus ?? implicit(0x80),
    time(parts.thisUpdate ?? '20260101000000Z'),
    ...(parts.nextUpdate === undefined ? [] : [implicit(0xa0, time(parts.nextUpdate))]),
  );
  const data = encodeSequence(
    implicit(0xa1, encodeSequence()),
    time('20260101000000Z'),
    encodeSequence(single),
  );
  const basic = encodeSequence(data, algorithm, encodeElement(0x03, Buffer.of(0, 1, 2, 3)));
  const bytes = encodeSequence(encodeOid('1.3.6.1.5.5.7.48.1.1'), encodeOctetString(basic));
  return encodeSequence(enumerated(parts.status ?? 0), implicit(0xa0, bytes));
}

describe('what a response says', () => {
  test.each([
    ['good', implicit(0x80)],
    ['revoked', implicit(0xa1, time('20250101000000Z'))],
    ['unknown', implicit(0x82)],
  ] as const)('%s', (status, certStatus) => {
    const { responses, signature, certificates } = parseOcspResponse(responseOf({ certStatus }));
    expect(responses).toMatchObject([
      { status, thisUpdateMs: Date.UTC(2026, 0, 1), nextUpdateMs: undefined },
    ]);
    expect(responses[0]?.serial).toEqual(Buffer.of(0x10, 0x01));
    expect(signature).toEqual(Buffer.of(1, 2, 3));
    expect(certificates).toEqual([]);
  });

  test('until when', () => {
    const { responses } = parseOcspResponse(responseOf({ nextUpdate: '20260203040506Z' }));
    expect(responses[0]?.nextUpdateMs).toBe(Date.UTC(2026, 1, 3, 4, 5, 6));
  });
});

/** The class of what reading throws; undefined where the bytes can be read. */
function faultOf(bytes: Buffer): unknown {
  try {
    parseOcspResponse(bytes);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.constructor : error;
  }
}

test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)],
  ['a responder without an answer', responseOf({ status: 3 })],
  ['a status that does not exist', responseOf({ certStatus: implicit(0x87) })],
  ['a time that is none', responseOf({ thisUpdate: 'today' })],
])('%s cannot be read', (_what, bytes) => {
  expect(() => parseOcspResponse(bytes)).toThrow(RangeError);
});

test('law: whatever the bytes, it is read or it is a RangeError', () => {
  const whole = responseOf({ nextUpdate: '20260203040506Z' });
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const changed = Buffer.from(whole);
      changed[at] = value;
      expect(faultOf(changed)).toBeOneOf([undefined, RangeError]);
    }),
  );
});
