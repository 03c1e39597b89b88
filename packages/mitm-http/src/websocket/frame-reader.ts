// One direction of a WebSocket cut into frames, whatever the chunks: only heads and close frames are looked at, payload goes
// through as views. It is the gate of the relay too: what it has not found good may not be passed on.
import { parseClosePayload } from './close-code.ts';
import type { CloseStatus } from './close-code.ts';
import { WebSocketFault } from './fault.ts';
import { FrameHead, headBytesAt, maxHeadBytes } from './frame-head.ts';
import { frameFault } from './frame-rules.ts';
import type { FrameRules } from './frame-rules.ts';
import { applyMask } from './mask.ts';
import { opcode } from './opcode.ts';

/** Who is told of frames, in this order: the head, any number of pieces, the end. Buffers are valid during the call only. */
export interface FrameSink {
  frameHead(head: FrameHead): void;
  /** `bytes[start, end)` of the payload as it is on the wire, still masked; never empty. */
  framePayload(bytes: Buffer, start: number, end: number): void;
  frameEnd(): void;
}

const nothing: Buffer = Buffer.alloc(0);
const maxControlBytes = 125;

/**
 * Reads one direction. A head that is not complete, and a close frame, is held back until it is judged, at most 139 bytes, so that
 * a frame which breaks a rule never reaches the other side, not even in part:
 *
 * ```ts
 * const held = reader.held;
 * const count = reader.push(chunk, sink);
 * if (count > 0) {
 *   if (held.length > 0) other.write(held);
 *   other.write(chunk.subarray(0, count));
 * }
 * ```
 */
export class FrameReader {
  readonly #rules: FrameRules;
  #payloadLeft: number;
  #isInMessage: boolean;
  #held: Buffer;
  #heldLength: number;
  #fault: WebSocketFault | undefined;
  #close: CloseStatus | undefined;

  constructor(rules: FrameRules) {
    this.#rules = rules;
    this.#payloadLeft = 0;
    this.#isInMessage = false;
    this.#held = nothing;
    this.#heldLength = 0;
    this.#fault = undefined;
    this.#close = undefined;
  }

  /** The rule that was broken; nothing is read any more once it is set. */
  get fault(): WebSocketFault | undefined {
    return this.#fault;
  }

  /** What the close frame said; nothing is read behind it (RFC 6455 §5.5.1). */
  get close(): CloseStatus | undefined {
    return this.#close;
  }

  /** The bytes that are held back, to be passed on before the next ones that may be. They are never written to again. */
  get held(): Buffer {
    return this.#held.subarray(0, this.#heldLength);
  }

  /** Whether what may be passed on so far ends with a whole frame, so that a frame of one's own can follow it. */
  get isBetweenFrames(): boolean {
    return this.#payloadLeft === 0;
  }

  /**
   * Reads the next bytes.
   * @returns how many of them, from the first, may be passed on; with any, {@link held} as it was before goes first. Fewer than all
   * when a head is incomplete, and behind a close frame or a {@link fault}.
   */
  push(chunk: Buffer, sink: FrameSink): number {
    if (this.#fault !== undefined || this.#close !== undefined) return 0;
    let at = 0;
    while (at < chunk.length) {
      let next: number;
      if (this.#payloadLeft > 0) next = this.#takePayload(chunk, at, sink);
      else if (this.#heldLength > 0) next = this.#takeHeld(chunk, at, sink);
      else next = this.#takeFrame(chunk, at, chunk.length, sink);
      if (next < 0) {
        if (this.#fault === undefined && this.#heldLength === 0) this.#hold(chunk, at, chunk.length);
        return at;
      }
      at = next;
      if (this.#close !== undefined) return at;
    }
    return at;
  }

  /** The stream has ended: sets a `truncated_frame` fault if it did so inside a frame. */
  end(): void {
    if (this.#fault !== undefined || this.#close !== undefined) return;
    if (this.#heldLength === 0 && this.#payloadLeft === 0) return;
    const message =
      this.#payloadLeft > 0
        ? `the stream ended ${this.#payloadLeft} bytes before the end of a frame`
        : `the stream ended ${this.#heldLength} bytes into a frame`;
    this.#fault = new WebSocketFault('truncated_frame', message);
  }

  #takePayload(chunk: Buffer, at: number, sink: FrameSink): number {
    const end = Math.min(chunk.length, at + this.#payloadLeft);
    this.#payloadLeft -= end - at;
    sink.framePayload(chunk, at, end);
    if (this.#payloadLeft === 0) sink.frameEnd();
    return end;
  }

  // A frame that is not all there: only as many bytes are added as can belong to what is waited for.
  #takeHeld(chunk: Buffer, from: number, sink: FrameSink): number {
    let at = from;
    while (at < chunk.length) {
      const needed = this.#neededBytes(this.#held, 0, this.#heldLength);
      const end = Math.min(chunk.length, at + needed - this.#heldLength);
      this.#hold(chunk, at, end);
      at = end;
      const held = this.#held;
      if (this.#takeFrame(held, 0, this.#heldLength, sink) < 0) {
        if (this.#fault !== undefined) return -1;
        continue;
      }
      this.#held = nothing;
      this.#heldLength = 0;
      return at;
    }
    return -1;
  }

  // The frame at `at`: offset behind its head, or behind all of it when it is a close frame; -1 if it is wrong or not all there.
  #takeFrame(bytes: Buffer, at: number, end: number, sink: FrameSink): number {
    const available = end - at;
    const headBytes = headBytesAt(bytes, at, available);
    if (available < headBytes) return -1;
    const head = new FrameHead(bytes, at);
    this.#fault = frameFault(head, this.#rules, this.#isInMessage);
    if (this.#fault !== undefined) return -1;
    const start = at + headBytes;
    if (head.opcode === opcode.close) return this.#takeClose(head, bytes, start, end, sink);
    if (!head.isControl) this.#isInMessage = !head.isFinal;
    this.#payloadLeft = head.payloadBytes;
    sink.frameHead(head);
    if (this.#payloadLeft === 0) sink.frameEnd();
    return start;
  }

  #takeClose(head: FrameHead, bytes: Buffer, start: number, available: number, sink: FrameSink): number {
    const end = start + head.payloadBytes;
    if (available < end) return -1;
    const payload = Buffer.from(bytes.subarray(start, end));
    if (head.isMasked) applyMask(payload, 0, payload.length, head.maskKey, 0);
    const status = parseClosePayload(payload);
    if (status instanceof WebSocketFault) {
      this.#fault = status;
      return -1;
    }
    this.#close = status;
    sink.frameHead(head);
    if (end > start) sink.framePayload(bytes, start, end);
    sink.frameEnd();
    return end;
  }

  #neededBytes(bytes: Buffer, at: number, available: number): number {
    const headBytes = headBytesAt(bytes, at, available);
    if (available < headBytes) return headBytes;
    return headBytes + new FrameHead(bytes, at).payloadBytes;
  }

  #hold(chunk: Buffer, start: number, end: number): void {
    // Fresh memory each time: a socket may still be writing what was held before.
    if (this.#held.length === 0) this.#held = Buffer.allocUnsafe(maxHeadBytes + maxControlBytes);
    chunk.copy(this.#held, this.#heldLength, start, end);
    this.#heldLength += end - start;
  }
}
