// Questions that come together, or while a run is under way, share one run.
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, test, vi } from 'vitest';

import { Batch } from '../../src/process/batch.ts';
import { unhurried } from './fake-proc.ts';

/** A batch whose runs answer with the question doubled, when the test lets them. */
function doubling(): {
  batch: Batch<number, number>;
  runs: { questions: readonly number[]; signal: AbortSignal; finish: () => void }[];
} {
  const runs: { questions: readonly number[]; signal: AbortSignal; finish: () => void }[] = [];
  const batch = new Batch<number, number>(
    (questions, signal) =>
      new Promise((resolve) => {
        runs.push({ questions, signal, finish: () => resolve(questions.map((question) => question * 2)) });
      }),
  );
  return { batch, runs };
}

test('questions of one turn are answered by one run, in their order', async () => {
  const { batch, runs } = doubling();
  const answers = Promise.all([1, 2, 3].map((question) => batch.ask(question, unhurried())));
  await vi.waitFor(() => expect(runs.length).toBe(1));
  runs[0]?.finish();
  expect(await answers).toEqual([2, 4, 6]);
  expect(runs.length).toBe(1);
});

test('what comes while a run is under way waits for the next', async () => {
  const { batch, runs } = doubling();
  const first = batch.ask(1, unhurried());
  await vi.waitFor(() => expect(runs.length).toBe(1));
  const later = Promise.all([batch.ask(2, unhurried()), batch.ask(3, unhurried())]);
  runs[0]?.finish();
  expect(await first).toBe(2);
  await vi.waitFor(() => expect(runs.length).toBe(2));
  expect(runs[1]?.questions).toEqual([2, 3]);
  runs[1]?.finish();
  expect(await later).toEqual([4, 6]);
});

/** Runs of 5 ms, each followed by four times as long a rest. */
function resting(): { batch: Batch<number, number>; startsMs: number[]; counts: number[] } {
  const startsMs: number[] = [];
  const counts: number[] = [];
  const run = async (questions: readonly number[]): Promise<readonly number[]> => {
    startsMs.push(performance.now());
    counts.push(questions.length);
    await sleep(10);
    return questions;
  };
  return { batch: new Batch<number, number>(run, { restFactor: 4 }), startsMs, counts };
}

describe('a batch that rests', () => {
  test('gathers what comes in the meantime', async () => {
    const { batch, startsMs, counts } = resting();
    await batch.ask(1, unhurried());
    const answers: Promise<number>[] = [];
    for (const question of [2, 3, 4]) {
      answers.push(batch.ask(question, unhurried()));
      await sleep(2);
    }
    expect(await Promise.all(answers)).toEqual([2, 3, 4]);
    expect(counts).toEqual([1, 3]);
    const [first = 0, second = 0] = startsMs;
    expect(second - first).toBeGreaterThan(20);
  });

  test('does not after a run that was over at once', async () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    const counts: number[] = [];
    const batch = new Batch<number, number>(
      (questions) => {
        counts.push(questions.length);
        clock.mockReturnValue(performance.now() + 1.9);
        return Promise.resolve(questions);
      },
      { restFactor: 1_000 },
    );
    await batch.ask(1, unhurried());
    // A rest takes a timer, and so at least one turn of the event loop.
    const nextTurn = new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(await Promise.race([batch.ask(2, unhurried()), nextTurn])).toBe(2);
    expect(counts).toEqual([1, 1]);
  });
});

describe('a question that nobody waits for any more', () => {
  test('is not asked at all when its signal was aborted before', async () => {
    const { batch, runs } = doubling();
    await expect(batch.ask(1, AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
    expect(runs.length).toBe(0);
  });

  test('is left out of the next run', async () => {
    const { batch, runs } = doubling();
    const leaving = new AbortController();
    const first = batch.ask(1, unhurried());
    await vi.waitFor(() => expect(runs.length).toBe(1));
    const left = batch.ask(2, leaving.signal);
    leaving.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    runs[0]?.finish();
    await first;
    const next = batch.ask(3, unhurried());
    await vi.waitFor(() => expect(runs.length).toBe(2));
    expect(runs[1]?.questions).toEqual([3]);
    runs[1]?.finish();
    expect(await next).toBe(6);
  });

  test('ends the run when it was the last', async () => {
    const { batch, runs } = doubling();
    const [one, two] = [new AbortController(), new AbortController()];
    const answers = [batch.ask(1, one.signal), batch.ask(2, two.signal)].map((answer) =>
      answer.catch(() => 'left'),
    );
    await vi.waitFor(() => expect(runs.length).toBe(1));
    one.abort();
    expect(runs[0]?.signal.aborted).toBe(false);
    two.abort('no error');
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(await Promise.all(answers)).toEqual(['left', 'left']);
    runs[0]?.finish();
  });
});

test('a run that fails fails those who wait for it, and no others', async () => {
  let runCount = 0;
  const batch = new Batch<number, number>((questions) => {
    runCount += 1;
    return runCount === 1 ? Promise.reject(new Error('broken')) : Promise.resolve([...questions]);
  });
  await expect(batch.ask(1, unhurried())).rejects.toThrow('broken');
  expect(await batch.ask(2, unhurried())).toBe(2);
});

test('a run that answers too little fails the rest', async () => {
  const batch = new Batch<number, number>((questions) => Promise.resolve(questions.slice(1)));
  const [first, second] = await Promise.allSettled([batch.ask(1, unhurried()), batch.ask(2, unhurried())]);
  expect(first).toEqual({ status: 'fulfilled', value: 2 });
  expect(second).toMatchObject({
    status: 'rejected',
    reason: new RangeError('a run answered 1 of 2 questions'),
  });
});
