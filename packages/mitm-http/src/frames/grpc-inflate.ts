// Compressed messages of one gRPC, gRPC-Web or Connect stream made readable. Each stands alone, so that one that can't be read costs
// nothing but itself; what may come out of all of them is bounded.
import {
  brotliDecompressSync,
  constants,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';

import { isZlibForm } from '../deflate-form.ts';

/** Why a compressed message is handed on as it came. */
export const grpcMessageIssues = ['unknown_coding', 'invalid_coding', 'too_large'] as const;
/** See {@link grpcMessageIssues}. */
export type GrpcMessageIssue = (typeof grpcMessageIssues)[number];

/** A message, inflated unless there is an issue. */
export interface InflatedMessage {
  readonly bytes: Buffer;
  readonly issue: GrpcMessageIssue | undefined;
}

interface ZlibBounds {
  readonly maxOutputLength: number;
  readonly chunkSize: number;
}

const graceBytes = 1_048_576;
const maxRatio = 200;
const leastChunkBytes = 1024;
const mostChunkBytes = 65_536;
/** The largest window that HTTP allows (RFC 9659): 8 MiB. */
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 };

/** Inflates messages with the coding that their stream names. */
export class GrpcInflater {
  readonly #inflate: Inflate | undefined;
  readonly #maxBytes: number;
  #bytesIn: number;
  #bytesOut: number;

  /**
   * @param coding `gzip`, `deflate`, `br` or `zstd`, in any case; every other one, or none, is unknown
   * @param maxBytes longest message that may come out; of all messages together at most 1 MiB, or 200 times what went in
   */
  constructor(coding: string | undefined, maxBytes: number) {
    this.#inflate = inflaterOf((coding ?? '').trim().toLowerCase());
    this.#maxBytes = maxBytes;
    this.#bytesIn = 0;
    this.#bytesOut = 0;
  }

  /** Reads one message. Never throws for what is in it. */
  inflate(message: Buffer): InflatedMessage {
    if (message.length === 0) return { bytes: message, issue: undefined };
    if (this.#inflate === undefined) return { bytes: message, issue: 'unknown_coding' };
    this.#bytesIn += message.length;
    const left = Math.max(graceBytes, this.#bytesIn * maxRatio) - this.#bytesOut;
    const maxOutputLength = Math.min(this.#maxBytes, left);
    if (maxOutputLength <= 0) return { bytes: message, issue: 'too_large' };
    const chunkSize = Math.min(mostChunkBytes, Math.max(leastChunkBytes, message.length * 4));
    try {
      const bytes = this.#inflate(message, { maxOutputLength, chunkSize });
      this.#bytesOut += bytes.length;
      return { bytes, issue: undefined };
    } catch (error) {
      if (!isZlibError(error)) throw error;
      const isTooLarge = error.code === 'ERR_BUFFER_TOO_LARGE';
      if (isTooLarge) this.#bytesOut += maxOutputLength;
      return { bytes: message, issue: isTooLarge ? 'too_large' : 'invalid_coding' };
    }
  }
}

type Inflate = (bytes: Buffer, bounds: ZlibBounds) => Buffer;

function inflaterOf(coding: string): Inflate | undefined {
  switch (coding) {
    case 'gzip':
      return gunzipSync;
    case 'deflate':
      return inflateEither;
    case 'br':
      return brotliDecompressSync;
    case 'zstd':
      return inflateZstd;
    default:
      return undefined;
  }
}

function inflateEither(bytes: Buffer, bounds: ZlibBounds): Buffer {
  return isZlibForm(bytes) ? inflateSync(bytes, bounds) : inflateRawSync(bytes, bounds);
}

function inflateZstd(bytes: Buffer, bounds: ZlibBounds): Buffer {
  return zstdDecompressSync(bytes, { ...bounds, params: zstdParams });
}

function isZlibError(error: unknown): error is Error & { readonly code: string } {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return false;
  return error.code === 'ERR_BUFFER_TOO_LARGE' || /^(?:Z_|ERR_|ZSTD_)/.test(error.code);
}
