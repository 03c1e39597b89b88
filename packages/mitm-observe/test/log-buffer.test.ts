import { expect, test } from 'vitest';

import { LogBuffer } from '../src/log-buffer.ts';

const line = (lineBytes: number) => ({ line: 'x', lineBytes, rowHead: '', segment: 0, byteOffset: 0 });

test('lines are placed behind each other, and taken a segment at a time', () => {
  const buffer = new LogBuffer(1_000, 100);
  for (const bytes of [60, 40, 10, 300, 20]) buffer.push(line(bytes));
  expect(buffer.takeBatch()).toMatchObject([
    { segment: 0, byteOffset: 0 },
    { segment: 0, byteOffset: 60 },
  ]);
  expect(buffer.takeBatch()).toMatchObject([{ segment: 1, byteOffset: 0 }]);
  expect(buffer.takeBatch()).toMatchObject([{ segment: 2, byteOffset: 0, lineBytes: 300 }]);
  expect(buffer.takeBatch()).toMatchObject([{ segment: 3, byteOffset: 0 }]);
  expect(buffer.takeBatch()).toEqual([]);
});

test('what tells of the life of a flow may fill eight times as much', () => {
  const buffer = new LogBuffer(100, Infinity);
  buffer.push(line(99));
  expect([buffer.hasRoom(true), buffer.isFull]).toEqual([true, false]);
  buffer.push(line(1));
  expect([buffer.hasRoom(true), buffer.hasRoom(false), buffer.isFull]).toEqual([false, true, true]);
  buffer.push(line(700));
  expect(buffer.hasRoom(false)).toBe(false);
});

test('what is being written counts until it is settled', () => {
  const buffer = new LogBuffer(100, Infinity);
  buffer.push(line(100));
  const batch = buffer.takeBatch();
  expect([buffer.count, buffer.isFull]).toEqual([0, true]);
  buffer.settle(batch);
  expect(buffer.isFull).toBe(false);
});

test('after a failure what waits is placed anew', () => {
  const buffer = new LogBuffer(1_000, 100);
  for (const bytes of [60, 60]) buffer.push(line(bytes));
  buffer.moveTo({ segment: 4, byteOffset: 50 });
  expect(buffer.takeBatch()).toMatchObject([{ segment: 5, byteOffset: 0 }]);
  expect(buffer.takeBatch()).toMatchObject([{ segment: 6, byteOffset: 0 }]);
  buffer.rotateBytes = Infinity;
  buffer.push(line(60));
  buffer.push(line(60));
  expect(buffer.takeBatch()).toMatchObject([
    { segment: 6, byteOffset: 60 },
    { segment: 6, byteOffset: 120 },
  ]);
});
