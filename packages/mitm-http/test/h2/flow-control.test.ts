import fc from 'fast-check';
import { expect, test } from 'vitest';

import { ConnectionCredit, ReceiveWindow } from '../../src/h2/flow-control.ts';

test('more than the window is refused and takes nothing', () => {
  const window = new ReceiveWindow(100, 100, 0);
  expect(window.receive(100)).toBe(true);
  expect(window.receive(1)).toBe(false);
  expect([window.available, window.heldBytes]).toEqual([0, 100]);
});

test('credit goes out when half a window is due', () => {
  const window = new ReceiveWindow(100, 100, 0);
  window.receive(80);
  expect([window.consume(49), window.consume(1), window.consume(30)]).toEqual([0, 50, 0]);
  expect(window.available).toBe(70);
});

test('what never came cannot be consumed', () => {
  const window = new ReceiveWindow(100, 100, 0);
  window.receive(10);
  expect(window.consume(1_000_000)).toBe(0);
  expect(window.heldBytes).toBe(0);
});

test('a window of 0 gives no credit for nothing', () => {
  expect(new ReceiveWindow(0, 100, 0).consume(5)).toBe(0);
});

test('a peer that has not seen our SETTINGS may send up to the default', () => {
  const window = new ReceiveWindow(10, 10, 65_535);
  expect([window.receive(65_535), window.receive(1)]).toEqual([true, false]);
});

test('a window doubles after two windows whose reader kept up, up to its bound', () => {
  const window = new ReceiveWindow(100, 300, 0);
  const increments: number[] = [];
  for (let i = 0; i < 13; i++) {
    const half = Math.ceil(window.sizeBytes / 2);
    window.receive(half);
    increments.push(window.consume(half));
  }
  expect(increments).toEqual([50, 50, 50, 150, 100, 100, 100, 200, 150, 150, 150, 150, 150]);
  expect(window.sizeBytes).toBe(300);
});

test('a window does not grow while more than a quarter of it is held back', () => {
  const window = new ReceiveWindow(100, 400, 0);
  window.receive(50);
  for (let i = 0; i < 20; i++) {
    window.receive(50);
    window.consume(50);
  }
  expect(window.sizeBytes).toBe(100);
});

test('law: what the peer may send, what is held and what is due make up the window', () => {
  const step = fc.tuple(fc.boolean(), fc.nat(400));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(step, { maxLength: 80 }), (size, steps) => {
      const window = new ReceiveWindow(size, size * 4, 0);
      let dueBytes = 0;
      for (const [isReceived, bytes] of steps) {
        if (isReceived) window.receive(bytes);
        else {
          dueBytes += Math.min(bytes, window.heldBytes);
          if (window.consume(bytes) > 0) dueBytes = 0;
        }
        expect(window.available + window.heldBytes + dueBytes).toBe(window.sizeBytes);
        expect(dueBytes * 2).toBeLessThan(window.sizeBytes);
      }
    }),
  );
});

test('the connection gets back what came as soon as it is half a window', () => {
  const credit = new ConnectionCredit(101);
  expect([credit.receive(50), credit.receive(1), credit.receive(0), credit.receive(60)]).toEqual([
    0, 51, 0, 60,
  ]);
});
