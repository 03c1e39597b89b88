// What a piece of a stream is called, and the shape every stream parser has. Parsers look at copies of what was relayed: an error
// here is a fact about the stream, never the end of it.

import type { WebSocketCloseFacts, WebSocketMessageFacts } from '../websocket/message-reader.ts';
import type { EventStreamFacts } from './event-stream.ts';
import type { GrpcFacts } from './grpc.ts';
import type { JsonValueFacts } from './json-array.ts';
import type { NdjsonFacts } from './ndjson.ts';
import type { SseFacts } from './sse.ts';

/** The kinds of pieces that streams are cut into. */
export const frameKinds = [
  'sse_data',
  'ndjson_line',
  'json_value',
  'event_stream_message',
  'grpc_message',
  'websocket_text',
  'websocket_binary',
  'websocket_close',
] as const;
/** See {@link frameKinds}. */
export type FrameKind = (typeof frameKinds)[number];

/** What is known of a frame besides its payload; `kind` tells which of them it is. */
export type FrameFacts =
  | SseFacts
  | NdjsonFacts
  | JsonValueFacts
  | EventStreamFacts
  | GrpcFacts
  | WebSocketMessageFacts
  | WebSocketCloseFacts;

/**
 * Takes a frame. The payload is valid during the call only, since it may be a view of the chunk that is being parsed or of memory that
 * is used again: copy what is kept. The facts may be kept.
 */
export type EmitFrame = (payload: Uint8Array, facts: FrameFacts) => void;

/**
 * Cuts a body into frames. Any way of splitting the same bytes into chunks emits the same frames and ends in the same error. What
 * is held back is bounded by a limit that is given to the parser; a frame above it is refused before it is held.
 */
export interface FrameParser {
  readonly kind: FrameKind;
  /**
   * Takes the next bytes; keeps no reference to them after it returns. After an error, or `end`, it takes nothing more and is silent.
   * @throws {FrameError} once, behind the frames that were good.
   */
  push(chunk: Uint8Array, emit: EmitFrame): void;
  /** The body is complete: emits what was still held back. @throws {FrameError} when a frame is cut short. */
  end(emit: EmitFrame): void;
}

/** What can be wrong with a stream of frames. Codes are stable and never reused. */
export const frameErrorCodes = [
  'frame_too_large',
  'invalid_frame',
  'truncated_frame',
  'checksum_mismatch',
  'invalid_compressed_flag',
  'message_too_large',
  'truncated_prefix',
  'length_mismatch',
] as const;
/** See {@link frameErrorCodes}. */
export type FrameErrorCode = (typeof frameErrorCodes)[number];

/** Where and by how much a stream went wrong, as far as its parser tells. */
export interface FrameErrorFacts {
  /** The number of the frame that is wrong, from 1. */
  readonly sequence?: number;
  /** The length that the frame declares. */
  readonly declaredBytes?: number;
  /** How much of the prefix before a message had come. */
  readonly prefixBytes?: number;
  /** How much of the message is missing, or was not taken. */
  readonly missingBytes?: number;
}

const noFacts: FrameErrorFacts = Object.freeze({});

/** What a {@link FrameParser} throws. The message names sizes and limits, never what the frame holds. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code: FrameErrorCode;
  readonly facts: FrameErrorFacts;

  constructor(code: FrameErrorCode, message: string, facts: FrameErrorFacts = noFacts) {
    super(message);
    this.code = code;
    this.facts = facts;
  }
}
