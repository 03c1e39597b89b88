// The splitting law holds for machines that keep their state, and catches those that do not.
import { duplexPair } from 'node:stream';

import { expect, test } from 'vitest';

import { ByteLog } from './byte-log.ts';
import { cutAt, drip, everySplit, seededRandom, splitsOf } from './split.ts';

const input = Buffer.from('one\r\ntwo\r\nthree\r\n');

function linesOf(pieces: readonly Uint8Array[]): string[] {
  const lines: string[] = [];
  let pending = '';
  for (const piece of pieces) {
    const parts = (pending + Buffer.from(piece).toString('latin1')).split('\r\n');
    pending = parts.pop() ?? '';
    lines.push(...parts);
  }
  return lines;
}

function forgetfulLinesOf(pieces: readonly Uint8Array[]): string[] {
  return pieces.flatMap((piece) => linesOf([piece]));
}

function refuse(): never {
  throw Object.assign(new SyntaxError('bad'), { code: 'BAD' });
}

function refuseByCount(pieces: readonly Uint8Array[]): never {
  throw new Error(`failed at piece ${pieces.length}`);
}

function numbersOf(seed: number): number[] {
  return Array.from({ length: 4 }, seededRandom(seed));
}

test('a machine that keeps its state passes, and every two-way split was tried', () => {
  const seen = new Set<string>();
  const ways = everySplit(input, (pieces) => {
    seen.add(pieces.map((piece) => piece.length).join('+'));
    return linesOf(pieces);
  });
  expect(ways).toBeGreaterThan(input.length);
  for (let at = 1; at < input.length; at += 1) expect(seen).toContain(`${at}+${input.length - at}`);
  expect(seen).toContain(Array.from(input, () => '1').join('+'));
});

test('a machine that forgets fails, and the failure names the cuts and the seed', () => {
  expect(() => everySplit(input, forgetfulLinesOf, { seed: 7 })).toThrow(/cuts at \[1, 2, .*seed 7/);
});

test('errors are outcomes: the same one passes, another one fails', () => {
  expect(everySplit(input, refuse)).toBeGreaterThan(0);
  expect(() => everySplit(input, refuseByCount)).toThrow('depends on how the input is cut');
});

test('asynchronous machines obey the same law', async () => {
  await expect(everySplit(input, async (pieces) => linesOf(pieces))).resolves.toBeGreaterThan(0);
  await expect(everySplit(input, async (pieces) => forgetfulLinesOf(pieces))).rejects.toThrow('is cut');
});

test('the number of ways is bounded, whatever the length', () => {
  expect([...splitsOf(100_000, { maxSplits: 40 })].length).toBe(40);
  expect([...splitsOf(3, { maxSplits: 1 })]).toEqual([[1, 2]]);
  expect([...splitsOf(1)]).toEqual([]);
});

test('pieces are copies that add up to the input', () => {
  const pieces = cutAt(input, [3, 9]);
  expect(Buffer.concat(pieces).equals(input)).toBe(true);
  for (const piece of pieces) piece.fill(0);
  expect(input.includes(0)).toBe(false);
});

test('a seed gives the same numbers, another seed others', () => {
  expect(numbersOf(1)).toEqual(numbersOf(1));
  expect(numbersOf(1)).not.toEqual(numbersOf(2));
});

test('dripped pieces arrive as separate chunks, in order', async () => {
  const [near, far] = duplexPair();
  const chunks: string[] = [];
  const log = new ByteLog(far);
  far.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  await drip(near, ['GET ', Buffer.from('/ '), 'HTTP']);
  await log.until('HTTP');
  expect(chunks).toEqual(['GET ', '/ ', 'HTTP']);
});
