// AWS event-stream messages (application/vnd.amazon.eventstream): prelude (total length, header length, its CRC-32),
// headers, payload, CRC-32 of all before. Nothing is emitted whose checksums are wrong, and no length is believed before its own.

import { crc32 } from 'node:zlib';

import { decodeEventStreamHeaders } from './event-stream-headers.ts';
import type { EventStreamHeader } from './event-stream-headers.ts';
import { FrameError } from './frame.ts';
import type { FrameErrorCode, FrameErrorFacts, FrameParser } from './frame.ts';
import { asBuffer, checkedLimit, HeldBytes } from './held-bytes.ts';

/** What is known of a message besides its payload. `:message-type`, `:event-type` and `:exception-type` are headers. */
export interface EventStreamFacts {
  readonly kind: 'event_stream_message';
  readonly headers: readonly EventStreamHeader[];
}

type MessageEmit = (payload: Uint8Array, facts: EventStreamFacts) => void;

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const OVERHEAD_BYTES = PRELUDE_BYTES + CHECKSUM_BYTES;
/** What the format allows; a header of three bytes costs far more than that when it is decoded. */
const MAX_HEADER_BYTES = 131_072;

/**
 * Emits the payload of each message.
 *
 * @param maxBytes longest message, with prelude, headers and checksums
 */
export class EventStreamParser implements FrameParser {
  readonly kind = 'event_stream_message';
  readonly #maxBytes: number;
  readonly #held: HeldBytes;
  /** Length of the message that is being gathered; 0 while its prelude is not complete. */
  #totalBytes: number;
  #sequence: number;
  #isDone: boolean;

  constructor(maxBytes: number) {
    this.#maxBytes = checkedLimit(maxBytes);
    this.#held = new HeldBytes();
    this.#totalBytes = 0;
    this.#sequence = 1;
    this.#isDone = false;
  }

  /**
   * Emits the messages that these bytes complete; the payload is a view that is valid during the call.
   * @throws {FrameError} `checksum_mismatch`, `invalid_frame`, `frame_too_large`. The messages before were emitted; all that
   * follows is ignored, since after a wrong length nothing says where a message begins.
   */
  push(chunk: Uint8Array, emit: MessageEmit): void {
    if (this.#isDone) return;
    const bytes = asBuffer(chunk);
    let at = 0;
    while (at < bytes.length) {
      const isHeld = this.#held.length > 0;
      if (!isHeld && this.#totalBytes === 0 && bytes.length - at >= PRELUDE_BYTES) {
        this.#takePrelude(bytes.subarray(at, at + PRELUDE_BYTES));
      }
      const wanted = this.#totalBytes === 0 ? PRELUDE_BYTES : this.#totalBytes;
      const end = at + wanted - this.#held.length;
      if (!isHeld && end <= bytes.length) this.#takeMessage(bytes.subarray(at, end), emit);
      else this.#hold(bytes, at, Math.min(end, bytes.length), emit);
      at = end;
    }
  }

  /**
   * The body is complete. Half a message is not shown, since it has no checksum to believe.
   * @throws {FrameError} `truncated_frame` when the body ends inside a message.
   */
  end(_emit: MessageEmit): void {
    if (this.#isDone) return;
    const { length } = this.#held;
    const declaredBytes = this.#totalBytes;
    if (declaredBytes > 0) {
      const missingBytes = declaredBytes - length;
      const message = `the body ends ${missingBytes} bytes before the end of a message of ${declaredBytes}`;
      throw this.#fail('truncated_frame', message, { declaredBytes, missingBytes });
    }
    if (length > 0) {
      const message = `the body ends after ${length} of the ${PRELUDE_BYTES} bytes before a message`;
      throw this.#fail('truncated_frame', message, { prefixBytes: length });
    }
    this.#isDone = true;
  }

  #hold(bytes: Buffer, start: number, end: number, emit: MessageEmit): void {
    this.#held.append(bytes, start, end);
    if (this.#totalBytes === 0) {
      if (this.#held.length === PRELUDE_BYTES) this.#takePrelude(this.#held.view());
    } else if (this.#held.length === this.#totalBytes) this.#takeMessage(this.#held.take(), emit);
  }

  #takePrelude(prelude: Buffer): void {
    if (prelude.readUInt32BE(8) !== crc32(prelude.subarray(0, 8))) {
      throw this.#fail('checksum_mismatch', 'the CRC-32 of a message prelude is wrong');
    }
    const totalBytes = prelude.readUInt32BE(0);
    const headerBytes = prelude.readUInt32BE(4);
    if (totalBytes < OVERHEAD_BYTES + headerBytes) {
      const message = `a message of ${totalBytes} bytes can't have ${headerBytes} bytes of headers`;
      throw this.#fail('invalid_frame', message);
    }
    if (totalBytes > this.#maxBytes) {
      const message = `a message of ${totalBytes} bytes is longer than the limit of ${this.#maxBytes}`;
      throw this.#fail('frame_too_large', message, { declaredBytes: totalBytes });
    }
    if (headerBytes > MAX_HEADER_BYTES) {
      const message = `headers of ${headerBytes} bytes are longer than the limit of ${MAX_HEADER_BYTES}`;
      throw this.#fail('frame_too_large', message, { declaredBytes: totalBytes });
    }
    this.#totalBytes = totalBytes;
  }

  #takeMessage(message: Buffer, emit: MessageEmit): void {
    const checked = message.length - CHECKSUM_BYTES;
    this.#totalBytes = 0;
    if (message.readUInt32BE(checked) !== crc32(message.subarray(0, checked))) {
      throw this.#fail('checksum_mismatch', 'the CRC-32 of a message is wrong');
    }
    const headerEnd = PRELUDE_BYTES + message.readUInt32BE(4);
    const headers = decodeEventStreamHeaders(message.subarray(PRELUDE_BYTES, headerEnd));
    if (typeof headers === 'string') throw this.#fail('invalid_frame', headers);
    this.#sequence++;
    emit(message.subarray(headerEnd, checked), { kind: 'event_stream_message', headers });
  }

  #fail(code: FrameErrorCode, message: string, facts?: Omit<FrameErrorFacts, 'sequence'>): FrameError {
    this.#isDone = true;
    this.#held.clear();
    return new FrameError(code, message, { sequence: this.#sequence, ...facts });
  }
}
