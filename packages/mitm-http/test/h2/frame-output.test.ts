import { expect, test } from 'vitest';

import { FrameOutput } from '../../src/h2/frame-output.ts';

function write(output: FrameOutput, text: string): void {
  const at = output.room(text.length);
  output.bytes.write(text, at, 'latin1');
  output.commit(at + text.length);
}

function made(): { readonly output: FrameOutput; readonly readyCount: () => number } {
  let count = 0;
  return { output: new FrameOutput(() => count++), readyCount: () => count };
}

test('it holds nothing before the first frame, and nothing is taken from it', () => {
  const { output } = made();
  expect([output.bytes.length, output.take()]).toEqual([0, undefined]);
});

test('frames leave one behind the other, and readiness is told once per taking', () => {
  const { output, readyCount } = made();
  write(output, 'ab');
  write(output, 'cd');
  expect([output.take()?.toString(), readyCount()]).toEqual(['abcd', 1]);
  expect(output.take()).toBeUndefined();
  write(output, 'e');
  expect([output.take()?.toString(), readyCount()]).toEqual(['e', 2]);
});

test('what was taken stays as it is until it is given back', () => {
  const { output } = made();
  write(output, 'first');
  const first = output.take();
  write(output, 'second');
  const second = output.take();
  output.release(false);
  write(output, 'third!');
  expect([first?.toString(), second?.toString()]).toEqual(['first', 'third!']);
});

test('memory given back after the next frames have begun is not used again', () => {
  const { output } = made();
  write(output, 'first');
  const first = output.take();
  write(output, 'second');
  output.release(false);
  output.release(false);
  write(output, ' and more');
  expect([first?.toString(), output.take()?.toString()]).toEqual(['first', 'second and more']);
});

test('an epoch ends with each taking', () => {
  const { output } = made();
  write(output, 'a');
  const before = output.epoch;
  output.controlFrames = 3;
  output.take();
  expect([output.epoch - before, output.controlFrames]).toEqual([1, 0]);
});

test('it grows as needed and keeps what it has', () => {
  const { output } = made();
  for (let i = 0; i < 3000; i++) write(output, '0123456789');
  expect(output.take()?.toString()).toBe('0123456789'.repeat(3000));
});

test.each([
  ['a small one always', 100, true, 4096],
  ['a larger one while streams are open', 20_000, false, 32_768],
  ['not while none is', 20_000, true, 0],
  ['and a large one', 200_000, false, 262_144],
  ['never a very large one', 600_000, false, 0],
])('memory is kept between turns: %s', (_rule, bytes, isIdle, kept) => {
  const { output } = made();
  write(output, 'x'.repeat(bytes));
  output.take();
  output.release(isIdle);
  expect(output.bytes.length).toBe(kept);
});

test('a large buffer is let go when turns have become small', () => {
  const { output } = made();
  const capacities: number[] = [];
  for (const bytes of [200_000, 10, 10, 10, 10]) {
    write(output, 'x'.repeat(bytes));
    output.take();
    output.release(false);
    capacities.push(output.bytes.length);
  }
  expect(capacities).toEqual([262_144, 262_144, 0, 50_000, 50_000]);
});

test('a buffer that comes back late is used when the next one is needed', () => {
  const { output } = made();
  write(output, 'x'.repeat(20_000));
  const lent = output.take();
  write(output, 'y');
  output.release(false);
  write(output, 'z'.repeat(25_000));
  expect(output.bytes.buffer).toBe(lent?.buffer);
  expect(output.take()?.toString()).toBe(`y${'z'.repeat(25_000)}`);
});

test('the next buffer begins as large as the last turn was, and smaller again when turns are', () => {
  const { output } = made();
  const capacities: number[] = [];
  for (const bytes of [50_000, 10, 10, 10, 10, 10]) {
    write(output, 'x'.repeat(bytes));
    capacities.push(output.bytes.length);
    output.take();
  }
  expect(capacities).toEqual([65_536, 50_000, 25_000, 12_500, 6250, 4096]);
});

test('at rest nothing is kept, unless there are frames to be taken', () => {
  const { output } = made();
  write(output, 'first');
  output.rest();
  expect(output.take()?.toString()).toBe('first');
  output.release(true);
  expect(output.bytes.length).toBe(4096);
  output.rest();
  expect(output.bytes.length).toBe(0);
  write(output, 'second');
  expect(output.take()?.toString()).toBe('second');
});
