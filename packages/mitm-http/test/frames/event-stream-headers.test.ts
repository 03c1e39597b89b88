import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeEventStreamHeaders, eventStreamText } from '../../src/frames/event-stream-headers.ts';
import { header, textHeader, uint16, withLength } from './event-stream-messages.ts';

test.each([
  ['0 true', 0, '', { type: 'boolean', value: true }],
  ['1 false', 1, '', { type: 'boolean', value: false }],
  ['2 byte', 2, 'ff', { type: 'byte', value: -1 }],
  ['3 short', 3, '8000', { type: 'short', value: -32_768 }],
  ['4 integer', 4, '7fffffff', { type: 'integer', value: 2_147_483_647 }],
  ['5 long', 5, '8000000000000000', { type: 'long', value: -(2n ** 63n) }],
  ['6 binary', 6, '0002cafe', { type: 'binary', value: Uint8Array.of(0xca, 0xfe) }],
  ['6 binary without bytes', 6, '0000', { type: 'binary', value: new Uint8Array() }],
  ['7 string', 7, '0003e282ac', { type: 'string', value: '\u20ac' }],
  ['8 timestamp', 8, '00000190a1b2c3d4', { type: 'timestamp', value: 0x190a1b2c3d4n }],
  [
    '9 uuid',
    9,
    '00112233445566778899AABBCCDDEEFF',
    { type: 'uuid', value: '00112233-4455-6677-8899-aabbccddeeff' },
  ],
])('a value of type %s', (_type, octet, hex, expected) => {
  const block = header(':x', octet, Buffer.from(hex, 'hex'));
  expect(decodeEventStreamHeaders(block)).toEqual([{ name: ':x', ...expected }]);
});

test('headers keep their order, and a name may come twice', () => {
  const block = Buffer.concat([textHeader('b', '1'), header('a', 0, Buffer.alloc(0)), textHeader('b', '2')]);
  const headers = decodeEventStreamHeaders(block);
  expect(headers).toEqual([
    { name: 'b', type: 'string', value: '1' },
    { name: 'a', type: 'boolean', value: true },
    { name: 'b', type: 'string', value: '2' },
  ]);
});

test('no bytes are no headers', () => {
  expect(decodeEventStreamHeaders(Buffer.alloc(0))).toEqual([]);
});

test.each([
  ['no name', header('', 0, Buffer.alloc(0)), 'a header has no name'],
  ['a name that is cut', Buffer.of(5, 0x61), 'a header name is longer than the header block'],
  ['a name without a type', Buffer.of(1, 0x61), 'a header name is longer than the header block'],
  ['an unknown type', header('a', 10, Buffer.alloc(0)), 'a header has the value type 10: types are 0 to 9'],
  ['a number that is cut', header('a', 4, Buffer.alloc(3)), 'a header value is longer than the header block'],
  ['a length that is cut', header('a', 7, Buffer.alloc(1)), 'a header value is longer than the header block'],
  ['a text that is cut', header('a', 7, uint16(1)), 'a header value is longer than the header block'],
  ['a uuid that is cut', header('a', 9, Buffer.alloc(15)), 'a header value is longer than the header block'],
])('headers that do not add up: %s', (_rule, block, expected) => {
  expect(decodeEventStreamHeaders(block)).toBe(expected);
});

test('binary values are copies', () => {
  const block = header('a', 6, withLength(Buffer.from('bytes')));
  const headers = decodeEventStreamHeaders(block);
  block.fill(0);
  expect(headers).toEqual([{ name: 'a', type: 'binary', value: new Uint8Array(Buffer.from('bytes')) }]);
});

test('the text of a header is that of the first one of its name', () => {
  const block = Buffer.concat([textHeader('a', '1'), textHeader('a', '2'), header('b', 0, Buffer.alloc(0))]);
  const decoded = decodeEventStreamHeaders(block);
  const headers = typeof decoded === 'string' ? [] : decoded;
  expect(eventStreamText(headers, 'a')).toBe('1');
  expect(eventStreamText(headers, 'b')).toBeUndefined();
  expect(eventStreamText(headers, 'c')).toBeUndefined();
});

test('garbage gives headers or a reason', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const headers = decodeEventStreamHeaders(Buffer.from(bytes));
      expect(typeof headers === 'string' || headers.length <= bytes.length / 3).toBe(true);
    }),
  );
});
