import { expect, test } from 'vitest';

import { FrameOutput } from '../../src/h2/frame-output.ts';
import { writeBlock } from '../../src/h2/header-frames.ts';
import { HpackEncoder } from '../../src/h2/hpack-encoder.ts';
import { FrameLog, get } from './wire-frames.ts';

function written(
  fields: readonly string[],
  isEnded: boolean,
): { readonly bytes: Buffer; readonly at: number } {
  const output = new FrameOutput(() => undefined);
  output.commit(output.room(9) + 9);
  const at = writeBlock(output, new HpackEncoder(), 5, fields, isEnded, undefined);
  return { bytes: output.take()?.subarray(9) ?? Buffer.alloc(0), at };
}

test('one frame where it fits', () => {
  const { bytes, at } = written(get, true);
  expect(at).toBe(9);
  expect(bytes[4]).toBe(0x5);
  expect(new FrameLog().read(bytes)).toEqual([
    'HEADERS 5 end :method=GET :scheme=https :authority=a.test :path=/',
  ]);
});

// Values that the encoder sends as they are, so that sizes can be foreseen.
test.each([
  [1, 16_000],
  [2, 17_000],
  [2, 32_000],
  [3, 33_000],
  [7, 100_000],
])('a block in %i frames', (frames, bytes) => {
  const value = Array.from({ length: bytes }, (_, index) => String.fromCharCode(0x21 + (index % 90))).join(
    '',
  );
  const sent = written(['x-long', value, 'x-last', 'z'], false).bytes;
  const inFrames = frames > 1 ? ` in ${frames} frames` : '';
  expect(new FrameLog().read(sent)).toEqual([`HEADERS 5${inFrames} x-long=${value} x-last=z`]);
  expect(sent.length).toBeLessThanOrEqual(bytes + 40 + frames * 9);
});
