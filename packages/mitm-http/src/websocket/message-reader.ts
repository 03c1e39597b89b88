// Frames of one direction made into messages for whoever watches: fragments joined, masks undone, compression undone. It sees what
// was already relayed, so nothing here ever ends a connection; what can't be read is told as such.
import { isUtf8 } from 'node:buffer';

import { HeldBytes, checkedLimit } from '../frames/held-bytes.ts';
import { parseClosePayload } from './close-code.ts';
import { WebSocketFault } from './fault.ts';
import { rsv1 } from './frame-head.ts';
import type { FrameHead } from './frame-head.ts';
import type { FrameSink } from './frame-reader.ts';
import { deflateTail, inflateIssues, MessageInflater } from './inflate.ts';
import type { Inflated, InflateOptions } from './inflate.ts';
import { applyMask } from './mask.ts';
import { opcode } from './opcode.ts';

/** What may be wrong with a message that was relayed all the same. */
export const messageIssues = [...inflateIssues, 'invalid_utf8', 'unknown_extension'] as const;
/** See {@link messageIssues}. */
export type MessageIssue = (typeof messageIssues)[number];

/** What is known of a message besides its bytes. */
export interface WebSocketMessageFacts {
  readonly kind: 'websocket_text' | 'websocket_binary';
  readonly isCompressed: boolean;
  /** Length on the wire, without the heads of its frames. */
  readonly wireBytes: number;
  /** Length of the whole message; `undefined` when it could not be inflated. */
  readonly messageBytes: number | undefined;
  readonly frameCount: number;
  /**
   * `too_large`: the payload is the beginning only, or empty where even that was not inflated. `invalid_deflate`, `context_lost`:
   * it is empty. `invalid_utf8`, `unknown_extension`: it is as it came.
   */
  readonly issue: MessageIssue | undefined;
}

/** What is known of a close frame; the payload is the code and the reason as they came. */
export interface WebSocketCloseFacts {
  readonly kind: 'websocket_close';
  /** 1005 when the frame is empty. */
  readonly code: number;
  readonly reason: string;
}

/** Takes a message. The payload is valid during the call only; the facts may be kept. */
export type EmitMessage = (payload: Buffer, facts: WebSocketMessageFacts | WebSocketCloseFacts) => void;

/** How one direction is read. */
export interface MessageOptions {
  /** Most bytes of a message that are handed out, after inflation. */
  readonly maxBytes: number;
  /** How messages with RSV1 are compressed: `deflateOf` what was agreed on. */
  readonly deflate?: Pick<InflateOptions, 'hasContextTakeover' | 'windowBits'> | undefined;
  /** Whether an extension was agreed on that may have changed payloads in ways unknown here. */
  readonly hasUnknownExtension?: boolean;
}

// A compressed message is held until it is whole, and longer than what is wanted of it, so that the next can be read.
const leastHeldBytes = 1_048_576;
const nothing: Buffer = Buffer.alloc(0);

/**
 * The sink of a `FrameReader`. Holds at most `maxBytes` of a message, of a compressed one 1 MiB if that is more, and 32 KiB of
 * history where messages refer to earlier ones. Every compressed message is inflated, wanted or not: the next may need it.
 */
export class MessageReader implements FrameSink {
  readonly #maxBytes: number;
  readonly #inflater: MessageInflater | undefined;
  readonly #hasUnknownExtension: boolean;
  readonly #emit: EmitMessage;
  readonly #held: HeldBytes;
  #head: FrameHead | undefined;
  /** How much of the payload of this frame has come. */
  #offset: number;
  #closePayload: Buffer;
  #kind: 'websocket_text' | 'websocket_binary';
  #isCompressed: boolean;
  #isOverLimit: boolean;
  #wireBytes: number;
  #frameCount: number;
  /** A message that is whole in the chunk and needs no change. */
  #view: Buffer | undefined;

  constructor(options: MessageOptions, emit: EmitMessage) {
    this.#maxBytes = checkedLimit(options.maxBytes);
    this.#hasUnknownExtension = options.hasUnknownExtension === true;
    this.#inflater =
      options.deflate === undefined || this.#hasUnknownExtension
        ? undefined
        : new MessageInflater({ ...options.deflate, maxBytes: this.#maxBytes });
    this.#emit = emit;
    this.#held = new HeldBytes();
    this.#head = undefined;
    this.#offset = 0;
    this.#closePayload = nothing;
    this.#kind = 'websocket_binary';
    this.#isCompressed = false;
    this.#isOverLimit = false;
    this.#wireBytes = 0;
    this.#frameCount = 0;
    this.#view = undefined;
  }

  frameHead(head: FrameHead): void {
    this.#head = head;
    this.#offset = 0;
    if (head.isControl) {
      if (head.opcode === opcode.close) this.#closePayload = Buffer.alloc(head.payloadBytes);
      return;
    }
    if (head.opcode !== opcode.continuation) {
      this.#kind = head.opcode === opcode.text ? 'websocket_text' : 'websocket_binary';
      this.#isCompressed = this.#inflater !== undefined && (head.rsv & rsv1) !== 0;
      this.#isOverLimit = false;
      this.#wireBytes = 0;
      this.#frameCount = 0;
      this.#held.clear();
    }
    this.#frameCount++;
  }

  framePayload(bytes: Buffer, start: number, end: number): void {
    const head = this.#head;
    if (head === undefined) return;
    if (!head.isControl) this.#addToMessage(head, bytes, start, end);
    else if (head.opcode === opcode.close) bytes.copy(this.#closePayload, this.#offset, start, end);
    this.#offset += end - start;
  }

  frameEnd(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head === undefined) return;
    if (head.opcode === opcode.close) this.#deliverClose(head);
    else if (!head.isControl && head.isFinal) this.#deliver();
  }

  #addToMessage(head: FrameHead, bytes: Buffer, start: number, end: number): void {
    const count = end - start;
    const isWholeMessage = head.isFinal && this.#frameCount === 1 && count === head.payloadBytes;
    this.#wireBytes += count;
    if (isWholeMessage && !head.isMasked && !this.#isCompressed && count <= this.#maxBytes) {
      this.#view = bytes.subarray(start, end);
      return;
    }
    if (this.#isOverLimit) return;
    const limit = this.#isCompressed ? Math.max(this.#maxBytes, leastHeldBytes) : this.#maxBytes;
    const from = this.#held.length;
    const taken = Math.min(count, limit - from);
    this.#isOverLimit = taken < count;
    if (this.#isOverLimit && this.#isCompressed) {
      this.#held.clear();
      return;
    }
    this.#held.append(bytes, start, start + taken);
    if (head.isMasked) applyMask(this.#held.view(), from, from + taken, head.maskKey, this.#offset);
  }

  #deliver(): void {
    if (this.#inflater !== undefined && this.#isCompressed) {
      const { bytes, totalBytes, issue } = this.#inflated(this.#inflater);
      this.#emitMessage(bytes, totalBytes, issue);
      return;
    }
    const payload = this.#view ?? this.#held.take();
    this.#view = undefined;
    this.#emitMessage(payload, this.#wireBytes, this.#isOverLimit ? 'too_large' : undefined);
  }

  #inflated(inflater: MessageInflater): Inflated {
    if (this.#isOverLimit) {
      inflater.skip();
      return { bytes: nothing, totalBytes: undefined, issue: 'too_large' };
    }
    this.#held.append(deflateTail, 0, deflateTail.length);
    return inflater.inflate(this.#held.take());
  }

  #emitMessage(payload: Buffer, messageBytes: number | undefined, readIssue: MessageIssue | undefined): void {
    const kind = this.#kind;
    let issue = readIssue;
    if (this.#hasUnknownExtension) issue ??= 'unknown_extension';
    else if (kind === 'websocket_text' && issue === undefined && !isUtf8(payload)) issue = 'invalid_utf8';
    this.#emit(payload, {
      kind,
      isCompressed: this.#isCompressed,
      wireBytes: this.#wireBytes,
      messageBytes,
      frameCount: this.#frameCount,
      issue,
    });
  }

  #deliverClose(head: FrameHead): void {
    const payload = this.#closePayload;
    this.#closePayload = nothing;
    if (head.isMasked) applyMask(payload, 0, payload.length, head.maskKey, 0);
    const status = parseClosePayload(payload);
    // The frame reader lets no such frame through.
    if (status instanceof WebSocketFault) return;
    this.#emit(payload, { kind: 'websocket_close', ...status });
  }
}
