// What the tests of frame parsers share: a body pushed in pieces, with what came out and what was thrown.
import fc from 'fast-check';
import { expect } from 'vitest';

import { FrameError } from '../../src/frames/frame.ts';

/** A parser of any kind; `Facts` is what it tells of its frames. */
export interface AnyParser<Facts> {
  push(chunk: Uint8Array, emit: (payload: Uint8Array, facts: Facts) => void): void;
  end(emit: (payload: Uint8Array, facts: Facts) => void): void;
}

export interface Run<Facts> {
  /** The payloads, one character per byte. */
  readonly payloads: readonly string[];
  readonly facts: readonly Facts[];
  /** Code and message of each error thrown, at most one when all is well. */
  readonly errors: readonly string[];
  /** Which frame each error is about, from 1. */
  readonly faultyFrames: readonly (number | undefined)[];
}

/**
 * Pushes the pieces and ends the body, and goes on pushing after an error as a relay may. Each piece is overwritten once it
 * was pushed: whoever kept a view of it would be found out.
 */
export function runFrames<Facts>(parser: AnyParser<Facts>, pieces: readonly Uint8Array[]): Run<Facts> {
  const payloads: string[] = [];
  const facts: Facts[] = [];
  const errors: string[] = [];
  const faultyFrames: (number | undefined)[] = [];
  const emit = (payload: Uint8Array, known: Facts): void => {
    payloads.push(Buffer.from(payload).toString('latin1'));
    facts.push(known);
  };
  const attempt = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      errors.push(`${error.code}: ${error.message}`);
      faultyFrames.push(error.facts.sequence);
    }
  };
  for (const piece of pieces) {
    const chunk = Buffer.from(piece);
    attempt(() => parser.push(chunk, emit));
    chunk.fill(0xff);
  }
  attempt(() => parser.end(emit));
  attempt(() => parser.end(emit));
  return { payloads, facts, errors, faultyFrames };
}

/** The whole in one piece. */
export function runWhole<Facts>(parser: AnyParser<Facts>, body: Uint8Array): Run<Facts> {
  return runFrames(parser, [body]);
}

/** One piece for each byte. */
export function singleBytes(body: Uint8Array): Uint8Array[] {
  return Array.from(body, (byte) => Uint8Array.of(byte));
}

/** Bodies of these parts in any order, with a way to cut each into pieces. */
export function cutBodies(
  parts: readonly (string | Uint8Array)[],
  maxLength = 24,
): fc.Arbitrary<{ readonly body: Buffer; readonly pieces: readonly Buffer[] }> {
  return fc
    .array(fc.constantFrom(...parts.map((part) => Buffer.from(part))), { maxLength })
    .map((chosen) => Buffer.concat(chosen))
    .chain((body) => cuts(body).map((pieces) => ({ body, pieces })));
}

/** All the ways to cut these bytes, with empty pieces too. */
export function cuts(body: Buffer): fc.Arbitrary<readonly Buffer[]> {
  return fc.array(fc.nat(body.length), { maxLength: 16 }).map((places) => {
    const ends = [...places.toSorted((a, b) => a - b), body.length];
    return ends.map((end, index) => body.subarray(ends[index - 1] ?? 0, end));
  });
}

/** Every split of the body gives what the whole gives: frames, facts and error. */
export function expectSameUnderSplits<Facts>(
  make: () => AnyParser<Facts>,
  bodies: fc.Arbitrary<{ readonly body: Buffer; readonly pieces: readonly Buffer[] }>,
): void {
  fc.assert(
    fc.property(bodies, ({ body, pieces }) => {
      const whole = runWhole(make(), body);
      expect(whole.errors.length).toBeLessThanOrEqual(1);
      for (const sequence of whole.faultyFrames) expect(sequence).toBe(whole.payloads.length + 1);
      expect(runFrames(make(), pieces)).toEqual(whole);
      expect(runFrames(make(), singleBytes(body))).toEqual(whole);
    }),
  );
}
