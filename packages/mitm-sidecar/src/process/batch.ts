// Gathers questions so that one costly run answers many: what is asked while a run is under way waits for the next one.
// A run begins after all questions that it answers were asked.
import { setTimeout as sleep } from 'node:timers/promises';

/** A rest never lasts longer, in milliseconds: it is a part of what somebody waits for. */
const MAX_REST_MS = 25;
/** A run that is over in this time, in milliseconds, costs too little for a rest. */
const QUICK_RUN_MS = 2;

interface Asked<Q, A> {
  readonly question: Q;
  readonly signal: AbortSignal;
  readonly resolve: (answer: A) => void;
  readonly reject: (reason: unknown) => void;
}

/** Answers questions in the order given. The signal is aborted when nobody waits for the run any more. */
export type BatchRun<Q, A> = (questions: readonly Q[], signal: AbortSignal) => Promise<readonly A[]>;

export interface BatchOptions {
  /**
   * After a run, so many times its duration beyond 2 ms pass before the next begins (at most 25 ms): where questions never stop, long runs
   * take that part of the time at most, and each answers more. Whoever asks after a pause waits for nothing. 0 unless given.
   */
  readonly restFactor?: number;
}

/** One run at a time. */
export class Batch<Q, A> {
  readonly #run: BatchRun<Q, A>;
  readonly #restFactor: number;
  #waiting: Asked<Q, A>[];
  #isRunning: boolean;
  /** On the monotonic clock. */
  #restsUntilMs: number;

  constructor(run: BatchRun<Q, A>, options: BatchOptions = {}) {
    this.#run = run;
    this.#restFactor = options.restFactor ?? 0;
    this.#waiting = [];
    this.#isRunning = false;
    this.#restsUntilMs = 0;
  }

  /** Resolves with the answer of the next run; rejects as that run does, or with the signal's reason. */
  ask(question: Q, signal: AbortSignal): Promise<A> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(asError(signal.reason));
        return;
      }
      signal.addEventListener('abort', () => reject(asError(signal.reason)), { once: true });
      this.#waiting.push({ question, signal, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // After this turn, so that questions which come together are answered together.
      queueMicrotask(() => void this.#runAll());
    });
  }

  async #runAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const restMs = this.#restsUntilMs - performance.now();
      if (restMs > 0) await sleep(restMs);
      const asked = this.#waiting.filter(({ signal }) => !signal.aborted);
      this.#waiting = [];
      if (asked.length > 0) await this.#answer(asked);
    }
    this.#isRunning = false;
  }

  #rest(startedAtMs: number): void {
    const now = performance.now();
    const longMs = Math.max(0, now - startedAtMs - QUICK_RUN_MS);
    this.#restsUntilMs = now + Math.min(MAX_REST_MS, longMs * this.#restFactor);
  }

  async #answer(asked: readonly Asked<Q, A>[]): Promise<void> {
    const controller = new AbortController();
    let interestedCount = asked.length;
    const onAbort = (): void => {
      interestedCount -= 1;
      if (interestedCount === 0) controller.abort();
    };
    for (const { signal } of asked) signal.addEventListener('abort', onAbort, { once: true });
    const startedAtMs = performance.now();
    try {
      const questions = asked.map(({ question }) => question);
      const answers = await this.#run(questions, controller.signal);
      for (const [index, { resolve, reject }] of asked.entries()) {
        if (index < answers.length) resolve(at(answers, index));
        else reject(new RangeError(`a run answered ${answers.length} of ${asked.length} questions`));
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    } finally {
      this.#rest(startedAtMs);
      for (const { signal } of asked) signal.removeEventListener('abort', onAbort);
    }
  }
}

function at<A>(answers: readonly A[], index: number): A {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the index is within the array, and A may include undefined
  return answers[index] as A;
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
