// Content codings (RFC 9110 §8.4) of a complete body: undone in the reverse order in which they are listed, with a bound
// on what may come out. Works on copies only; what is relayed is never touched.
import { promisify } from 'node:util';
import { brotliDecompress, constants, gunzip, inflate, inflateRaw } from 'node:zlib';

import { codingsOf, ContentDecoder, type ContentDecoderErrorCode } from './content-decoder.ts';
import { isZlibForm } from './deflate-form.ts';
import { decompressZstd } from './zstd-frames.ts';

/** What became of a body. With `hasError` the body is what was given. */
export interface DecodedContent {
  readonly body: Buffer;
  /** More would have come out than was allowed: the body is the beginning. */
  readonly isTruncated: boolean;
  readonly hasError: boolean;
  /** Why there is an error. */
  readonly failure?: ContentFailure;
}

/** Which coding could not be undone, and why. */
export interface ContentFailure {
  readonly code: ContentDecoderErrorCode;
  readonly coding: string;
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
};

/**
 * Undoes the codings of a body. Never rejects: a coding that is unknown or does not fit the bytes gives the body back as
 * it was, marked. What grows beyond the bound is cut there, or, where it grows out of all proportion, given back too.
 *
 * @param codings the value of Content-Encoding; several fields joined by commas
 */
export async function decodeContent(
  bytes: Buffer,
  codings: string,
  options: DecodeContentOptions,
): Promise<DecodedContent> {
  const names = codingsOf(codings);
  if (names.length > MAX_CODINGS) return undecoded(bytes, 'unknown_coding', names.join(', '));
  let body = bytes;
  for (const name of names.toReversed()) {
    const decode = decoders[name === 'x-gzip' ? 'gzip' : name];
    if (decode === undefined) return undecoded(bytes, 'unknown_coding', name);
    try {
      body = await decode(body, options.maxOutputBytes);
    } catch (error) {
      const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
      return isTooLarge
        ? beginningOf(bytes, codings, options.maxOutputBytes)
        : undecoded(bytes, 'invalid_coding', name);
    }
  }
  return { body, isTruncated: false, hasError: false };
}

function undecoded(body: Buffer, code: ContentDecoderErrorCode, coding: string): DecodedContent {
  return { body, isTruncated: false, hasError: true, failure: { code, coding } };
}

/** What comes out first of a body that is larger than is wanted of it. */
function beginningOf(bytes: Buffer, codings: string, maxOutputBytes: number): Promise<DecodedContent> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let room = maxOutputBytes;
    const tell = (isTruncated: boolean): void =>
      resolve({ body: Buffer.concat(pieces), isTruncated, hasError: false });
    const decoder = new ContentDecoder(
      codings,
      {
        decoded(chunk) {
          const piece = Buffer.from(chunk.subarray(0, room));
          pieces.push(piece);
          room -= piece.length;
          if (room > 0) return;
          decoder.destroy();
          tell(true);
        },
        ended: () => tell(false),
        failed: (code, coding) => resolve({ ...undecoded(bytes, code, coding), isTruncated: true }),
      },
      { maxPendingBytes: Number.POSITIVE_INFINITY },
    );
    decoder.push(bytes);
    decoder.end();
  });
}

function inflateEither(bytes: Buffer, maxOutputLength: number): Promise<Buffer> {
  const options = { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH };
  return isZlibForm(bytes) ? promisify(inflate)(bytes, options) : promisify(inflateRaw)(bytes, options);
}

/** The media type of a Content-Type value: lower-case, without parameters. */
export function mediaType(contentType: string): string {
  const end = contentType.indexOf(';');
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}
