// What can be wrong with an opening handshake, and how a proxy answers its client then (RFC 6455 §4.2).

/** What a request to open a WebSocket can break. Codes are stable and never reused. */
export const webSocketRequestCodes = [
  'invalid_method',
  'missing_connection_upgrade',
  'missing_upgrade_websocket',
  'missing_protocol_websocket',
  'missing_sec_websocket_version',
  'unsupported_sec_websocket_version',
  'missing_sec_websocket_key',
  'invalid_sec_websocket_key_shape',
  'invalid_sec_websocket_protocol',
  'invalid_sec_websocket_extensions',
] as const;
/** See {@link webSocketRequestCodes}. */
export type WebSocketRequestCode = (typeof webSocketRequestCodes)[number];

/** What an answer to it can break. Codes are stable and never reused. */
export const webSocketResponseCodes = [
  'invalid_status_code',
  'missing_connection_upgrade',
  'missing_upgrade_websocket',
  'invalid_sec_websocket_accept',
  'invalid_sec_websocket_protocol',
  'unoffered_sec_websocket_protocol',
  'invalid_sec_websocket_extensions',
  'unoffered_sec_websocket_extension',
] as const;
/** See {@link webSocketResponseCodes}. */
export type WebSocketResponseCode = (typeof webSocketResponseCodes)[number];

/** The client asked for a WebSocket wrongly. */
export class WebSocketRequestError extends Error {
  override readonly name = 'WebSocketRequestError';
  readonly code: WebSocketRequestCode;
  /** 400, or 426, which goes with `Sec-WebSocket-Version: 13` (RFC 6455 §4.4). */
  readonly status: 400 | 426;
  /** The error as it stands in the `reason_detail` of events. */
  readonly detail: string;

  /** @param received what follows the code in {@link detail}. */
  constructor(code: WebSocketRequestCode, message: string, received?: string) {
    super(message);
    this.code = code;
    this.status = code === 'unsupported_sec_websocket_version' ? 426 : 400;
    this.detail = `websocket_upgrade_request:${received === undefined ? code : `${code}:${received}`}`;
  }
}

/** The origin answered wrongly; to the client it is a 502. */
export class WebSocketResponseError extends Error {
  override readonly name = 'WebSocketResponseError';
  readonly code: WebSocketResponseCode;
  readonly status = 502;
  /** The error as it stands in the `reason_detail` of events. */
  readonly detail: string;

  /** @param received what follows the code in {@link detail}. */
  constructor(code: WebSocketResponseCode, message: string, received?: string) {
    super(message);
    this.code = code;
    this.detail = `websocket_upgrade_response:${received === undefined ? code : `${code}:${received}`}`;
  }
}
