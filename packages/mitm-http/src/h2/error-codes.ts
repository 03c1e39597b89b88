// The names behind the numbers of RST_STREAM and GOAWAY, and the one error that ends a session. Codes and reasons are
// stable; every flood has a reason of its own behind the one code ENHANCE_YOUR_CALM.

/** Error codes of RST_STREAM and GOAWAY (RFC 9113 §7). */
export const h2Code = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** Their names in the order of their numbers. */
const h2CodeNames = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const;

/** The RFC's name of an error code; `UNKNOWN_<number>` for one without. */
export function h2CodeName(code: number): string {
  return h2CodeNames[code] ?? `UNKNOWN_${code}`;
}

/**
 * The ways in which a peer can wear a session out (RFC 9113 §10.5). Each has its limit in `FloodLimits`, but for
 * `header_list_flood`: a list of more than four times what we announced.
 */
export const floodReasons = [
  'rapid_reset',
  'too_many_streams',
  'continuation_flood',
  'header_list_flood',
  'settings_flood',
  'ping_flood',
  'empty_data_flood',
  'window_update_flood',
  'ignored_frame_flood',
  'control_queue_flood',
  'zero_window_stall',
] as const;
/** See {@link floodReasons}. */
export type FloodReason = (typeof floodReasons)[number];

/** Why a session ended: the broken rule of the protocol, a flood, or a call that its owner must not make. */
export const h2SessionReasons = [
  'protocol_error',
  'flow_control_error',
  'settings_timeout',
  'stream_closed',
  'frame_size_error',
  'compression_error',
  'cannot_open_stream',
  'misused_stream',
  ...floodReasons,
] as const;
/** See {@link h2SessionReasons}. */
export type H2SessionReason = (typeof h2SessionReasons)[number];

/** What ends a session, or tells its owner that a call was wrong. */
export class H2SessionError extends Error {
  override readonly name = 'H2SessionError';
  /** The number that went to the peer in GOAWAY. */
  readonly code: number;
  /** A stable name, finer than the code. */
  readonly reason: H2SessionReason;

  constructor(code: number, reason: H2SessionReason, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

const reasonOfCode = new Map<number, H2SessionReason>([
  [h2Code.flowControlError, 'flow_control_error'],
  [h2Code.settingsTimeout, 'settings_timeout'],
  [h2Code.streamClosed, 'stream_closed'],
  [h2Code.frameSizeError, 'frame_size_error'],
  [h2Code.compressionError, 'compression_error'],
]);

/** The error for a connection error of that code; codes that we never raise count as a protocol error. */
export function h2ConnectionError(code: number, message: string): H2SessionError {
  return new H2SessionError(code, reasonOfCode.get(code) ?? 'protocol_error', message);
}

/** The error for a flood. */
export function floodError(reason: FloodReason): H2SessionError {
  return new H2SessionError(h2Code.enhanceYourCalm, reason, `the peer was stopped: ${reason}`);
}
