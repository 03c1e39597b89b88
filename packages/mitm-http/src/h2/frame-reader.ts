// Bytes of a connection cut into frames, whatever the chunks. Payload of DATA goes through as views while it comes; every
// other frame is handed over whole, and only one that a chunk cuts in two is copied.

import type { FloodReason } from './error-codes.ts';
import { h2Code } from './error-codes.ts';
import {
  clientPreface,
  frameFault,
  frameFlag,
  frameHeadBytes,
  frameType,
  readInt31,
  readUint32,
} from './frames.ts';
import { HeaderBlockParts } from './header-block.ts';

/** Who handles the frames. All buffers are valid during the call only. */
export interface FrameSink {
  /** Nothing more is read once this is set, as it must be after {@link fault} and {@link flood}. */
  readonly isOver: boolean;
  /**
   * The head of a DATA frame, before any of its payload.
   * @param frameBytes the payload with its padding: what counts for flow control.
   * @param dataBytes the payload without it.
   */
  dataHead(streamId: number, isEnded: boolean, frameBytes: number, dataBytes: number): void;
  /** A piece of the payload of the DATA frame that was announced last; never empty. */
  dataPiece(chunk: Buffer, start: number, end: number, isLast: boolean): void;
  /** A whole header block; `dependsOn` is the stream of a PRIORITY flag, or -1. */
  headerBlock(
    streamId: number,
    isEnded: boolean,
    dependsOn: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void;
  /** Any other frame, its payload from `start` to `end`. */
  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void;
  /** The connection broke a rule of framing. */
  fault(code: number, message: string): void;
  /** The connection keeps us busy. */
  flood(reason: FloodReason): void;
}

/** Bounds for header blocks that come in pieces. */
export interface FrameReaderLimits {
  readonly maxContinuationFrames: number;
  readonly maxHeaderBlockBytes: number;
}

const nothing = Buffer.alloc(0);
const mostKeptBytes = 1024;

/** Reads one direction of a connection. */
export class FrameReader {
  #prefaceLeft: number;
  #isFirstFrame = true;
  #dataLeft = 0;
  #paddingLeft = 0;
  #tail: Buffer = nothing;
  #tailLength = 0;
  readonly #block = new HeaderBlockParts();
  readonly #sink: FrameSink;
  readonly #limits: FrameReaderLimits;

  /** @param expectsPreface whether the peer is a client. */
  constructor(expectsPreface: boolean, limits: FrameReaderLimits, sink: FrameSink) {
    this.#prefaceLeft = expectsPreface ? clientPreface.length : 0;
    this.#limits = limits;
    this.#sink = sink;
  }

  /** Takes the next bytes of the connection. */
  push(chunk: Buffer): void {
    let at = this.#prefaceLeft > 0 ? this.#takePreface(chunk) : 0;
    while (at < chunk.length && !this.#sink.isOver) {
      if (this.#dataLeft > 0) at = this.#takeData(chunk, at);
      else if (this.#paddingLeft > 0) at = this.#skipPadding(chunk, at);
      else if (this.#tailLength > 0) at = this.#completeTail(chunk, at);
      else at = this.#takeFrame(chunk, at);
    }
  }

  #takePreface(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#prefaceLeft > 0) {
      const expected = clientPreface.charCodeAt(clientPreface.length - this.#prefaceLeft);
      if (chunk[at] !== expected) {
        this.#fault(h2Code.protocolError, 'the connection does not begin with the preface of HTTP/2');
        return chunk.length;
      }
      at++;
      this.#prefaceLeft--;
    }
    return at;
  }

  #takeData(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#dataLeft);
    this.#dataLeft -= end - at;
    this.#sink.dataPiece(chunk, at, end, this.#dataLeft === 0);
    return end;
  }

  #skipPadding(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#paddingLeft);
    this.#paddingLeft -= end - at;
    return end;
  }

  // A frame that begins in this chunk. What the chunk does not hold whole is kept.
  #takeFrame(chunk: Buffer, at: number): number {
    const needed = this.#neededBytes(chunk, at, chunk.length - at);
    if (this.#sink.isOver) return chunk.length;
    if (needed > chunk.length - at) {
      this.#keep(chunk, at, chunk.length, needed);
      return chunk.length;
    }
    this.#dispatch(chunk, at, at + needed);
    return at + needed;
  }

  // A frame that began in an earlier chunk: takes only what completes the part that is needed next.
  #completeTail(chunk: Buffer, start: number): number {
    let at = start;
    for (;;) {
      const needed = this.#neededBytes(this.#tail, 0, this.#tailLength);
      if (this.#sink.isOver) return chunk.length;
      if (needed <= this.#tailLength) {
        const tail = this.#tail;
        const end = this.#tailLength;
        this.#tailLength = 0;
        this.#dispatch(tail, 0, end);
        if (this.#tail.length > mostKeptBytes) this.#tail = nothing;
        return at;
      }
      if (at === chunk.length) return at;
      const end = Math.min(chunk.length, at + needed - this.#tailLength);
      this.#keep(chunk, at, end, needed);
      at = end;
    }
  }

  #keep(chunk: Buffer, start: number, end: number, needed: number): void {
    const length = this.#tailLength + end - start;
    if (length > this.#tail.length) {
      const capacity = Math.max(length, Math.min(needed, 2 * this.#tail.length), 64);
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#tail.copy(grown, 0, 0, this.#tailLength);
      this.#tail = grown;
    }
    chunk.copy(this.#tail, this.#tailLength, start, end);
    this.#tailLength = length;
  }

  // How many bytes must be there before anything can be done with the frame at `at`: its head, for DATA with padding one
  // more, else all of it. A head that breaks a rule stops everything at once.
  #neededBytes(bytes: Buffer, at: number, available: number): number {
    if (available < frameHeadBytes) return frameHeadBytes;
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId = readInt31(bytes, at + 5);
    if (this.#isFirstFrame && (type !== frameType.settings || (flags & frameFlag.ack) !== 0)) {
      this.#fault(h2Code.protocolError, `the first frame must be SETTINGS, not one of type ${type}`);
      return 0;
    }
    const fault = frameFault(type, flags, length, streamId);
    if (fault !== undefined) {
      this.#fault(fault.code, fault.message);
      return 0;
    }
    if (
      (type === frameType.continuation || this.#block.streamId !== 0) &&
      !this.#isExpected(type, streamId)
    ) {
      return 0;
    }
    if (type !== frameType.data) return frameHeadBytes + length;
    return (flags & frameFlag.padded) === 0 ? frameHeadBytes : frameHeadBytes + 1;
  }

  // Between HEADERS and its last CONTINUATION nothing else may come (RFC 9113 §4.3).
  #isExpected(type: number, streamId: number): boolean {
    const open = this.#block.streamId;
    if (type === frameType.continuation && streamId === open) return true;
    const message =
      open === 0
        ? `CONTINUATION on stream ${streamId} continues no header block`
        : `a frame of type ${type} on stream ${streamId} came inside the header block of stream ${open}`;
    this.#fault(h2Code.protocolError, message);
    return false;
  }

  #dispatch(bytes: Buffer, at: number, end: number): void {
    this.#isFirstFrame = false;
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId = readInt31(bytes, at + 5);
    const start = at + frameHeadBytes;
    switch (type) {
      case frameType.data: {
        const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
        this.#startData(streamId, flags, length, end > start ? 1 + (bytes[start] ?? 0) : 0);
        return;
      }
      case frameType.headers:
        this.#takeHeaders(streamId, flags, bytes, start, end);
        return;
      case frameType.continuation:
        this.#takeContinuation(flags, bytes, start, end);
        return;
      default:
        this.#sink.frame(type, flags, streamId, bytes, start, end);
    }
  }

  #startData(streamId: number, flags: number, frameBytes: number, paddingBytes: number): void {
    const dataBytes = frameBytes - paddingBytes;
    if (dataBytes < 0) {
      this.#fault(h2Code.protocolError, `DATA has more padding than its ${frameBytes} bytes`);
      return;
    }
    this.#dataLeft = dataBytes;
    this.#paddingLeft = paddingBytes > 0 ? paddingBytes - 1 : 0;
    this.#sink.dataHead(streamId, (flags & frameFlag.endStream) !== 0, frameBytes, dataBytes);
  }

  #takeHeaders(streamId: number, flags: number, bytes: Buffer, from: number, to: number): void {
    let start = from;
    let end = to;
    let dependsOn = -1;
    if ((flags & frameFlag.padded) !== 0) end -= bytes[start++] ?? 0;
    if ((flags & frameFlag.priority) !== 0) {
      dependsOn = readUint32(bytes, start) & 0x7fff_ffff;
      start += 5;
    }
    if (end < start) {
      this.#fault(h2Code.protocolError, `HEADERS has more padding than its ${to - from} bytes`);
      return;
    }
    const isEnded = (flags & frameFlag.endStream) !== 0;
    if ((flags & frameFlag.endHeaders) !== 0) {
      this.#sink.headerBlock(streamId, isEnded, dependsOn, bytes, start, end);
      return;
    }
    this.#block.open(streamId, isEnded, dependsOn);
    this.#addToBlock(bytes, start, end);
  }

  #takeContinuation(flags: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (++block.continuationCount > this.#limits.maxContinuationFrames) {
      this.#stopFlood();
      return;
    }
    this.#addToBlock(bytes, start, end);
    if (this.#sink.isOver || (flags & frameFlag.endHeaders) === 0) return;
    const streamId = block.streamId;
    const whole = block.close();
    this.#sink.headerBlock(streamId, block.isEnded, block.dependsOn, whole, 0, whole.length);
  }

  #addToBlock(bytes: Buffer, start: number, end: number): void {
    if (this.#block.byteLength + end - start > this.#limits.maxHeaderBlockBytes) this.#stopFlood();
    else this.#block.add(bytes, start, end);
  }

  #stopFlood(): void {
    this.#sink.flood('continuation_flood');
  }

  #fault(code: number, message: string): void {
    this.#sink.fault(code, message);
  }
}
