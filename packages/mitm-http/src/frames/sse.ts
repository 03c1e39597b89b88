// Server-sent events, read as WHATWG HTML §9.2.6 says, but for what the body's end cuts off: an event source drops it, an
// observer is shown it. Each event comes out with its blank line, even when a lone CR is that line.

import { FrameError } from './frame.ts';
import type { FrameParser } from './frame.ts';
import { asBuffer, checkedLimit, HeldBytes } from './held-bytes.ts';

/** What is known of an event besides its data. */
export interface SseFacts {
  readonly kind: 'sse_data';
  /** The type; `undefined` stands for the default, `message`. */
  readonly event: string | undefined;
  /** The id that this event itself gives; an empty one resets the last event id. */
  readonly id: string | undefined;
  /** The id that stands after this event, its own or that of an earlier one. Empty until one is given. */
  readonly lastEventId: string;
  /** The reconnection time given with this event, or by itself before it. */
  readonly retryMs: number | undefined;
  /** From 1: the data is that many lines, joined by LF. */
  readonly dataLineCount: number;
  /** The body ended before the blank line: the event, and its last line, may have been cut. */
  readonly isPartial: boolean;
}

type SseEmit = (payload: Uint8Array, facts: SseFacts) => void;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const byteOrderMark: Buffer = Buffer.from([0xef, 0xbb, 0xbf]);
/** The longest name that means something is `event` or `retry`. */
const MAX_NAME_BYTES = 5;

/**
 * Emits the data of each event: the bytes as sent (UTF-8 is not repaired), lines joined by LF. Events without a data line
 * are not dispatched, as the standard has it.
 *
 * @param maxBytes most bytes in the lines of one event, line ends and comments not counted
 */
export class SseParser implements FrameParser {
  readonly kind = 'sse_data';
  readonly #maxBytes: number;
  /** The beginning of a line whose end has not come. */
  readonly #line: HeldBytes;
  /** The data of the event, but for `#dataView`. */
  readonly #data: HeldBytes;
  /** The only data line so far, while it lies in the chunk that is being read: most events need no copy. */
  #dataView: Buffer | undefined;
  #dataLineCount: number;
  /** Bytes in the finished lines of the event. */
  #eventBytes: number;
  #event: string | undefined;
  #id: string | undefined;
  #lastEventId: string;
  #retryMs: number | undefined;
  #markLength: number;
  #isComment: boolean;
  #isAfterReturn: boolean;
  #sequence: number;
  #isDone: boolean;

  constructor(maxBytes: number) {
    this.#maxBytes = checkedLimit(maxBytes);
    this.#line = new HeldBytes();
    this.#data = new HeldBytes();
    this.#dataView = undefined;
    this.#dataLineCount = 0;
    this.#eventBytes = 0;
    this.#event = undefined;
    this.#id = undefined;
    this.#lastEventId = '';
    this.#retryMs = undefined;
    this.#markLength = 0;
    this.#isComment = false;
    this.#isAfterReturn = false;
    this.#sequence = 1;
    this.#isDone = false;
  }

  /**
   * Emits the events that these bytes complete; the data is a view that is valid during the call.
   * @throws {FrameError} `frame_too_large`. The events before were emitted; all that follows is ignored.
   */
  push(chunk: Uint8Array, emit: SseEmit): void {
    if (this.#isDone) return;
    const bytes = asBuffer(chunk);
    let at = this.#markLength < byteOrderMark.length ? this.#skipMark(bytes) : 0;
    // Each search goes on from where the last one of its kind stopped, so that the chunk is searched once for either.
    let lineFeed = bytes.indexOf(LF, at);
    let carriageReturn = bytes.indexOf(CR, at);
    while (at < bytes.length) {
      if (this.#isAfterReturn) {
        this.#isAfterReturn = false;
        if (bytes[at] === LF) at++;
      }
      if (lineFeed >= 0 && lineFeed < at) lineFeed = bytes.indexOf(LF, at);
      if (carriageReturn >= 0 && carriageReturn < at) carriageReturn = bytes.indexOf(CR, at);
      const isReturn = carriageReturn >= 0 && (lineFeed < 0 || carriageReturn < lineFeed);
      const end = isReturn ? carriageReturn : lineFeed;
      if (end < 0) break;
      this.#endLine(bytes, at, end, emit);
      this.#isAfterReturn = isReturn;
      at = end + 1;
    }
    if (at < bytes.length) this.#holdLine(bytes, at);
    this.#keepData();
  }

  /** Emits the event that the end of the body cut off, if it has a data line. */
  end(emit: SseEmit): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#line.length > 0) {
      const line = this.#line.take();
      this.#takeField(line, 0, line.length, false);
    }
    this.#dispatch(emit, true);
  }

  /** Returns where the text begins. What only began like a mark is text. */
  #skipMark(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#markLength < byteOrderMark.length) {
      if (bytes[at] !== byteOrderMark[this.#markLength]) {
        this.#line.append(byteOrderMark, 0, this.#markLength);
        this.#markLength = byteOrderMark.length;
        return at;
      }
      this.#markLength++;
      at++;
    }
    return at;
  }

  #endLine(bytes: Buffer, start: number, end: number, emit: SseEmit): void {
    const heldBytes = this.#line.length;
    if (this.#isComment) this.#isComment = false;
    else if (heldBytes === 0) {
      if (start === end) this.#dispatch(emit, false);
      else if (bytes[start] !== COLON) {
        this.#count(end - start);
        this.#takeField(bytes, start, end, true);
      }
    } else {
      this.#count(heldBytes + end - start);
      this.#line.append(bytes, start, end);
      this.#takeField(this.#line.take(), 0, heldBytes + end - start, false);
    }
  }

  #holdLine(bytes: Buffer, start: number): void {
    if (this.#line.length === 0 && bytes[start] === COLON) this.#isComment = true;
    if (this.#isComment) return;
    const length = this.#line.length + bytes.length - start;
    if (this.#eventBytes + length > this.#maxBytes) throw this.#tooLarge();
    this.#line.append(bytes, start, bytes.length);
  }

  #count(lineBytes: number): void {
    this.#eventBytes += lineBytes;
    if (this.#eventBytes > this.#maxBytes) throw this.#tooLarge();
  }

  /** `isStable`: the line lies in the chunk and stays there until `push` returns. */
  #takeField(bytes: Buffer, start: number, end: number, isStable: boolean): void {
    const nameEnd = findNameEnd(bytes, start, end);
    if (nameEnd < 0) return;
    let valueStart = Math.min(nameEnd + 1, end);
    if (valueStart < end && bytes[valueStart] === SPACE) valueStart++;
    if (isData(bytes, start, nameEnd)) {
      this.#takeData(bytes, valueStart, end, isStable);
      return;
    }
    const name = bytes.toString('latin1', start, nameEnd);
    if (name === 'event') this.#event = bytes.toString('utf8', valueStart, end);
    else if (name === 'id') this.#takeId(bytes, valueStart, end);
    else if (name === 'retry') this.#retryMs = decimal(bytes, valueStart, end) ?? this.#retryMs;
  }

  #takeData(bytes: Buffer, start: number, end: number, isStable: boolean): void {
    if (this.#dataLineCount++ === 0 && isStable) {
      this.#dataView = bytes.subarray(start, end);
      return;
    }
    this.#keepData();
    if (this.#dataLineCount > 1) this.#data.appendByte(LF);
    this.#data.append(bytes, start, end);
  }

  #takeId(bytes: Buffer, start: number, end: number): void {
    if (bytes.subarray(start, end).includes(0)) return;
    this.#lastEventId = bytes.toString('utf8', start, end);
    this.#id = this.#lastEventId;
  }

  #keepData(): void {
    if (this.#dataView === undefined) return;
    this.#data.append(this.#dataView, 0, this.#dataView.length);
    this.#dataView = undefined;
  }

  #dispatch(emit: SseEmit, isPartial: boolean): void {
    const dataLineCount = this.#dataLineCount;
    const event = this.#event === '' ? undefined : this.#event;
    const id = this.#id;
    this.#dataLineCount = 0;
    this.#eventBytes = 0;
    this.#event = undefined;
    this.#id = undefined;
    if (dataLineCount === 0) return;
    const payload = this.#dataView ?? this.#data.take();
    const retryMs = this.#retryMs;
    this.#dataView = undefined;
    this.#retryMs = undefined;
    this.#sequence++;
    emit(payload, {
      kind: 'sse_data',
      event,
      id,
      lastEventId: this.#lastEventId,
      retryMs,
      dataLineCount,
      isPartial,
    });
  }

  #tooLarge(): FrameError {
    this.#isDone = true;
    this.#line.clear();
    this.#data.clear();
    this.#dataView = undefined;
    const message = `an event is longer than the limit of ${this.#maxBytes} bytes`;
    return new FrameError('frame_too_large', message, { sequence: this.#sequence });
  }
}

/** Where the name of a field ends; -1 when it is longer than any that means something. */
function findNameEnd(bytes: Buffer, start: number, end: number): number {
  const last = Math.min(end, start + MAX_NAME_BYTES + 1);
  for (let at = start; at < last; at++) if (bytes[at] === COLON) return at;
  return end - start <= MAX_NAME_BYTES ? end : -1;
}

function isData(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start === 4 &&
    bytes[start] === 0x64 &&
    bytes[start + 1] === 0x61 &&
    bytes[start + 2] === 0x74 &&
    bytes[start + 3] === 0x61
  );
}

/** The value of a text that is all ASCII digits; above 2^53 - 1 it is no time. */
function decimal(bytes: Buffer, start: number, end: number): number | undefined {
  if (start === end) return undefined;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return Number.isSafeInteger(value) ? value : undefined;
}
