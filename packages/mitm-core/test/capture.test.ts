import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ByteBudget } from '../src/budget.ts';
import { Capture } from '../src/capture.ts';

function captureOf(limitBytes: number, budgetBytes = 1_000): { capture: Capture; budget: ByteBudget } {
  const budget = new ByteBudget(() => budgetBytes);
  return { capture: new Capture(limitBytes, budget), budget };
}

describe('what a copy takes', () => {
  test('all of a body within the limit', () => {
    const { capture, budget } = captureOf(10);
    expect([capture.push(Buffer.from('hello')), capture.push(Buffer.from('world'))]).toEqual([5, 5]);
    expect(capture.bytes().toString()).toBe('helloworld');
    expect([capture.length, capture.isTruncated, budget.held]).toEqual([10, false, 10]);
  });

  test('the part of a piece that fits, and nothing after it', () => {
    const { capture, budget } = captureOf(7);
    expect(capture.push(Buffer.from('hello'))).toBe(5);
    expect(capture.push(Buffer.from('world'))).toBe(2);
    expect(capture.push(Buffer.from('!'))).toBe(0);
    expect(capture.bytes().toString()).toBe('hellowo');
    expect([capture.isTruncated, budget.held]).toEqual([true, 7]);
  });

  test('nothing of a piece for which the proxy has no room, and it says so', () => {
    const { capture, budget } = captureOf(100, 6);
    expect(capture.push(Buffer.from('hello'))).toBe(5);
    expect(capture.push(Buffer.from('world'))).toBe(0);
    expect([capture.isTruncated, capture.bytes().toString(), budget.held]).toEqual([true, 'hello', 5]);
    budget.release(5);
    expect(capture.push(Buffer.from('later'))).toBe(0);
  });

  test('an empty piece is neither taken nor cut', () => {
    const { capture } = captureOf(1);
    capture.push(Buffer.from('a'));
    expect(capture.push(Buffer.alloc(0))).toBe(0);
    expect(capture.isTruncated).toBe(false);
  });

  test('a copy, which later changes of the piece do not reach', () => {
    const { capture } = captureOf(10);
    const piece = Buffer.from('hello');
    capture.push(piece);
    piece.fill('x');
    expect(capture.bytes().toString()).toBe('hello');
  });

  test('nothing more once it is marked as cut', () => {
    const { capture } = captureOf(10);
    capture.push(Buffer.from('a'));
    capture.truncate();
    expect(capture.push(Buffer.from('b'))).toBe(0);
    expect([capture.isTruncated, capture.bytes().toString()]).toEqual([true, 'a']);
  });
});

describe('bytes', () => {
  test('are put together once', () => {
    const { capture } = captureOf(10);
    expect(capture.bytes()).toHaveLength(0);
    capture.push(Buffer.from('ab'));
    capture.push(Buffer.from('cd'));
    const whole = capture.bytes();
    expect(capture.bytes()).toBe(whole);
    capture.push(Buffer.from('e'));
    expect(capture.bytes().toString()).toBe('abcde');
  });

  test('stay valid after they were given back to the budget', () => {
    const { capture, budget } = captureOf(10);
    capture.push(Buffer.from('hello'));
    const bytes = capture.bytes();
    capture.release();
    expect([bytes.toString(), budget.held]).toEqual(['hello', 0]);
  });
});

test('release gives back once and ends the taking', () => {
  const { capture, budget } = captureOf(10);
  budget.tryTake(100);
  capture.push(Buffer.from('hello'));
  capture.release();
  capture.release();
  expect(budget.held).toBe(100);
  expect(capture.push(Buffer.from('more'))).toBe(0);
  expect(budget.held).toBe(100);
});

test('however a body is split, the copy is its beginning and is cut exactly when something is missing', () => {
  const body = fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 8 });
  fc.assert(
    fc.property(body, fc.nat(40), (pieces, limitBytes) => {
      const { capture, budget } = captureOf(limitBytes);
      let takenCount = 0;
      for (const piece of pieces) takenCount += capture.push(Buffer.from(piece));
      const whole = Buffer.concat(pieces);
      expect(capture.bytes()).toEqual(whole.subarray(0, limitBytes));
      expect(capture.isTruncated).toBe(whole.length > limitBytes);
      expect([takenCount, budget.held]).toEqual([capture.length, capture.length]);
      capture.release();
      expect(budget.held).toBe(0);
    }),
  );
});
