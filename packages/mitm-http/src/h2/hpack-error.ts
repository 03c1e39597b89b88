// What a field block that cannot be decoded is refused with: a stable code for the rule of RFC 7541 that was broken.

/** The rules of HPACK that a block can break. Codes are stable and never reused. */
export const hpackErrorCodes = [
  'invalid_index',
  'integer_too_large',
  'truncated_block',
  'table_size_too_large',
  'misplaced_size_update',
  'too_many_size_updates',
  'huffman_end_of_string',
  'invalid_huffman_padding',
  'list_too_large',
] as const;
/** See {@link hpackErrorCodes}. */
export type HpackErrorCode = (typeof hpackErrorCodes)[number];

/**
 * A field block that cannot be decoded. The tables of both sides no longer agree after it, so each one is a
 * COMPRESSION_ERROR of the whole connection (RFC 9113 §4.3). The message never quotes what the block holds.
 */
export class HpackError extends Error {
  override readonly name = 'HpackError';
  /** Which rule was broken. */
  readonly code: HpackErrorCode;

  constructor(code: HpackErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
