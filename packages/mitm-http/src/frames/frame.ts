// What a piece of a stream is called, and the shape every stream parser has.

/** The kinds of pieces that streams are cut into. */
export const frameKinds = [
  'sse_data',
  'ndjson_line',
  'grpc_message',
  'websocket_text',
  'websocket_binary',
  'websocket_close',
] as const;
/** See {@link frameKinds}. */
export type FrameKind = (typeof frameKinds)[number];

/** Cuts a body into frames. Any way of splitting the same bytes into chunks emits the same payloads. */
export interface FrameParser {
  readonly kind: FrameKind;
  /** Takes the next bytes; keeps no reference to them after it returns. Throws one typed error when they are wrong. */
  push(chunk: Uint8Array, emit: (payload: Uint8Array) => void): void;
  /** The body is complete: emits what was still held back, or throws when a frame is cut short. */
  end(emit: (payload: Uint8Array) => void): void;
}
