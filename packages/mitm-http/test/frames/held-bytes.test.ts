import fc from 'fast-check';
import { expect, test } from 'vitest';

import { asBuffer, checkedLimit, HeldBytes } from '../../src/frames/held-bytes.ts';

test('what was appended is held in order', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 600 })), (pieces) => {
      const held = new HeldBytes();
      for (const piece of pieces) held.append(Buffer.from(piece), 0, piece.length);
      const all = Buffer.concat(pieces);
      expect(held.length).toBe(all.length);
      expect(held.view()).toEqual(all);
      expect(held.fromEnd(0)).toBe(all.at(-1) ?? -1);
      expect(held.take()).toEqual(all);
      expect(held.length).toBe(0);
    }),
  );
});

test('a piece may be part of a chunk, and a single byte', () => {
  const held = new HeldBytes();
  held.append(Buffer.from('abcdef'), 2, 4);
  held.appendByte(0x21);
  expect(held.view().toString()).toBe('cd!');
  expect([held.fromEnd(0), held.fromEnd(2), held.fromEnd(3)]).toEqual([0x21, 0x63, -1]);
});

test('what was taken stays readable until the next byte, also when the buffer was large', () => {
  const held = new HeldBytes();
  const large = Buffer.alloc(100_000, 'x');
  held.append(large, 0, large.length);
  const taken = held.take();
  held.append(Buffer.from('y'), 0, 1);
  expect(taken.equals(large)).toBe(true);
  expect(held.take().buffer.byteLength).toBeLessThan(large.length);
});

test('a million bytes one by one take no time to speak of', () => {
  const held = new HeldBytes();
  const byte = Buffer.from('x');
  for (let i = 0; i < 1_000_000; i++) held.append(byte, 0, 1);
  expect(held.length).toBe(1_000_000);
}, 5_000);

test('a Uint8Array is seen as a Buffer of the same memory, a Buffer is itself', () => {
  const bytes = new Uint8Array([0, 1, 2, 3]).subarray(1, 3);
  const buffer = asBuffer(bytes);
  bytes[0] = 9;
  expect([...buffer]).toEqual([9, 2]);
  expect(asBuffer(buffer)).toBe(buffer);
});

test.each([0, -1, 1.5, NaN, Infinity, 2 ** 53])('%s is no limit', (maxBytes) => {
  expect(() => checkedLimit(maxBytes)).toThrow(RangeError);
  expect(() => checkedLimit(maxBytes)).toThrow(String(maxBytes));
});
