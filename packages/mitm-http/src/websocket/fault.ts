// The one error of the frame layer: which rule of RFC 6455 a side broke, and the close code that stands for it. It is a value
// that the frame reader keeps, since the frames before it were good and go on.

/** The rules that a stream of frames can break. Codes are stable and never reused. */
export const webSocketFaultCodes = [
  'client_frame_unmasked',
  'server_frame_masked',
  'reserved_bits',
  'reserved_opcode',
  'fragmented_control_frame',
  'control_frame_too_large',
  'payload_length_overflow',
  'payload_too_large',
  'non_minimal_length',
  'unexpected_continuation',
  'interrupted_message',
  'invalid_close_payload',
  'invalid_close_code',
  'invalid_close_reason',
  'truncated_frame',
] as const;
/** See {@link webSocketFaultCodes}. */
export type WebSocketFaultCode = (typeof webSocketFaultCodes)[number];

const protocolError = 1002;

const closeCodeOfFault: Partial<Record<WebSocketFaultCode, number>> = {
  payload_too_large: 1009,
  invalid_close_reason: 1007,
  truncated_frame: 1006,
};

/** A broken rule. */
export class WebSocketFault extends Error {
  override readonly name = 'WebSocketFault';
  /** Which rule was broken. */
  readonly code: WebSocketFaultCode;
  /** What to close with: 1002, 1007 or 1009; 1006, which is never sent, when the stream ended inside a frame. */
  readonly closeCode: number;
  /** The fault as it stands in the `reason_detail` of events. */
  readonly detail: string;

  /** @param detail what follows the name of the layer in {@link detail}; the code unless given. */
  constructor(code: WebSocketFaultCode, message: string, detail: string = code) {
    super(message);
    this.code = code;
    this.closeCode = closeCodeOfFault[code] ?? protocolError;
    this.detail = `websocket_codec:${detail}`;
  }
}
