// Records what arrives on a stream and lets a test wait for it. Waiting is event-driven: a waiter is asked at each chunk, at
// the end and at the close, and never by the clock.
import type { Duplex } from 'node:stream';

import { defaultDeadlineMs, within } from './deadline.ts';

/** What ends a wait: the bytes to be seen (text is latin1), or a function of everything received so far. */
export type Until = string | Uint8Array | ((received: Buffer) => boolean);

/** The bytes as a test failure shows them: printable ASCII as it is, the rest escaped. */
export function readable(bytes: Uint8Array, limit = 600): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, limit)).toString('latin1');
  const escaped = JSON.stringify(text).replaceAll(
    /[\u007f-\u00ff]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  return bytes.length > limit ? `${escaped} and ${bytes.length - limit} bytes more` : escaped;
}

function isSatisfied(until: Until, received: Buffer): boolean {
  if (typeof until === 'function') return until(received);
  return typeof until === 'string'
    ? received.includes(until, 0, 'latin1')
    : received.includes(Buffer.from(until));
}

/** Reads a stream from now on. It owns the reading: nobody else may consume the stream until {@link ByteLog.release}. */
export class ByteLog {
  readonly #stream: Duplex;
  readonly #waiters = new Set<() => void>();
  #received: Buffer = Buffer.alloc(0);
  #hasEnded = false;
  #hasClosed = false;
  #error: Error | undefined = undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
    stream.resume(); // a stream that an earlier reader released is paused
  }

  /** Everything received so far. */
  get received(): Buffer {
    return this.#received;
  }

  /** Whether the peer has said that it sends no more (FIN), or the stream is gone. */
  get hasEnded(): boolean {
    return this.#hasEnded || this.#hasClosed;
  }

  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /** The stream's error, if it had one. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** What was received once `until` holds; rejects at the stream's end or after `ms`, showing what did arrive. */
  async until(until: Until, ms = defaultDeadlineMs): Promise<Buffer> {
    await this.#wait(() => isSatisfied(until, this.#received) || this.hasEnded, ms, 'the awaited bytes');
    if (isSatisfied(until, this.#received)) return this.#received;
    throw new Error(`the stream ended before the awaited bytes, after ${readable(this.#received)}`, {
      cause: this.#error,
    });
  }

  /** Everything received, once the peer has ended its side or the stream is closed. */
  async ended(ms = defaultDeadlineMs): Promise<Buffer> {
    await this.#wait(() => this.hasEnded, ms, "the peer's end");
    return this.#received;
  }

  /** Everything received, once the stream is closed on both sides. */
  async closed(ms = defaultDeadlineMs): Promise<Buffer> {
    await this.#wait(() => this.#hasClosed, ms, 'the close');
    return this.#received;
  }

  /**
   * Stops reading and leaves the stream paused for its next owner; what was received stays here. Errors are still recorded: a
   * reset that nobody listens for would end the test process.
   */
  release(): Buffer {
    this.#stream.pause();
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    this.#stream.off('close', this.#onClose);
    return this.#received;
  }

  async #wait(isDone: () => boolean, ms: number, what: string): Promise<void> {
    if (isDone()) return;
    let look: (() => void) | undefined;
    const done = new Promise<void>((resolve) => {
      look = () => {
        if (isDone()) resolve();
      };
      this.#waiters.add(look);
    });
    try {
      await within(done, ms, () => `${what} (received: ${readable(this.#received)})`);
    } finally {
      if (look) this.#waiters.delete(look);
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received = Buffer.concat([this.#received, chunk]);
    this.#look();
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    this.#look();
  };

  readonly #onError = (error: Error): void => {
    this.#error = error;
  };

  readonly #onClose = (): void => {
    this.#hasClosed = true;
    this.#look();
  };

  #look(): void {
    for (const look of this.#waiters) look();
  }
}
