// Where a body ends: no body, a length, chunks, or the end of the connection, as one machine over views of what was read.
// Payload is never copied; every split of the same bytes gives the same payload, trailers and end.

import { HttpError } from './errors.ts';
import { formatFieldLines, valueBytes } from './field-lines.ts';
import type { BodyFraming } from './framing.ts';
import type { HeaderList } from './header-map.ts';
import { TrailerReader } from './trailer-reader.ts';

/** Bounds on what is read besides payload, in bytes. */
export interface BodyLimits {
  /** Trailer section, 65536 unless given. */
  readonly maxTrailerBytes?: number;
  /** A chunk-size line with its extensions and line end, 8192 unless given. */
  readonly maxChunkLineBytes?: number;
  /** Takes fields out that may not stand in a trailer (RFC 9110 §6.5.1), instead of refusing the message. */
  readonly dropsForbiddenTrailers?: boolean;
}

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const maxSizeDigits = 16;

const state = {
  done: 0,
  failed: 1,
  length: 2,
  untilClose: 3,
  size: 4,
  spaceAfterSize: 5,
  extension: 6,
  sizeLineFeed: 7,
  data: 8,
  dataReturn: 9,
  dataLineFeed: 10,
  trailers: 11,
} as const;
type State = (typeof state)[keyof typeof state];

const firstState = {
  none: state.done,
  length: state.length,
  chunked: state.size,
  'until-close': state.untilClose,
} as const satisfies Record<BodyFraming['kind'], State>;

/** Follows one message body through the bytes of a connection. One per message; not reusable. */
export class BodyFramer {
  #bytes = 0;
  #trailers: HeaderList | undefined = undefined;
  #state: State;
  #remaining: number;
  #digitCount = 0;
  #lineBytes = 0;
  #trailerReader: TrailerReader | undefined = undefined;
  readonly #maxChunkLineBytes: number;
  readonly #maxTrailerBytes: number;
  readonly #dropsForbiddenTrailers: boolean;

  constructor(framing: BodyFraming, limits?: BodyLimits) {
    this.#remaining = framing.kind === 'length' ? framing.length : 0;
    this.#state = framing.kind === 'length' && framing.length === 0 ? state.done : firstState[framing.kind];
    this.#maxChunkLineBytes = limits?.maxChunkLineBytes ?? 8192;
    this.#maxTrailerBytes = limits?.maxTrailerBytes ?? 65_536;
    this.#dropsForbiddenTrailers = limits?.dropsForbiddenTrailers ?? false;
  }

  /** Payload seen so far, without chunk lines and trailers. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The trailer fields, once the body is complete and had some. */
  get trailers(): HeaderList | undefined {
    return this.#trailers;
  }

  /** Whether the body is complete; at once when there is none. */
  get isDone(): boolean {
    return this.#state === state.done;
  }

  /**
   * Takes `chunk` from `offset` on and hands each piece of payload to `onData` as a view that is valid as long as `chunk` is.
   * @returns the offset after the last byte that belongs to this message: what follows begins the next one.
   * @throws {HttpError} `invalid_chunk`, `chunk_line_too_large`, `trailers_too_large`, `forbidden_trailer` and what heads throw
   * for field lines. The machine is then at its end and throws for whatever else comes.
   */
  push(chunk: Buffer, offset: number, onData: (piece: Buffer) => void): number {
    let at = offset;
    while (at < chunk.length) {
      const now = this.#state;
      if (now === state.done) return at;
      if (now === state.length || now === state.data) at = this.#takeCounted(chunk, at, onData);
      else if (now === state.untilClose) at = this.#take(chunk, at, chunk.length, onData);
      else if (now === state.trailers) at = this.#takeTrailers(chunk, at);
      else this.#takeLineByte(chunk[at++] ?? 0);
    }
    return at;
  }

  /**
   * The connection has ended. That completes a body which lasts until then.
   * @throws {HttpError} `truncated_body` for every other body that is not complete.
   */
  end(): void {
    if (this.#state === state.untilClose) this.#state = state.done;
    if (this.#state === state.done) return;
    this.#state = state.failed;
    throw new HttpError(
      'truncated_body',
      `the connection ended inside a body, after ${this.#bytes} bytes of it`,
    );
  }

  #takeCounted(chunk: Buffer, at: number, onData: (piece: Buffer) => void): number {
    const end = Math.min(chunk.length, at + this.#remaining);
    this.#remaining -= end - at;
    if (this.#remaining === 0) this.#state = this.#state === state.data ? state.dataReturn : state.done;
    return this.#take(chunk, at, end, onData);
  }

  #take(chunk: Buffer, start: number, end: number, onData: (piece: Buffer) => void): number {
    this.#bytes += end - start;
    onData(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
    return end;
  }

  #takeTrailers(chunk: Buffer, at: number): number {
    const reader = (this.#trailerReader ??= new TrailerReader(
      this.#maxTrailerBytes,
      this.#dropsForbiddenTrailers,
    ));
    try {
      const end = reader.push(chunk, at);
      if (reader.isDone) {
        this.#trailers = reader.fields;
        this.#state = state.done;
      }
      return end;
    } catch (error) {
      this.#state = state.failed;
      throw error;
    }
  }

  // chunk-size [BWS ";" extensions] CRLF, and the CRLF after the data (RFC 9112 §7.1).
  #takeLineByte(byte: number): void {
    const now = this.#state;
    if (now === state.size || now === state.spaceAfterSize || now === state.extension) {
      this.#takeSizeLineByte(byte);
    } else if (now === state.sizeLineFeed) {
      if (byte !== LF) throw this.#invalid('a chunk-size line has a CR without LF');
      this.#state = this.#remaining === 0 ? state.trailers : state.data;
    } else if (now === state.dataReturn) {
      if (byte !== CR) throw this.#invalid('chunk data does not end where its size says');
      this.#state = state.dataLineFeed;
    } else if (now === state.dataLineFeed) {
      if (byte !== LF) throw this.#invalid('chunk data does not end in CR LF');
      this.#digitCount = 0;
      this.#lineBytes = 0;
      this.#state = state.size;
    } else throw this.#invalid('the body is faulty: nothing of it can be read any more');
  }

  #takeSizeLineByte(byte: number): void {
    if (++this.#lineBytes >= this.#maxChunkLineBytes) {
      const message = `a chunk-size line is longer than ${this.#maxChunkLineBytes} bytes`;
      this.#state = state.failed;
      throw new HttpError('chunk_line_too_large', message);
    }
    if (this.#state === state.extension) {
      if (byte === CR) this.#state = state.sizeLineFeed;
      else if (valueBytes[byte] !== 1) throw this.#invalid('a chunk extension has a control byte');
      return;
    }
    const digit = this.#state === state.size ? hexDigit(byte) : -1;
    if (digit >= 0) this.#takeDigit(digit);
    else if (this.#digitCount === 0) throw this.#invalid('a chunk size is not hexadecimal');
    else if (byte === SEMICOLON) this.#state = state.extension;
    else if (byte === 0x20 || byte === 0x09) this.#state = state.spaceAfterSize;
    else if (byte === CR && this.#state === state.size) this.#state = state.sizeLineFeed;
    else throw this.#invalid('a chunk size is followed by neither ";" nor CR LF');
  }

  #takeDigit(digit: number): void {
    this.#remaining = this.#remaining * 16 + digit;
    if (++this.#digitCount > maxSizeDigits || this.#remaining > Number.MAX_SAFE_INTEGER) {
      throw this.#invalid('a chunk size is above 2^53 - 1');
    }
  }

  #invalid(message: string): HttpError {
    this.#state = state.failed;
    return new HttpError('invalid_chunk', message);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The line before a chunk of `size` bytes; after the bytes comes CRLF. A size of 0 would end the body: see {@link encodeLastChunk}. */
export function encodeChunkHead(size: number): string {
  if (!Number.isSafeInteger(size) || size < 1)
    throw new RangeError(`a chunk has at least 1 byte, not ${size}`);
  return `${size.toString(16)}\r\n`;
}

/** The end of a chunked body. @throws {HttpError} for trailers that would not read back as the same fields. */
export function encodeLastChunk(trailers?: HeaderList): string {
  return trailers === undefined ? '0\r\n\r\n' : `0\r\n${formatFieldLines(trailers)}\r\n`;
}
