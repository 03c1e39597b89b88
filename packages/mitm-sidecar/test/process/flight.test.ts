// One search, many who wait, one end.
import { describe, expect, test, vi } from 'vitest';

import { aborted, Flight, type Found, timedOut } from '../../src/process/flight.ts';

const found: Found = { result: { kind: 'found', info: { pid: 7 } }, isIdentityHit: true };
const never = new Promise<Found>(() => {});

test('everyone who waits gets the result, after it was told once', async () => {
  const onEnd = vi.fn<(end: Found) => void>();
  const flight = new Flight(onEnd);
  const waiting = [flight.wait(undefined), flight.wait(new AbortController().signal)];
  flight.begin(1_000, Promise.resolve(found));
  expect(await Promise.all(waiting)).toEqual([found.result, found.result]);
  flight.cancel(aborted);
  expect(onEnd.mock.calls).toEqual([[found]]);
  expect(flight.signal.aborted).toBe(false);
});

test('a search that fails gives its cause', async () => {
  const flight = new Flight(() => {});
  const cause = new Error('broken');
  flight.begin(1_000, Promise.reject(cause));
  expect(await flight.wait(undefined)).toEqual({ kind: 'failed', cause });
});

test('a search that takes too long is stopped, and what it finds is too late', async () => {
  const onEnd = vi.fn<(end: Found) => void>();
  const flight = new Flight(onEnd);
  const { promise, finish } = later();
  flight.begin(10, promise);
  expect(await flight.wait(undefined)).toBe(timedOut);
  expect(flight.signal.aborted).toBe(true);
  finish();
  expect(await flight.wait(undefined)).toBe(timedOut);
  expect(onEnd).toHaveBeenCalledTimes(1);
});

describe('who leaves', () => {
  test('does not disturb the others', async () => {
    const flight = new Flight(() => {});
    const leaving = new AbortController();
    const left = flight.wait(leaving.signal);
    const staying = flight.wait(new AbortController().signal);
    const { promise, finish } = later();
    flight.begin(1_000, promise);
    leaving.abort();
    expect(await left).toBe(aborted);
    expect(flight.signal.aborted).toBe(false);
    finish();
    expect(await staying).toEqual(found.result);
  });

  test('ends the search when nobody is left', async () => {
    const flight = new Flight(() => {});
    const leaving = new AbortController();
    const left = flight.wait(leaving.signal);
    flight.begin(1_000, never);
    leaving.abort();
    expect(await left).toBe(aborted);
    expect(flight.signal.aborted).toBe(true);
  });
});

/** A search that finds the process when the test says so. */
function later(): { promise: Promise<Found>; finish: () => void } {
  const gate = new EventTarget();
  const promise = new Promise<Found>((resolve) => {
    gate.addEventListener('open', () => resolve(found), { once: true });
  });
  return { promise, finish: () => gate.dispatchEvent(new Event('open')) };
}
