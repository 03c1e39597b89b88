import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { HpackError } from '../../src/h2/hpack-error.ts';
import {
  decodeHuffman,
  endOfString,
  huffmanCodeLengths,
  huffmanCodes,
  huffmanRoomBytes,
} from '../../src/h2/huffman.ts';
import { bitsOf, encodeHuffman, packBits } from './huffman-coder.ts';

function decoded(coded: Uint8Array): Buffer {
  const out = Buffer.alloc(huffmanRoomBytes(coded.length));
  return out.subarray(0, decodeHuffman(coded, 0, coded.length, out));
}

function codeOfError(coded: Uint8Array): string {
  try {
    decoded(coded);
  } catch (error) {
    if (error instanceof HpackError) return error.code;
    throw error;
  }
  return 'none';
}

describe('the code', () => {
  test.each([
    ['0', 0x0, 5],
    ['t', 0x9, 5],
    [' ', 0x14, 6],
    ['=', 0x20, 6],
    [':', 0x5c, 7],
    ['X', 0xfc, 8],
    ['!', 0x3f8, 10],
    ['~', 0x1ffd, 13],
    ['\\', 0x7fff0, 19],
    ['\u0000', 0x1ff8, 13],
    ['\n', 0x3ffffffc, 30],
    ['\u00ff', 0x3ffffee, 26],
  ])('%j is that of RFC 7541 Appendix B', (character, code, bits) => {
    const symbol = character.charCodeAt(0);
    expect([huffmanCodes[symbol], huffmanCodeLengths[symbol]]).toEqual([code, bits]);
  });

  test('end of string is thirty ones', () => {
    expect(bitsOf(endOfString)).toBe('1'.repeat(30));
  });

  test('it is complete: every sequence of bits is the beginning of some text', () => {
    const share = Array.from(huffmanCodeLengths, (bits) => 2 ** -bits).reduce((sum, part) => sum + part, 0);
    expect(share).toBe(1);
  });
});

describe('decodeHuffman', () => {
  // RFC 7541 C.4 and C.6.
  test.each([
    ['f1e3c2e5f23a6ba0ab90f4ff', 'www.example.com'],
    ['a8eb10649cbf', 'no-cache'],
    ['25a849e95ba97d7f', 'custom-key'],
    ['25a849e95bb8e8b4bf', 'custom-value'],
    ['6402', '302'],
    ['640eff', '307'],
    ['aec3771a4b', 'private'],
    ['d07abe941054d444a8200595040b8166e082a62d1bff', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['9d29ad171863c78f0b97c8e9ae82ae43d3', 'https://www.example.com'],
    ['9bd9ab', 'gzip'],
    [
      '94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
      'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ],
    ['', ''],
  ])('%s is %j', (coded, text) => {
    expect(decoded(Buffer.from(coded, 'hex')).toString('latin1')).toBe(text);
  });

  test('every byte comes back, alone and behind any other', () => {
    for (let first = 0; first < 256; first++) {
      const pairs = Uint8Array.from({ length: 512 }, (_, i) => (i % 2 === 0 ? first : i >> 1));
      expect(decoded(encodeHuffman(pairs))).toEqual(Buffer.from(pairs));
      expect(decoded(encodeHuffman(Uint8Array.of(first)))).toEqual(Buffer.of(first));
    }
  });

  test('only the given range is read', () => {
    const coded = Buffer.concat([Buffer.of(0xff), encodeHuffman(Buffer.from('range')), Buffer.of(0xff)]);
    const out = Buffer.alloc(16);
    expect(out.toString('latin1', 0, decodeHuffman(coded, 1, coded.length - 1, out))).toBe('range');
  });

  test('what was coded comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decoded(encodeHuffman(bytes))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test('garbage gives text or an HpackError, and the text codes back to it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        let text: Buffer;
        try {
          text = decoded(bytes);
        } catch (error) {
          if (error instanceof HpackError) return;
          throw error;
        }
        expect(encodeHuffman(text)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  // RFC 7541 §5.2.
  test.each([
    ['two bits of padding behind two symbols', packBits(`${bitsOf(0x2a)}${bitsOf(0x30)}`), 'none'],
    [
      'eight ones are too many',
      Buffer.concat([encodeHuffman(Buffer.from('X')), Buffer.of(0xff)]),
      'invalid_huffman_padding',
    ],
    ['a byte of ones alone is no padding', Buffer.of(0xff), 'invalid_huffman_padding'],
    ['zeros are no padding', Buffer.of(0b0000_0000), 'invalid_huffman_padding'],
    ['a zero among the ones', Buffer.of(0b0000_0101), 'invalid_huffman_padding'],
    ['29 ones at the end', Buffer.of(0b0001_1111, 0xff, 0xff, 0xff), 'invalid_huffman_padding'],
    ['end of string at the end', Buffer.of(0xff, 0xff, 0xff, 0xff), 'huffman_end_of_string'],
    [
      'end of string at the start',
      packBits(`${bitsOf(endOfString)}${bitsOf(0x30)}`),
      'huffman_end_of_string',
    ],
    ['end of string behind text', packBits(`${bitsOf(0x30)}${bitsOf(endOfString)}`), 'huffman_end_of_string'],
    [
      'end of string completed by a high half',
      packBits(`${'11111'.padStart(10, '0')}${'1'.repeat(27)}`),
      'huffman_end_of_string',
    ],
  ])('%s', (_, coded, code) => {
    expect(codeOfError(coded)).toBe(code);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7])('%i bits of padding are all right', (padding) => {
    // Symbols of five and six bits make every remainder.
    const text = 'a'.repeat((padding * 5) % 8).concat(padding === 0 ? 'aaaaaaaa' : '');
    const coded = encodeHuffman(Buffer.from(text));
    expect(decoded(coded).toString()).toBe(text);
  });
});
