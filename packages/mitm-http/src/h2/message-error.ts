// The one error of HTTP/2 messages: a stable code for the rule that was broken. Every one of them makes the message malformed,
// which ends its stream and no other.

/** The rules that a message can break which came in well-formed frames. Codes are stable and never reused. */
export const h2MessageErrorCodes = [
  'unknown_pseudo_field',
  'misplaced_pseudo_field',
  'repeated_pseudo_field',
  'empty_pseudo_field',
  'missing_pseudo_field',
  'unexpected_pseudo_field',
  'invalid_method',
  'invalid_scheme',
  'invalid_authority',
  'invalid_path',
  'invalid_protocol',
  'invalid_status',
  'missing_authority',
  'repeated_host',
  'host_mismatch',
  'connection_specific_field',
  'invalid_te',
  'invalid_content_length',
  'conflicting_content_length',
  'invalid_field',
  'untranslatable',
] as const;
/** See {@link h2MessageErrorCodes}. */
export type H2MessageErrorCode = (typeof h2MessageErrorCodes)[number];

/**
 * A message that is malformed (RFC 9113 §8.1.1), or that can't be said in the version it is to be written in. The answer to a peer
 * is RST_STREAM with PROTOCOL_ERROR; a server may answer 400 before.
 */
export class H2MessageError extends Error {
  override readonly name = 'H2MessageError';
  /** Which rule was broken. */
  readonly code: H2MessageErrorCode;

  constructor(code: H2MessageErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
