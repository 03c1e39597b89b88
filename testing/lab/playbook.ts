// Plays both ends of a relay over in-memory duplex pairs: what each side says, and what must arrive, in the order written.
// No ports, no clocks but the deadline. A playbook that is written and never finished fails the run.
import { AssertionError } from 'node:assert';
import type { Duplex } from 'node:stream';

import { ByteLog, readable } from './byte-log.ts';
import { defaultDeadlineMs, within } from './deadline.ts';
import { linkedPair } from './linked-pair.ts';

/** What is played against: it gets the client's stream and may dial upstreams, each dial giving a new stream. */
export type PlaybookRun<T> = (client: Duplex, dial: () => Duplex) => T | Promise<T>;

export interface PlaybookOptions {
  /** The time each expectation has, and the run to end after the last step. */
  readonly deadlineMs?: number;
  /** Called when the playbook was written but not finished in the same turn; throws the error unless said. */
  readonly onForgotten?: (error: Error) => void;
}

interface Step {
  readonly says: string;
  perform(): Promise<void>;
}

/** One end of a pair as the playbook holds it: the stream, what arrived, and how much of it was expected already. */
class End {
  readonly stream: Duplex;
  readonly log: ByteLog;
  #expectedCount = 0;

  constructor(stream: Duplex) {
    this.stream = stream;
    this.log = new ByteLog(stream);
  }

  get unexpected(): Buffer {
    return this.log.received.subarray(this.#expectedCount);
  }

  async expect(wanted: Buffer, deadlineMs: number): Promise<void> {
    const start = this.#expectedCount;
    const enough = (received: Buffer): boolean => {
      const arrived = received.subarray(start);
      return arrived.length >= wanted.length || firstDifference(arrived, wanted) < arrived.length;
    };
    try {
      await this.log.until(enough, deadlineMs);
    } catch (error) {
      throw mismatch(this.unexpected, wanted, error);
    }
    const arrived = this.unexpected.subarray(0, wanted.length);
    if (!arrived.equals(wanted)) throw mismatch(this.unexpected, wanted);
    this.#expectedCount = start + wanted.length;
  }
}

function firstDifference(left: Uint8Array, right: Uint8Array): number {
  const shorter = Math.min(left.length, right.length);
  for (let index = 0; index < shorter; index += 1) if (left[index] !== right[index]) return index;
  return shorter;
}

function mismatch(arrived: Buffer, wanted: Buffer, cause?: unknown): AssertionError {
  const at = firstDifference(arrived, wanted);
  const message = [
    `the bytes differ at offset ${at}`,
    `  expected: ${readable(wanted)}`,
    `  arrived:  ${readable(arrived)}`,
    `  expected from there: ${readable(wanted.subarray(at), 60)}`,
    `  arrived from there:  ${readable(arrived.subarray(at), 60)}`,
  ].join('\n');
  const error = new AssertionError({
    message,
    actual: arrived.toString('latin1'),
    expected: wanted.toString('latin1'),
  });
  if (cause !== undefined) error.cause = cause;
  return error;
}

function bytesOf(bytes: string | Uint8Array): Buffer {
  return typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
}

/**
 * A script for one client and its upstreams. Steps are recorded and then played one after the other by {@link Playbook.finish};
 * text is latin1. Upstreams are counted from 0 in the order of dialling.
 */
export class Playbook<T = unknown> {
  readonly #run: PlaybookRun<T>;
  readonly #deadlineMs: number;
  readonly #client: End;
  readonly #clientInside: Duplex;
  readonly #upstreams: End[] = [];
  readonly #insides: Duplex[] = [];
  readonly #dialWaiters = new Set<() => void>();
  readonly #steps: Step[] = [];
  #mayDial = true;
  #isFinishing = false;

  constructor(run: PlaybookRun<T>, options: PlaybookOptions = {}) {
    this.#run = run;
    this.#deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
    const [outside, inside] = linkedPair();
    this.#client = new End(outside);
    this.#clientInside = inside;
    this.#insides.push(inside);
    const onForgotten = options.onForgotten ?? throwForgotten;
    const forgotten = new Error('a playbook was written but not finished: add `await playbook.finish()`');
    setImmediate(() => {
      if (!this.#isFinishing) onForgotten(forgotten);
    });
  }

  /** The client sends. */
  client(bytes: string | Uint8Array): this {
    return this.#add('the client sends', () => this.#send(this.#client, bytesOf(bytes)));
  }

  /** The client must receive exactly these bytes next. */
  expectClient(bytes: string | Uint8Array): this {
    return this.#add('the client receives', () => this.#client.expect(bytesOf(bytes), this.#deadlineMs));
  }

  /** The client ends its side (FIN) and goes on reading. */
  clientEnds(): this {
    return this.#add('the client ends', async () => {
      this.#client.stream.end();
    });
  }

  /** The client's stream must be ended by the run, with nothing unexpected before the end. */
  expectClientEnd(): this {
    return this.#add('the client sees the end', () => this.#expectEnd(this.#client));
  }

  /** An upstream sends, once it was dialled. */
  upstream(bytes: string | Uint8Array, index = 0): this {
    return this.#add(`upstream ${index} sends`, async () =>
      this.#send(await this.#dialled(index), bytesOf(bytes)),
    );
  }

  /** An upstream must be dialled and receive exactly these bytes next. */
  expectUpstream(bytes: string | Uint8Array, index = 0): this {
    return this.#add(`upstream ${index} receives`, async () => {
      await (await this.#dialled(index)).expect(bytesOf(bytes), this.#deadlineMs);
    });
  }

  /** An upstream ends its side (FIN) and goes on reading. */
  upstreamEnds(index = 0): this {
    return this.#add(`upstream ${index} ends`, async () => {
      (await this.#dialled(index)).stream.end();
    });
  }

  /** The stream to an upstream must be ended by the run, with nothing unexpected before the end. */
  expectUpstreamEnd(index = 0): this {
    return this.#add(`upstream ${index} sees the end`, async () =>
      this.#expectEnd(await this.#dialled(index)),
    );
  }

  /** Nothing may be dialled, from the first step to the end of the run. */
  noUpstream(): this {
    this.#mayDial = false;
    return this;
  }

  /**
   * Plays the steps, waits for the run to end, and answers its result. Rejects with the first broken expectation (the run's own
   * error as its cause), with the run's error, or when bytes are left that no step expected.
   */
  async finish(): Promise<T> {
    if (this.#isFinishing) throw new Error('a playbook can be finished only once');
    this.#isFinishing = true;
    let runError: unknown;
    const running = (async () => await this.#run(this.#clientInside, this.#dial))();
    running.catch((error: unknown) => {
      runError = error; // awaited below; kept here so that a broken step can name it
    });
    try {
      for (const [index, step] of this.#steps.entries()) await this.#perform(step, index, () => runError);
      const result = await within(running, this.#deadlineMs, 'the end of the run after the last step');
      this.#expectNothingMore();
      return result;
    } finally {
      for (const stream of [
        this.#client.stream,
        ...this.#upstreams.map((end) => end.stream),
        ...this.#insides,
      ]) {
        stream.destroy();
      }
    }
  }

  async #perform(step: Step, index: number, runError: () => unknown): Promise<void> {
    try {
      await step.perform();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const broken = new AssertionError({
        message: `step ${index + 1} (${step.says}): ${reason}`,
        ...(error instanceof AssertionError && { actual: error.actual, expected: error.expected }),
      });
      broken.cause = runError() ?? error;
      throw broken;
    }
  }

  readonly #dial = (): Duplex => {
    if (!this.#mayDial) throw new Error('an upstream was dialled, which this playbook forbids');
    const [outside, inside] = linkedPair();
    this.#upstreams.push(new End(outside));
    this.#insides.push(inside);
    for (const look of this.#dialWaiters) look();
    return inside;
  };

  #add(says: string, perform: () => Promise<void>): this {
    if (this.#isFinishing) throw new Error('a step was added to a playbook that is already being played');
    this.#steps.push({ says, perform });
    return this;
  }

  async #send(end: End, bytes: Buffer): Promise<void> {
    // Not awaited: the reader's back-pressure is the relay's affair, and a later step may be what releases it.
    end.stream.write(bytes);
  }

  async #expectEnd(end: End): Promise<void> {
    await end.log.ended(this.#deadlineMs);
    if (end.unexpected.length > 0) throw mismatch(end.unexpected, Buffer.alloc(0));
  }

  async #dialled(index: number): Promise<End> {
    let look: (() => void) | undefined;
    const dialled = new Promise<End>((resolve) => {
      look = () => {
        const end = this.#upstreams[index];
        if (end) resolve(end);
      };
      this.#dialWaiters.add(look);
      look();
    });
    try {
      return await within(dialled, this.#deadlineMs, `the dial of upstream ${index}`);
    } finally {
      if (look) this.#dialWaiters.delete(look);
    }
  }

  #expectNothingMore(): void {
    const ends = [
      ['the client', this.#client] as const,
      ...this.#upstreams.map((end, index) => [`upstream ${index}`, end] as const),
    ];
    for (const [name, end] of ends) {
      if (end.unexpected.length === 0) continue;
      throw new AssertionError({
        message: `${name} received more than was expected: ${readable(end.unexpected)}`,
      });
    }
  }
}

function throwForgotten(error: Error): never {
  throw error;
}
