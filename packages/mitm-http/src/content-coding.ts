// Content codings (RFC 9110 §8.4) of a complete body: undone in the reverse order in which they are listed, with a bound
// on what may come out. Works on copies only; what is relayed is never touched.
import { promisify } from 'node:util';
import { brotliDecompress, constants, gunzip, inflate, inflateRaw } from 'node:zlib';

import { decompressZstd } from './zstd-frames.ts';

/** What became of a body. With `hasError` the body is what was given. */
export interface DecodedContent {
  readonly body: Buffer;
  /** More would have come out than was allowed; the body is as given then too. */
  readonly isTruncated: boolean;
  readonly hasError: boolean;
}

export interface DecodeContentOptions {
  /** Most bytes that any step may put out. */
  readonly maxOutputBytes: number;
}

/** More codings than this in one list are no honest message. */
const MAX_CODINGS = 4;

const decoders: Readonly<
  Record<string, ((bytes: Buffer, maxOutputLength: number) => Promise<Buffer>) | undefined>
> = {
  gzip: (bytes, maxOutputLength) =>
    promisify(gunzip)(bytes, { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH }),
  deflate: (bytes, maxOutputLength) => inflateEither(bytes, maxOutputLength),
  br: (bytes, maxOutputLength) =>
    promisify(brotliDecompress)(bytes, { maxOutputLength, finishFlush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: decompressZstd,
  identity: (bytes) => Promise.resolve(bytes),
};

/**
 * Undoes the codings of a body. Never rejects: a coding that is unknown or does not fit the bytes gives the body back as
 * it was, marked.
 *
 * @param codings the value of Content-Encoding; several fields joined by commas
 */
export async function decodeContent(
  bytes: Buffer,
  codings: string,
  options: DecodeContentOptions,
): Promise<DecodedContent> {
  const names = codings
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length > MAX_CODINGS) return { body: bytes, isTruncated: false, hasError: true };
  let body = bytes;
  try {
    for (const name of names.toReversed()) {
      const decode = decoders[name === 'x-gzip' ? 'gzip' : name];
      if (decode === undefined) return { body: bytes, isTruncated: false, hasError: true };
      body = await decode(body, options.maxOutputBytes);
    }
  } catch (error) {
    const isTruncated = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    return { body: bytes, isTruncated, hasError: true };
  }
  return { body, isTruncated: false, hasError: false };
}

/** `deflate` means the zlib form (RFC 9110 §8.4.1.2), but bare deflate is sent under that name too. */
function inflateEither(bytes: Buffer, maxOutputLength: number): Promise<Buffer> {
  const first = bytes[0] ?? 0;
  const isZlib = (first & 0x0f) === 8 && ((first << 8) + (bytes[1] ?? 0)) % 31 === 0;
  const options = { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH };
  return isZlib ? promisify(inflate)(bytes, options) : promisify(inflateRaw)(bytes, options);
}

/** The media type of a Content-Type value: lower-case, without parameters. */
export function mediaType(contentType: string): string {
  const end = contentType.indexOf(';');
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}
