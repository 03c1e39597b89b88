import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Base64Stream } from '../../src/frames/base64-stream.ts';

interface Decoded {
  readonly text: string;
  readonly isFaulty: boolean;
  readonly isPartial: boolean;
}

function decode(...pieces: readonly string[]): Decoded {
  const stream = new Base64Stream();
  const parts = pieces.map((piece) => stream.decode(Buffer.from(piece, 'latin1')));
  const { isFaulty, isPartial } = stream;
  return { text: Buffer.concat(parts).toString('latin1'), isFaulty, isPartial };
}

const whole = { isFaulty: false, isPartial: false };

test.each([
  ['nothing', '', ''],
  ['three bytes', 'YWJj', 'abc'],
  ['two bytes', 'YWI=', 'ab'],
  ['one byte', 'YQ==', 'a'],
  ['the last two letters', '+/8=', '\u00fb\u00ff'],
  ['pieces encoded by themselves', 'YQ==YWI=YWJj', 'aababc'],
])('%s', (_rule, encoded, text) => {
  expect(decode(encoded)).toEqual({ text, ...whole });
});

test.each([
  ['a line end', 'YWJj\nYWJj', 'abc'],
  ['the other alphabet', 'YWJj-_8=', 'abc'],
  ['padding where nothing is', 'YWJj=', 'abc'],
  ['padding after one character', 'YWJjY=', 'abc'],
  ['a letter between two paddings', 'YQ=Y', 'a'],
  ['NUL', 'YW\0Jj', 'a'],
  ['a byte beyond ASCII', 'YW\u00ffJj', 'a'],
])('refused, with what came before: %s', (_rule, encoded, text) => {
  expect(decode(encoded)).toMatchObject({ text, isFaulty: true });
  expect(decode(encoded, 'YWJj')).toMatchObject({ text, isFaulty: true });
});

test.each(['Y', 'YW', 'YWJ', 'YQ='])('%s is not all of a group', (encoded) => {
  expect(decode(encoded)).toMatchObject({ isFaulty: false, isPartial: true });
});

test('law: any split of what is encoded piece by piece gives the bytes', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 7 }), { maxLength: 5 });
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(6), { minLength: 1, maxLength: 20 }), (parts, sizes) => {
      const encoded = parts.map((part) => Buffer.from(part).toString('base64')).join('');
      const split: string[] = [];
      for (let at = 0, i = 0; at < encoded.length || i < sizes.length; i++) {
        const size = sizes[i] ?? encoded.length;
        split.push(encoded.slice(at, at + size));
        at += size;
      }
      const text = Buffer.concat(parts).toString('latin1');
      expect(decode(...split)).toEqual({ text, ...whole });
    }),
  );
});
