import { setTimeout as pause } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { EventLoopDelay } from '../src/event-loop-delay.ts';

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('nothing is measured before the first reading', () => {
  const delay = new EventLoopDelay();
  block(30);
  expect(delay.read()).toEqual({ meanMs: 0, p99Ms: 0, maxMs: 0 });
  delay.close();
});

test('what keeps the loop busy shows', async () => {
  const delay = new EventLoopDelay();
  delay.read();
  await pause(60);
  block(150);
  await pause(60);
  const { maxMs, p99Ms, meanMs } = delay.read();
  expect(maxMs).toBeGreaterThan(80);
  expect(maxMs).toBeGreaterThanOrEqual(p99Ms);
  expect(p99Ms).toBeGreaterThanOrEqual(meanMs);
  delay.close();
});

test('a delay is told for a while and then forgotten, however often it is read', async () => {
  let nowMs = 0;
  const delay = new EventLoopDelay(() => nowMs);
  delay.read();
  await pause(40);
  block(150);
  await pause(40);
  nowMs = 11_000;
  expect(delay.read().maxMs).toBeGreaterThan(80);
  expect(delay.read().maxMs).toBeGreaterThan(80);
  nowMs = 22_000;
  delay.read();
  await pause(40);
  expect(delay.read().maxMs).toBeLessThan(80);
  delay.close();
});

test('closed, it tells what it told last, and is quiet', () => {
  const delay = new EventLoopDelay();
  delay.close();
  expect(delay.read()).toEqual({ meanMs: 0, p99Ms: 0, maxMs: 0 });
});
