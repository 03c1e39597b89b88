// Reading a beginning: collects bytes of a wire until a rule says what they are, within a size and a time. Whatever was
// read stays on the wire for whoever reads next.
import { Accumulator } from './accumulator.ts';
import type { Wire, WireReader } from './wire.ts';

export interface GatherOptions<T> {
  /**
   * Looks at everything read so far; undefined asks for more, for which the budget may have no room. May throw: the error becomes
   * the result.
   */
  readonly recognise: (bytes: Buffer, hasRoom: boolean) => T | undefined;
  /** Time allowed, in milliseconds; 0 for none. */
  readonly timeoutMs: number;
  /** Whether the time runs from the call, or from the first byte. */
  readonly timeStarts: 'now' | 'first_byte';
  /** Without any byte, the time that is allowed before the peer is given up; only with `first_byte`. */
  readonly silenceMs?: number;
}

/** How a beginning turned out. `ended` and `closed` tell how many bytes had come before. */
export type Gathered<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'timeout'; readonly received: number }
  | { readonly kind: 'ended'; readonly received: number }
  | { readonly kind: 'closed'; readonly received: number; readonly error: Error | undefined };

/** A reading that is under way, and can be given up in favour of another one. */
export interface Gathering<T> {
  readonly result: Promise<Gathered<T>>;
  /** Parts from the wire, leaving what was read on it; the result never settles after that. */
  cancel(): void;
}

/** Begins to read from a wire. */
export function gather<T>(wire: Wire, options: GatherOptions<T>): Gathering<T> {
  const reader = new BeginningReader(wire, options);
  wire.attach(reader);
  return reader;
}

class BeginningReader<T> implements WireReader, Gathering<T> {
  readonly result: Promise<Gathered<T>>;
  readonly #wire: Wire;
  readonly #options: GatherOptions<T>;
  readonly #bytes: Accumulator;
  #settle: ((outcome: Gathered<T>) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(wire: Wire, options: GatherOptions<T>) {
    this.#wire = wire;
    this.#options = options;
    this.#bytes = new Accumulator(wire.budget);
    this.#settle = undefined;
    this.#timer = undefined;
    this.result = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const firstMs = options.timeStarts === 'now' ? options.timeoutMs : (options.silenceMs ?? 0);
    this.#arm(firstMs);
  }

  cancel(): void {
    if (this.#settle === undefined) return;
    this.#settle = undefined;
    this.#part();
  }

  onData(chunk: Buffer): void {
    if (this.#bytes.length === 0 && this.#options.timeStarts === 'first_byte')
      this.#arm(this.#options.timeoutMs);
    this.#bytes.push(chunk);
    let value: T | undefined;
    try {
      value = this.#options.recognise(this.#bytes.bytes, this.#bytes.hasRoom);
    } catch (error) {
      this.#finish({ kind: 'failed', error });
      return;
    }
    if (value !== undefined) this.#finish({ kind: 'found', value });
  }

  onEnd(): void {
    this.#finish({ kind: 'ended', received: this.#bytes.length });
  }

  onClose(error: Error | undefined): void {
    this.#finish({ kind: 'closed', received: this.#bytes.length, error });
  }

  onDrain(): void {
    // Nothing is written from here.
  }

  onQuiet(): void {
    // The deadline of the whole beginning is the one that counts.
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer =
      ms === 0
        ? undefined
        : setTimeout(() => this.#finish({ kind: 'timeout', received: this.#bytes.length }), ms);
  }

  #finish(outcome: Gathered<T>): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    this.#part();
    settle(outcome);
  }

  #part(): void {
    clearTimeout(this.#timer);
    this.#wire.detach();
    this.#wire.pushBack(this.#bytes.take());
  }
}
