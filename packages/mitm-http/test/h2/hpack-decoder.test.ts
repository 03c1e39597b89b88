import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { HpackDecoder, listBombFactor } from '../../src/h2/hpack-decoder.ts';
import type { HeaderBlock } from '../../src/h2/hpack-decoder.ts';
import { HpackError } from '../../src/h2/hpack-error.ts';
import { encodeHuffman } from './huffman-coder.ts';
import { sequences } from './rfc7541-sequences.ts';

const generous = 65_536;

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}
function decodeHex(decoder: HpackDecoder, hex: string, maxListBytes = generous): HeaderBlock {
  const bytes = bytesOf(hex);
  return decoder.decode(bytes, 0, bytes.length, maxListBytes);
}
function fieldsOf(decoder: HpackDecoder, hex: string): string[] {
  return decodeHex(decoder, hex).fields;
}
/** A literal of a new name, in hex; `first` is 40 for one that goes into the table, 00 or 10 for the others. */
function literal(first: string, name: string, value: string): string {
  const lengths = [name.length, value.length].map((length) => length.toString(16).padStart(2, '0'));
  return `${first} ${lengths[0]} ${Buffer.from(name, 'latin1').toString('hex')} ${lengths[1]} ${Buffer.from(value, 'latin1').toString('hex')}`;
}
function codeOfError(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof HpackError) return error.code;
    throw error;
  }
  return 'none';
}
/** What is in the dynamic table, newest entry first: each one is asked for by its index. */
function tableOf(decoder: HpackDecoder): string[] {
  const list: string[] = [];
  for (let index = 62; index < 127; index++) {
    const block = Buffer.of(0x80 | index);
    if (codeOfError(() => list.push(decoder.decode(block, 0, 1, generous).fields.join(': '))) !== 'none')
      break;
  }
  return list;
}

describe('RFC 7541 C.1, integers', () => {
  test('C.1.1 and C.1.2: 10 and 1337 in a prefix of five bits', () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, literal('40', 'a', 'x'.repeat(100)));
    decodeHex(decoder, '3f9a0a');
    expect(decoder.tableBytes).toBe(133);
    decodeHex(decoder, '2a');
    expect(decoder.tableBytes).toBe(0);
  });

  test('C.1.3: 42 in a string length that has its octet for itself', () => {
    const value = 'x'.repeat(42);
    expect(fieldsOf(new HpackDecoder(), `04 2a ${Buffer.from(value).toString('hex')}`)).toEqual([
      ':path',
      value,
    ]);
  });
});

describe('RFC 7541 C.2, single fields', () => {
  test.each([
    [
      'C.2.1',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      ['custom-key', 'custom-header'],
      55,
    ],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path'], 0],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret'], 0],
    ['C.2.4', '82', [':method', 'GET'], 0],
  ])('%s', (_, hex, fields, tableBytes) => {
    const decoder = new HpackDecoder();
    const block = decodeHex(decoder, hex);
    expect(block.fields).toEqual(fields);
    expect(decoder.tableBytes).toBe(tableBytes);
    expect(tableOf(decoder)).toEqual(tableBytes > 0 ? [fields.join(': ')] : []);
    expect(block.sensitiveNames).toEqual(fields[0] === 'password' ? new Set(['password']) : undefined);
  });
});

describe('RFC 7541 C.3 to C.6, sequences on one connection', () => {
  test.each(sequences)('%s', (_, before, steps) => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, before);
    for (const step of steps) {
      const block = decodeHex(decoder, step.hex.replaceAll(/\s/g, ''));
      expect(block.fields).toEqual(step.fields);
      expect(block.fault).toBeUndefined();
      expect(block.listBytes).toBe(
        step.fields.reduce((sum, text) => sum + text.length, (step.fields.length / 2) * 32),
      );
      expect(tableOf(decoder)).toEqual(step.table);
      expect(decoder.tableBytes).toBe(step.tableBytes);
    }
  });
});

describe('what ends the connection', () => {
  test.each([
    ['index 0', '80', 'invalid_index'],
    ['an index behind an empty dynamic table', 'be', 'invalid_index'],
    ['an index behind the last entry', `${literal('40', 'a', 'b')} bf`, 'invalid_index'],
    ['a name index behind the last entry, to be inserted', '7e 0161', 'invalid_index'],
    ['a name index behind the last entry, not to be inserted', '0f2f 0161', 'invalid_index'],
    ['an index of two octets behind the last entry', 'ff 80 01', 'invalid_index'],
    ['an integer of more than four octets', 'ff 80 80 80 80 01', 'integer_too_large'],
    ['an integer made long with zeros', 'ff 80 80 80 80 00', 'integer_too_large'],
    ['a string length beyond 32 bits', '00 7f ff ff ff ff 0f', 'integer_too_large'],
    ['a block that ends within an integer', 'ff 80', 'truncated_block'],
    ['a block that ends before the octets of an integer', 'ff', 'truncated_block'],
    ['a block that ends before the name', '00', 'truncated_block'],
    ['a block that ends within the name', '00 05 61', 'truncated_block'],
    ['a block that ends before the value', '00 01 61', 'truncated_block'],
    ['a block that ends within the value', '00 01 61 03 6162', 'truncated_block'],
    ['a block that ends within a Huffman-coded value', '00 01 61 83 6162', 'truncated_block'],
    ['a string of a quarter of a billion bytes', '00 7f ff ff ff 7f 61', 'truncated_block'],
    ['a table size of 4097', '3f e2 1f', 'table_size_too_large'],
    ['a table size behind a field', '82 20', 'misplaced_size_update'],
    ['three table sizes', '20 21 22', 'too_many_size_updates'],
    ['end of string in Huffman code', '00 01 61 84 ffffffff', 'huffman_end_of_string'],
    ['Huffman padding of eight bits', '00 01 61 81 ff', 'invalid_huffman_padding'],
    ['Huffman padding with a zero', '00 01 61 81 00', 'invalid_huffman_padding'],
  ])('%s', (_, hex, code) => {
    expect(codeOfError(() => decodeHex(new HpackDecoder(), hex))).toBe(code);
  });

  test('bytes behind the end of the block are never read', () => {
    const bytes = bytesOf('ffff 00 01 61 01 62 ff');
    expect(new HpackDecoder().decode(bytes, 2, 7, generous).fields).toEqual(['a', 'b']);
    for (let end = 3; end < 7; end++) {
      expect(codeOfError(() => new HpackDecoder().decode(bytes, 2, end, generous))).toBe('truncated_block');
    }
  });

  test('garbage is a block or an HpackError, within the bounds of the list', () => {
    const pieces = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc
          .constantFrom('82', 'be', 'bf', '20', literal('40', 'a', 'b'), literal('10', 'n', 'v'))
          .map(bytesOf),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 4 }), (blocks) => {
        const decoder = new HpackDecoder();
        for (const block of blocks) {
          const bytes = Buffer.concat(block);
          try {
            const { fields, listBytes } = decoder.decode(bytes, 0, bytes.length, 500);
            expect(fields.length % 2).toBe(0);
            expect(fields.length).toBeLessThanOrEqual((500 / 32) * 2);
            expect(listBytes).toBeLessThanOrEqual(2000);
          } catch (error) {
            if (error instanceof HpackError) return;
            throw error;
          }
          expect(decoder.tableBytes).toBeLessThanOrEqual(4096);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the dynamic table', () => {
  test('an empty block is an empty list', () => {
    expect(decodeHex(new HpackDecoder(), '')).toEqual({
      fields: [],
      listBytes: 0,
      fault: undefined,
      sensitiveNames: undefined,
    });
  });

  test('two table sizes, the smallest and the last, empty it and open it again', () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, literal('40', 'a', 'b'));
    decodeHex(decoder, `20 3fe11f ${literal('40', 'c', 'd')}`);
    expect(tableOf(decoder)).toEqual(['c: d']);
  });

  test('entries go exactly when there is no room for one more byte', () => {
    const decoder = new HpackDecoder();
    // 68 bytes: two entries of 34.
    decodeHex(decoder, `3f25 ${literal('40', 'a', '1')} ${literal('40', 'b', '2')}`);
    expect(tableOf(decoder)).toEqual(['b: 2', 'a: 1']);
    decodeHex(decoder, literal('40', 'c', '34'));
    expect(tableOf(decoder)).toEqual(['c: 34']);
  });

  test('an entry larger than the table empties it and is a field nevertheless', () => {
    const decoder = new HpackDecoder();
    const block = decodeHex(decoder, `3f03 ${literal('40', 'a', '1')} ${literal('40', 'b', '22')}`);
    expect(block.fields).toEqual(['a', '1', 'b', '22']);
    expect(tableOf(decoder)).toEqual([]);
  });

  test('a name may come from the entry that its own insertion drops', () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, `3f04 ${literal('40', 'a', '1')}`);
    expect(fieldsOf(decoder, '7e 0132')).toEqual(['a', '2']);
    expect(tableOf(decoder)).toEqual(['a: 2']);
  });

  test('plain and never-indexed literals leave it alone', () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, `${literal('00', 'a', '1')} ${literal('10', 'b', '2')}`);
    expect(tableOf(decoder)).toEqual([]);
  });

  test('a larger one than 4096 bytes opens with a size update only', () => {
    const decoder = new HpackDecoder(8192);
    const entry = literal('40', 'a', 'x'.repeat(95));
    for (let i = 0; i < 100; i++) decodeHex(decoder, entry);
    expect(decoder.tableBytes).toBe(32 * 128);
    decodeHex(decoder, '3fe13f');
    for (let i = 0; i < 100; i++) decodeHex(decoder, entry);
    expect(decoder.tableBytes).toBe(64 * 128);
  });

  test.each([4095, 0, Number.NaN])(
    'less than the initial maximum cannot be asked for: %d',
    (maxTableBytes) => {
      expect(() => new HpackDecoder(maxTableBytes)).toThrow(RangeError);
    },
  );
});

describe('never-indexed literals', () => {
  test('their names are kept, each once, also when the name comes from a table', () => {
    const block = decodeHex(
      new HpackDecoder(),
      `1f08 0161 1f11 0162 1f11 0163 82 ${literal('00', 'x', 'y')}`,
    );
    expect(block.fields).toEqual([
      'authorization',
      'a',
      'cookie',
      'b',
      'cookie',
      'c',
      ':method',
      'GET',
      'x',
      'y',
    ]);
    expect(block.sensitiveNames).toEqual(new Set(['authorization', 'cookie']));
  });
});

describe('faults in the syntax of a field (RFC 9113 §8.2.1)', () => {
  const upperCase = 'header name "aB" has upper-case letters: HTTP/2 names are lower-case';
  test.each([
    ['an empty name', '', 'v', 'header name "" is empty: every field needs a name'],
    ['a colon alone', ':', 'v', 'header name ":" is empty: every field needs a name'],
    ['an upper-case letter in a name', 'aB', 'v', upperCase],
    ['a space in a name', 'a b', 'v', 'header name "a b" is not a token'],
    ['a colon within a name', 'a:b', 'v', 'header name "a:b" is not a token'],
    ['two colons before a name', '::a', 'v', 'header name "::a" is not a token'],
    ['a control character in a name', 'a\u0000', 'v', 'header name "a\\u0000" is not a token'],
    ['a byte beyond ASCII in a name', 'a\u00e9', 'v', 'header name "a\u00e9" is not a token'],
    ['NUL in a value', 'a', 'v\u0000w', 'the value of header "a" has the control byte 0x00'],
    ['LF in a value', 'a', 'v\nw', 'the value of header "a" has the control byte 0x0a'],
    ['CR in a value', 'a', 'v\rw', 'the value of header "a" has the control byte 0x0d'],
    ['DEL in a value', 'a', 'v\u007f', 'the value of header "a" has the control byte 0x7f'],
    ['a space before a value', 'a', ' v', 'the value of header "a" begins or ends with a space or a tab'],
    ['a tab behind a value', 'a', 'v\t', 'the value of header "a" begins or ends with a space or a tab'],
    ['a space as the value', 'a', ' ', 'the value of header "a" begins or ends with a space or a tab'],
    ['an empty value is none', 'a', '', undefined],
    ['a tab within a value is none', 'a', 'v\tw x', undefined],
    ['a byte beyond ASCII in a value is none', 'a', 'v\u00e9', undefined],
    ['an unknown pseudo-header field is none', ':a', 'v', undefined],
    ['all characters of a token are none', "!#$%&'*+-.^_`|~09az", 'v', undefined],
  ])('%s', (_, name, value, fault) => {
    const decoder = new HpackDecoder();
    expect(decodeHex(decoder, literal('00', name, value)).fault).toBe(fault);
    expect(decodeHex(decoder, literal('10', name, value)).fault).toBe(fault);
    expect(decodeHex(decoder, literal('40', name, value)).fault).toBe(fault);
    // The entry remembers.
    const again = decodeHex(decoder, 'be');
    expect({ fields: again.fields, fault: again.fault }).toEqual({ fields: [name, value], fault });
  });

  test('Huffman-coded strings are judged alike', () => {
    const name = encodeHuffman(Buffer.from('aB')).toString('hex');
    expect(decodeHex(new HpackDecoder(), `00 82 ${name} 00`).fault).toBe(upperCase);
  });

  test('a bad name stays bad with another value', () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, literal('40', 'aB', 'v'));
    expect(decodeHex(decoder, '7e 0177').fault).toBe(upperCase);
  });

  test("a bad value does not spoil another value of the entry's name", () => {
    const decoder = new HpackDecoder();
    decodeHex(decoder, literal('40', 'a', ' v'));
    expect(decodeHex(decoder, '7e 0177').fault).toBeUndefined();
  });

  test('the first fault of a block is told, and decoding goes on', () => {
    const block = decodeHex(new HpackDecoder(), `${literal('00', 'A', 'v')} ${literal('00', 'b', ' v')} 82`);
    expect(block.fault).toMatch(/^header name "A"/);
    expect(block.fields).toEqual(['A', 'v', 'b', ' v', ':method', 'GET']);
  });

  test('no fault holds anything of the value', () => {
    const { fault } = decodeHex(new HpackDecoder(), literal('00', 'authorization', 'secret\n'));
    expect(fault).toBe('the value of header "authorization" has the control byte 0x0a');
  });
});

describe('the bound on the list', () => {
  // 42 bytes each: seven for the name, three for the value.
  const get42 = '82';

  test('a list of exactly that size is whole', () => {
    const block = decodeHex(new HpackDecoder(), get42.repeat(3), 3 * 42);
    expect({ count: block.fields.length, listBytes: block.listBytes }).toEqual({ count: 6, listBytes: 126 });
  });

  test('fields from the one that passes it on are left out and counted, and the table is kept right', () => {
    const decoder = new HpackDecoder();
    const block = decodeHex(decoder, `${get42.repeat(3)} ${literal('40', 'a', 'b')}`, 3 * 42 - 1);
    expect({ count: block.fields.length, listBytes: block.listBytes }).toEqual({
      count: 4,
      listBytes: 126 + 34,
    });
    expect(tableOf(decoder)).toEqual(['a: b']);
  });

  test('a fault is found behind it too', () => {
    expect(decodeHex(new HpackDecoder(), `${get42} ${literal('00', 'A', 'b')}`, 42).fault).toBeDefined();
  });

  test('a header bomb ends at four times the bound, long before its last reference', () => {
    const decoder = new HpackDecoder();
    const entry = literal('40', 'a', 'x'.repeat(120));
    decodeHex(decoder, entry);
    const bomb = Buffer.alloc(1_000_000, 0xbe);
    const allowed = Math.floor((listBombFactor * 65_536) / 153);
    expect(decoder.decode(bomb, 0, allowed, 65_536).fields).toHaveLength(Math.floor(65_536 / 153) * 2);
    expect(codeOfError(() => decoder.decode(bomb, 0, allowed + 1, 65_536))).toBe('list_too_large');
    expect(codeOfError(() => decoder.decode(bomb, 0, bomb.length, 65_536))).toBe('list_too_large');
  });
});

test('long Huffman-coded strings have memory of their own', () => {
  const value = 'long value '.repeat(400).trim();
  const coded = encodeHuffman(Buffer.from(value));
  const length = Buffer.of(0xff, ((coded.length - 127) & 0x7f) | 0x80, (coded.length - 127) >> 7);
  const bytes = Buffer.concat([Buffer.of(0x04), length, coded]);
  expect(new HpackDecoder().decode(bytes, 0, bytes.length, generous).fields).toEqual([':path', value]);
});
