// A captured body as a handler reads it: without its content codings where they can be undone, else as it was, and marked.
import { decodeContent, type HeaderMap } from 'mitm-http';

import type { Capture } from './capture.ts';
import type { Awaitable } from './handler.ts';

/** What there is of a body. */
export interface DecodedBody {
  readonly bytes: Buffer;
  /** The body goes on beyond this. */
  readonly isTruncated: boolean;
  /** The bytes are as received: their codings are unknown or broken, or too much came out. */
  readonly hasError: boolean;
}

/** The body of a message without one. */
export const noBytes: DecodedBody = Object.freeze({
  bytes: Buffer.alloc(0),
  isTruncated: false,
  hasError: false,
});

/** Decodes a copy, by the fields of its message. Answers without a promise where there is nothing to decode. */
export function decodedBody(
  capture: Capture,
  headers: HeaderMap,
  maxOutputBytes: number,
): Awaitable<DecodedBody> {
  const bytes = capture.bytes();
  const coding = headers.getAll('content-encoding').join(',');
  if (coding === '' || bytes.length === 0)
    return { bytes, isTruncated: capture.isTruncated, hasError: false };
  return decodeContent(bytes, coding, { maxOutputBytes }).then((result) => ({
    bytes: result.body,
    isTruncated: capture.isTruncated || result.isTruncated,
    hasError: result.hasError,
  }));
}
