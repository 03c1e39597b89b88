// The law that every streaming machine obeys: however the bytes are cut, the outcome is that of the uncut input.
import { deepStrictEqual } from 'node:assert';
import type { Duplex } from 'node:stream';

export interface SplitOptions {
  /** Upper bound of the ways tried. */
  readonly maxSplits?: number;
  /** Starts the random cuts; a failure names it. */
  readonly seed?: number;
}

type Outcome =
  | { readonly value: unknown }
  | { readonly thrown: { readonly name: string; readonly text: string } };

const defaultMaxSplits = 300;
const defaultSeed = 0x50f7;

/** A small seeded generator (mulberry32): the same seed gives the same numbers in [0, 1) everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Copies of the pieces between the cuts (ascending offsets inside the input); none shares memory with the input. */
export function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((end, index) => Buffer.from(bytes.subarray(edges[index], end)));
}

/**
 * The cuts that are tried: byte by byte, each two-way split while the budget lasts (evenly spread when the input is longer),
 * then random ones.
 */
export function* splitsOf(length: number, options: SplitOptions = {}): Generator<readonly number[]> {
  const { maxSplits = defaultMaxSplits, seed = defaultSeed } = options;
  if (length < 2 || maxSplits < 1) return;
  const inner = length - 1;
  yield Array.from({ length: inner }, (_, index) => index + 1);
  const randomCount = Math.min(Math.ceil(maxSplits / 4), maxSplits - 1);
  const twoWayCount = Math.min(inner, maxSplits - 1 - randomCount);
  for (let index = 0; index < twoWayCount; index += 1) yield [1 + Math.floor((index * inner) / twoWayCount)];
  const random = seededRandom(seed);
  for (let index = 0; index < randomCount; index += 1) {
    const cuts = new Set<number>();
    const wanted = 1 + Math.floor(random() * Math.min(inner, 8));
    while (cuts.size < wanted) cuts.add(1 + Math.floor(random() * inner));
    yield [...cuts].toSorted((left, right) => left - right);
  }
}

function thrownBy(error: unknown): Outcome {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : '';
  return { thrown: { name, text: `${code}${message}` } };
}

function outcomeOf(run: () => unknown): Outcome | Promise<Outcome> {
  try {
    const value = run();
    if (value instanceof Promise)
      return value.then((settled: unknown): Outcome => ({ value: settled }), thrownBy);
    return { value };
  } catch (error) {
    return thrownBy(error);
  }
}

function expectSame(actual: unknown, expected: unknown, where: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    throw new Error(`the outcome depends on how the input is cut: ${where}`, { cause: error });
  }
}

function describeCuts(cuts: readonly number[], options: SplitOptions): string {
  const shown = cuts.length > 12 ? `${cuts.slice(0, 12).join(', ')}, …` : cuts.join(', ');
  return `cuts at [${shown}], seed ${options.seed ?? defaultSeed}`;
}

/**
 * Runs `run` with the whole input, then with the input cut in many ways, and fails unless each run has the same outcome: the
 * same value (deeply), or the same error (name, code and message). Answers the number of ways tried; a promise of it when `run` is
 * asynchronous. `run` must build its machine anew each time.
 */
export function everySplit(
  bytes: Uint8Array,
  run: (pieces: readonly Uint8Array[]) => Promise<unknown>,
  options?: SplitOptions,
): Promise<number>;
export function everySplit(
  bytes: Uint8Array,
  run: (pieces: readonly Uint8Array[]) => unknown,
  options?: SplitOptions,
): number;
export function everySplit(
  bytes: Uint8Array,
  run: (pieces: readonly Uint8Array[]) => unknown,
  options: SplitOptions = {},
): number | Promise<number> {
  const ways = [...splitsOf(bytes.length, options)];
  const whole = outcomeOf(() => run(cutAt(bytes, [])));
  if (whole instanceof Promise) return everySplitLater(bytes, run, { ways, whole, options });
  for (const cuts of ways) {
    expectSame(
      outcomeOf(() => run(cutAt(bytes, cuts))),
      whole,
      describeCuts(cuts, options),
    );
  }
  return ways.length;
}

async function everySplitLater(
  bytes: Uint8Array,
  run: (pieces: readonly Uint8Array[]) => unknown,
  plan: { ways: readonly (readonly number[])[]; whole: Promise<unknown>; options: SplitOptions },
): Promise<number> {
  const expected = await plan.whole;
  for (const cuts of plan.ways) {
    const actual = await outcomeOf(() => run(cutAt(bytes, cuts)));
    expectSame(actual, expected, describeCuts(cuts, plan.options));
  }
  return plan.ways.length;
}

/**
 * Writes each piece as a segment of its own: no Nagle, each write flushed to the kernel, and a turn of the event loop between two.
 * Rejects when a write fails.
 */
export async function drip(socket: Duplex, pieces: Iterable<string | Uint8Array>): Promise<void> {
  if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true);
  for (const piece of pieces) {
    await new Promise<void>((resolve, reject) => {
      socket.write(piece, 'latin1', (error) => (error ? reject(error) : resolve()));
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
}
