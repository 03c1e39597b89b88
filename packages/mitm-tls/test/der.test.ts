import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  encodeBitString,
  encodeElement,
  encodeNull,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeSet,
  encodeTime,
  encodeTrue,
  encodeUnsignedInteger,
  encodeUtf8String,
  readChildren,
  readElement,
} from '../src/der.ts';

describe('encoders', () => {
  test.each([
    ['an element of no content', encodeSequence(), '3000'],
    ['a sequence holds its parts in order', encodeSequence(encodeTrue(), encodeNull()), '30050101ff0500'],
    ['a set', encodeSet(encodeNull()), '31020500'],
    ['an octet string', encodeOctetString(Buffer.from('0a0b', 'hex')), '04020a0b'],
    ['a bit string of whole octets', encodeBitString(Uint8Array.of(0xff)), '030200ff'],
    ['a bit string with unused bits', encodeBitString(Uint8Array.of(0xa0), 5), '030205a0'],
    ['UTF-8 text', encodeUtf8String('ü'), '0c02c3bc'],
    ['integer zero', encodeUnsignedInteger(Uint8Array.of()), '020100'],
    ['an integer loses leading zeros', encodeUnsignedInteger(Uint8Array.of(0, 0, 5)), '020105'],
    ['an integer with its high bit set gets one', encodeUnsignedInteger(Uint8Array.of(0x80)), '02020080'],
    ['an object identifier', encodeOid('1.2.840.113549.1.1.11'), '06092a864886f70d01010b'],
    [
      'a date before 2050 is a UTCTime',
      encodeTime(new Date('2049-12-31T23:59:59Z')),
      '170d3439313233313233353935395a',
    ],
    [
      'a date from 2050 is a GeneralizedTime',
      encodeTime(new Date('2050-01-01T00:00:00Z')),
      '180f32303530303130313030303030305a',
    ],
  ])('%s', (_rule, encoded, hex) => {
    expect(encoded.toString('hex')).toBe(hex);
  });

  test.each(['', '1', '1.x.3'])('"%s" is refused as an object identifier', (text) => {
    expect(() => encodeOid(text)).toThrow(RangeError);
  });
});

describe('reader', () => {
  test('law: what is encoded is read back, at every length of length', () => {
    fc.assert(
      fc.property(fc.nat(70_000), fc.integer({ min: 0, max: 255 }), (length, fill) => {
        const encoded = encodeElement(0x04, Buffer.alloc(length, fill));
        const element = readElement(encoded);
        expect(element.end).toBe(encoded.length);
        expect(element.content.length).toBe(length);
        expect(element.raw.equals(encoded)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('law: garbage is read or refused with a RangeError, within its bounds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(lastEndOrRefusal(Buffer.from(bytes))).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });

  test.each([
    ['nothing', ''],
    ['a tag alone', '30'],
    ['a length beyond the buffer', '300500'],
    ['an indefinite length', '30800000'],
    ['a length of five octets', '30850000000001ff'],
    ['a length cut short', '3082ff'],
  ])('%s is refused', (_rule, hex) => {
    expect(() => readElement(Buffer.from(hex, 'hex'))).toThrow(RangeError);
  });
});

/** Where the last element ends, or 0 when the reader refused the bytes as it should. */
function lastEndOrRefusal(bytes: Buffer): number {
  try {
    return readChildren(bytes).at(-1)?.end ?? 0;
  } catch (error) {
    if (error instanceof RangeError) return 0;
    throw error;
  }
}
