// JSON values in a row: the elements of a top-level array as they come, values that follow one another, or a JSON text
// sequence. A scanner of quotes and brackets finds where a value ends; whether it is valid JSON within is not asked.

import { FrameError } from './frame.ts';
import type { FrameErrorCode, FrameParser } from './frame.ts';
import { asBuffer, checkedLimit, HeldBytes } from './held-bytes.ts';

/**
 * How values stand in the body. `array`: in top-level arrays, whose elements are the frames, or one after another, with
 * whitespace where they need it. `sequence`: each behind a record separator (RFC 7464), arrays whole.
 */
export const jsonForms = ['array', 'sequence'] as const;
/** See {@link jsonForms}. */
export type JsonForm = (typeof jsonForms)[number];

/** What is known of a value besides its bytes. */
export interface JsonValueFacts {
  readonly kind: 'json_value';
  /** The value was cut: by the end of the body, or in a sequence by the next record separator. */
  readonly isPartial: boolean;
}

type ValueEmit = (payload: Uint8Array, facts: JsonValueFacts) => void;

/** Where the scanner is: before a value, inside one, or behind an element. */
const states = ['top', 'arrayStart', 'element', 'separator', 'nested', 'string', 'scalar'] as const;
type State = (typeof states)[number];

const QUOTE = 0x22;
const COMMA = 0x2c;
const ARRAY_START = 0x5b;
const ARRAY_END = 0x5d;
const BACKSLASH = 0x5c;
const RECORD_SEPARATOR = 0x1e;
const byteOrderMark: readonly number[] = [0xef, 0xbb, 0xbf];

const byteClass = { other: 0, space: 1, quote: 2, open: 3, close: 4, scalar: 5, record: 6 } as const;
const classOf: Uint8Array = new Uint8Array(256);
for (const byte of Buffer.from('+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ')) {
  classOf[byte] = byteClass.scalar;
}
for (const byte of Buffer.from(' \t\r\n')) classOf[byte] = byteClass.space;
for (const byte of Buffer.from('{[')) classOf[byte] = byteClass.open;
for (const byte of Buffer.from('}]')) classOf[byte] = byteClass.close;
classOf[QUOTE] = byteClass.quote;
classOf[RECORD_SEPARATOR] = byteClass.record;

const whole: JsonValueFacts = Object.freeze({ kind: 'json_value', isPartial: false });
const partial: JsonValueFacts = Object.freeze({ kind: 'json_value', isPartial: true });

/**
 * Emits each value without the whitespace around it.
 *
 * @param maxBytes longest value
 * @param form `array` unless given
 */
export class JsonValueParser implements FrameParser {
  readonly kind = 'json_value';
  readonly #maxBytes: number;
  readonly #isSequence: boolean;
  readonly #held: HeldBytes;
  #state: State;
  /** Brackets open in the value. */
  #depth: number;
  #isInArray: boolean;
  /** In a string: an odd number of backslashes stands before what comes next. */
  #isEscaped: boolean;
  #markLength: number;
  #sequence: number;
  #isDone: boolean;
  /** Where the value begins in the chunk that is being read: 0 when it began before. */
  #start: number;
  /** In a sequence: the next record separator of the chunk that is being read, its length when there is none. */
  #nextRecord: number;

  constructor(maxBytes: number, form: JsonForm = 'array') {
    this.#maxBytes = checkedLimit(maxBytes);
    this.#isSequence = form === 'sequence';
    this.#held = new HeldBytes();
    this.#state = 'top';
    this.#depth = 0;
    this.#isInArray = false;
    this.#isEscaped = false;
    this.#markLength = 0;
    this.#sequence = 1;
    this.#isDone = false;
    this.#start = 0;
    this.#nextRecord = 0;
  }

  /**
   * Emits the values that these bytes complete, as views that are valid during the call.
   * @throws {FrameError} `invalid_frame` for what can't begin or part values, `frame_too_large`. The values before were
   * emitted; all that follows is ignored.
   */
  push(chunk: Uint8Array, emit: ValueEmit): void {
    if (this.#isDone) return;
    const bytes = asBuffer(chunk);
    this.#start = 0;
    this.#nextRecord = -1;
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'nested') at = this.#scanNested(bytes, at, emit);
      else if (this.#state === 'string') at = this.#scanString(bytes, at, emit);
      else if (this.#state === 'scalar') at = this.#scanScalar(bytes, at, emit);
      else at = this.#scanBetween(bytes, at);
    }
    if (this.#isInValue) this.#hold(bytes);
  }

  /**
   * Emits a value that the end of the body cut off, or a number or word that it ends.
   * @throws {FrameError} `truncated_frame` when an array is not closed and no cut element shows it.
   */
  end(emit: ValueEmit): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#isInValue) {
      const isWhole = this.#state === 'scalar' && !this.#isInArray && !this.#isSequence;
      emit(this.#held.take(), isWhole ? whole : partial);
    } else if (this.#state !== 'top') {
      throw this.#fail('truncated_frame', 'the body ended inside an array');
    }
  }

  get #isInValue(): boolean {
    return this.#state === 'nested' || this.#state === 'string' || this.#state === 'scalar';
  }

  #scanBetween(bytes: Buffer, start: number): number {
    let at = start;
    while (at < bytes.length) {
      const byte = bytes[at] ?? 0;
      const kind = classOf[byte];
      if (this.#markLength < byteOrderMark.length) {
        if (this.#isMark(byte)) {
          at++;
          continue;
        }
      }
      if (kind === byteClass.space || (kind === byteClass.record && this.#isSequence)) at++;
      else if (this.#takeSeparator(byte)) at++;
      else {
        this.#begin(byte, at);
        return at + 1;
      }
    }
    return at;
  }

  /** A byte order mark at the start is passed over (RFC 8259 §8.1), a piece of one is not. */
  #isMark(byte: number): boolean {
    const isNext = byte === byteOrderMark[this.#markLength];
    if (!isNext && this.#markLength > 0) throw this.#invalid(byte);
    this.#markLength = isNext ? this.#markLength + 1 : byteOrderMark.length;
    return isNext;
  }

  /** Whether this byte opens, parts or closes the array whose elements are frames. */
  #takeSeparator(byte: number): boolean {
    const state = this.#state;
    if (byte === ARRAY_START && state === 'top' && !this.#isSequence) {
      this.#isInArray = true;
      this.#state = 'arrayStart';
    } else if (byte === ARRAY_END && (state === 'arrayStart' || state === 'separator')) {
      this.#isInArray = false;
      this.#state = 'top';
    } else if (state === 'separator') {
      if (byte !== COMMA) throw this.#invalid(byte);
      this.#state = 'element';
    } else return false;
    return true;
  }

  #begin(byte: number, at: number): void {
    const kind = classOf[byte];
    this.#start = at;
    this.#depth = 0;
    if (kind === byteClass.quote) this.#openString();
    else if (kind === byteClass.scalar) this.#state = 'scalar';
    else if (kind === byteClass.open) {
      this.#depth = 1;
      this.#state = 'nested';
    } else throw this.#invalid(byte);
  }

  #openString(): void {
    this.#state = 'string';
    this.#isEscaped = false;
  }

  #scanNested(bytes: Buffer, start: number, emit: ValueEmit): number {
    for (let at = start; at < bytes.length; at++) {
      const kind = classOf[bytes[at] ?? 0] ?? 0;
      if (kind === byteClass.open) this.#depth++;
      else if (kind === byteClass.close) {
        if (--this.#depth === 0) return this.#finish(bytes, at + 1, emit, whole);
      } else if (kind === byteClass.quote) {
        this.#openString();
        return at + 1;
      } else if (kind === byteClass.record && this.#isSequence) {
        return this.#finish(bytes, at, emit, partial);
      }
    }
    return bytes.length;
  }

  #scanString(bytes: Buffer, start: number, emit: ValueEmit): number {
    const record = this.#isSequence ? this.#findRecord(bytes, start) : bytes.length;
    let at = start;
    while (at < bytes.length) {
      const quote = bytes.indexOf(QUOTE, at);
      const end = quote < 0 ? bytes.length : quote;
      if (record < end) return this.#finish(bytes, record, emit, partial);
      this.#isEscaped = this.#isEscapedAt(bytes, at, end);
      if (quote < 0) return end;
      at = end + 1;
      if (!this.#isEscaped) {
        if (this.#depth === 0) return this.#finish(bytes, at, emit, whole);
        this.#state = 'nested';
        return at;
      }
      this.#isEscaped = false;
    }
    return at;
  }

  /** Whether the byte at `end` is escaped, by the backslashes right before it and what was said of `start`. */
  #isEscapedAt(bytes: Buffer, start: number, end: number): boolean {
    let first = end;
    while (first > start && bytes[first - 1] === BACKSLASH) first--;
    const isOdd = (end - first) % 2 === 1;
    return first === start ? isOdd !== this.#isEscaped : isOdd;
  }

  /** Each chunk is searched once for record separators, however many strings it has. */
  #findRecord(bytes: Buffer, at: number): number {
    if (this.#nextRecord < at) {
      const found = bytes.indexOf(RECORD_SEPARATOR, at);
      this.#nextRecord = found < 0 ? bytes.length : found;
    }
    return this.#nextRecord;
  }

  #scanScalar(bytes: Buffer, start: number, emit: ValueEmit): number {
    let at = start;
    while (at < bytes.length && classOf[bytes[at] ?? 0] === byteClass.scalar) at++;
    if (at === bytes.length) return at;
    // In a sequence only whitespace says that a number has no further digits (RFC 7464 §2.4).
    const isCut = this.#isSequence && classOf[bytes[at] ?? 0] !== byteClass.space;
    return this.#finish(bytes, at, emit, isCut ? partial : whole);
  }

  #finish(bytes: Buffer, end: number, emit: ValueEmit, facts: JsonValueFacts): number {
    const start = this.#start;
    if (this.#held.length + end - start > this.#maxBytes) throw this.#tooLarge();
    this.#state = this.#isInArray ? 'separator' : 'top';
    this.#start = 0;
    this.#sequence++;
    if (this.#held.length === 0) emit(bytes.subarray(start, end), facts);
    else {
      this.#held.append(bytes, start, end);
      emit(this.#held.take(), facts);
    }
    return end;
  }

  #hold(bytes: Buffer): void {
    if (this.#held.length + bytes.length - this.#start > this.#maxBytes) throw this.#tooLarge();
    this.#held.append(bytes, this.#start, bytes.length);
  }

  #invalid(byte: number): FrameError {
    const hex = byte.toString(16).padStart(2, '0');
    return this.#fail('invalid_frame', `the byte 0x${hex} stands where a JSON value or its end should`);
  }

  #tooLarge(): FrameError {
    const message = `a JSON value is longer than the limit of ${this.#maxBytes} bytes`;
    return this.#fail('frame_too_large', message);
  }

  #fail(code: FrameErrorCode, message: string): FrameError {
    this.#isDone = true;
    this.#held.clear();
    return new FrameError(code, message, { sequence: this.#sequence });
  }
}
