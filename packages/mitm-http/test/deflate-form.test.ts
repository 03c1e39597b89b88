import { deflateRawSync, deflateSync } from 'node:zlib';

import { expect, test } from 'vitest';

import { isZlibForm } from '../src/deflate-form.ts';

test.each([
  ['the zlib form', deflateSync('text'), true],
  ['the zlib form at its best', deflateSync('text', { level: 9 }), true],
  ['bare DEFLATE', deflateRawSync('text'), false],
  ['one byte that may begin the zlib form', Buffer.from([0x78]), true],
  ['one byte that may not', Buffer.from([0x4b]), false],
  ['a checksum that is wrong', Buffer.from([0x78, 0x02]), false],
  ['nothing', Buffer.alloc(0), false],
])('%s', (_what, bytes, expected) => {
  expect(isZlibForm(bytes)).toBe(expected);
});
