import fc from 'fast-check';
import { expect, test } from 'vitest';

import { applyMask } from '../../src/websocket/mask.ts';

test('the example of RFC 6455 §5.7', () => {
  const bytes = Buffer.from([0x7f, 0x9f, 0x4d, 0x51, 0x58]);
  applyMask(bytes, 0, 5, 0x37fa213d, 0);
  expect(bytes.toString()).toBe('Hello');
});

test('any part of any length at any place is the same as byte by byte, and nothing else changes', () => {
  const shape = fc.record({
    length: fc.nat(300),
    lead: fc.nat(9),
    trail: fc.nat(9),
    maskKey: fc.integer({ min: 0, max: 0xffff_ffff }),
    phase: fc.nat(1000),
  });
  fc.assert(
    fc.property(shape, ({ length, lead, trail, maskKey, phase }) => {
      const bytes = Buffer.from(Array.from({ length: lead + length + trail }, (_, i) => (i * 7) & 0xff));
      const key = [24, 16, 8, 0].map((shift) => (maskKey >>> shift) & 0xff);
      const wanted = bytes.map((byte, i) =>
        i < lead || i >= lead + length ? byte : byte ^ (key[(phase + i - lead) & 3] ?? 0),
      );
      applyMask(bytes, lead, lead + length, maskKey, phase);
      expect(bytes.equals(wanted)).toBe(true);
    }),
  );
});
