// The one error of the HTTP/1 layer: a stable code for the rule that was broken, and the status a proxy answers a client with.

/** The rules of HTTP/1 that a message can break. Codes are stable and never reused. */
export const httpErrorCodes = [
  'invalid_request_line',
  'invalid_target',
  'unsupported_scheme',
  'unsupported_http_version',
  'http_1_0_refused',
  'invalid_status_line',
  'incomplete_head',
  'head_too_large',
  'invalid_header_name',
  'invalid_header_value',
  'obsolete_line_folding',
  'bare_line_feed',
  'bare_carriage_return',
  'missing_host',
  'duplicate_host',
  'invalid_host',
  'host_mismatch',
  'forbidden_connection_option',
  'unknown_expectation',
  'conflicting_framing',
  'invalid_content_length',
  'conflicting_content_length',
  'invalid_transfer_encoding',
  'unknown_transfer_coding',
  'transfer_encoding_in_http_1_0',
  'invalid_chunk',
  'chunk_line_too_large',
  'truncated_body',
  'trailers_too_large',
  'forbidden_trailer',
  'invalid_reply',
] as const;
/** See {@link httpErrorCodes}. */
export type HttpErrorCode = (typeof httpErrorCodes)[number];

const statusOf = {
  invalid_request_line: 400,
  invalid_target: 400,
  unsupported_scheme: 400,
  unsupported_http_version: 505,
  http_1_0_refused: 505,
  invalid_status_line: 502,
  incomplete_head: 400,
  head_too_large: 431,
  invalid_header_name: 400,
  invalid_header_value: 400,
  obsolete_line_folding: 400,
  bare_line_feed: 400,
  bare_carriage_return: 400,
  missing_host: 400,
  duplicate_host: 400,
  invalid_host: 400,
  host_mismatch: 400,
  forbidden_connection_option: 400,
  unknown_expectation: 417,
  conflicting_framing: 400,
  invalid_content_length: 400,
  conflicting_content_length: 400,
  invalid_transfer_encoding: 400,
  unknown_transfer_coding: 501,
  transfer_encoding_in_http_1_0: 400,
  invalid_chunk: 400,
  chunk_line_too_large: 400,
  truncated_body: 400,
  trailers_too_large: 431,
  forbidden_trailer: 400,
  invalid_reply: 500,
} as const satisfies Record<HttpErrorCode, number>;

/** What every parser and writer of HTTP/1 here throws. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  /** Which rule was broken. */
  readonly code: HttpErrorCode;
  /** The status to answer a client with whose message broke the rule; for an origin's message the answer is 502. */
  readonly status: number;

  constructor(code: HttpErrorCode, message: string) {
    super(message);
    this.code = code;
    this.status = statusOf[code];
  }
}

/** A received piece of text as it may stand in a message: quoted, control characters escaped, at most 80 characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
