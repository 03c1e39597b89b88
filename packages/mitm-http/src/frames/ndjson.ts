// Lines of JSON (NDJSON, JSON Lines): one frame per line that is not empty, without its line end. Whether a line is JSON is
// not asked. What is held back never exceeds one line of `maxBytes`.

import { FrameError } from './frame.ts';
import type { FrameParser } from './frame.ts';
import { asBuffer, checkedLimit, HeldBytes } from './held-bytes.ts';

/** What is known of a line besides its bytes. */
export interface NdjsonFacts {
  readonly kind: 'ndjson_line';
  /** The body ended without a line end behind it: allowed, but the line may have been cut. */
  readonly isPartial: boolean;
}

const LF = 0x0a;
const CR = 0x0d;

const whole: NdjsonFacts = Object.freeze({ kind: 'ndjson_line', isPartial: false });
const partial: NdjsonFacts = Object.freeze({ kind: 'ndjson_line', isPartial: true });

/**
 * Cuts a body at LF; one CR before it belongs to the line end.
 *
 * @param maxBytes longest line, without its line end
 */
export class NdjsonParser implements FrameParser {
  readonly kind = 'ndjson_line';
  readonly #maxBytes: number;
  readonly #held: HeldBytes;
  #sequence: number;
  #isDone: boolean;

  constructor(maxBytes: number) {
    this.#maxBytes = checkedLimit(maxBytes);
    this.#held = new HeldBytes();
    this.#sequence = 1;
    this.#isDone = false;
  }

  /**
   * Emits the lines that these bytes complete, as views that are valid during the call.
   * @throws {FrameError} `frame_too_large`. The lines before were emitted; all that follows is ignored.
   */
  push(chunk: Uint8Array, emit: (payload: Uint8Array, facts: NdjsonFacts) => void): void {
    if (this.#isDone) return;
    const bytes = asBuffer(chunk);
    let at = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, at)) {
      this.#emitLine(bytes, at, end, emit);
      at = end + 1;
    }
    if (at < bytes.length) this.#hold(bytes, at);
  }

  /** Emits what stands behind the last line end. */
  end(emit: (payload: Uint8Array, facts: NdjsonFacts) => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const last = this.#held.fromEnd(0) === CR ? 1 : 0;
    const line = this.#held.take();
    this.#deliver(line, 0, line.length - last, emit, partial);
  }

  #emitLine(bytes: Buffer, start: number, end: number, emit: LineEmit): void {
    if (this.#held.length === 0) {
      const last = end > start && bytes[end - 1] === CR ? 1 : 0;
      this.#deliver(bytes, start, end - last, emit, whole);
      return;
    }
    const last = (end > start ? bytes[end - 1] : this.#held.fromEnd(0)) === CR ? 1 : 0;
    const length = this.#held.length + end - start - last;
    if (length > this.#maxBytes) throw this.#tooLarge();
    this.#held.append(bytes, start, end);
    this.#deliver(this.#held.take(), 0, length, emit, whole);
  }

  #deliver(bytes: Buffer, start: number, end: number, emit: LineEmit, facts: NdjsonFacts): void {
    if (end - start > this.#maxBytes) throw this.#tooLarge();
    if (end === start) return;
    this.#sequence++;
    emit(bytes.subarray(start, end), facts);
  }

  // One byte more than allowed may be the CR of the line end.
  #hold(bytes: Buffer, start: number): void {
    const excess = this.#held.length + bytes.length - start - this.#maxBytes;
    if (excess > 1 || (excess === 1 && bytes[bytes.length - 1] !== CR)) throw this.#tooLarge();
    this.#held.append(bytes, start, bytes.length);
  }

  #tooLarge(): FrameError {
    this.#isDone = true;
    this.#held.clear();
    const message = `a line is longer than the limit of ${this.#maxBytes} bytes`;
    return new FrameError('frame_too_large', message, { sequence: this.#sequence });
  }
}

type LineEmit = (payload: Uint8Array, facts: NdjsonFacts) => void;
