// Zstandard bodies of any number of frames (RFC 8878 §3): Node's decompressor stops at the end of a frame when the next one came in the
// same write, and does not say so.

import { Transform, type TransformCallback } from 'node:stream';
import { constants, createZstdDecompress, zstdDecompress, type ZstdDecompress } from 'node:zlib';

import { ZstdFrameEnd } from './zstd-frame-end.ts';

/** The largest window that HTTP allows (RFC 9659): 8 MiB. */
const params = { [constants.ZSTD_d_windowLogMax]: 23 };

/** Decompresses frame after frame; each flushed block comes out at once. */
export class ZstdFrames extends Transform {
  #inner: ZstdDecompress | undefined;
  readonly #end: ZstdFrameEnd;

  constructor() {
    super();
    this.#inner = undefined;
    this.#end = new ZstdFrameEnd();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#end.push(chunk);
    this.#decode(chunk, done);
  }

  #decode(chunk: Buffer, done: TransformCallback): void {
    const inner = (this.#inner ??= this.#open());
    const before = inner.bytesWritten;
    inner.write(chunk, (error) => {
      if (error) return;
      const taken = inner.bytesWritten - before;
      if (taken >= chunk.length) {
        done();
        return;
      }
      this.#inner = undefined;
      inner.end(() => this.#decode(chunk.subarray(taken), done));
    });
  }

  override _flush(done: TransformCallback): void {
    const inner = this.#inner;
    if (inner === undefined) {
      done();
      return;
    }
    if (!this.#end.isReached) {
      done(cutShort());
      return;
    }
    inner.once('end', () => done());
    inner.end();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner?.destroy();
    done(error);
  }

  #open(): ZstdDecompress {
    const inner = createZstdDecompress({ params });
    inner.on('data', (bytes: Buffer) => this.push(bytes));
    inner.on('error', (error) => this.destroy(error));
    return inner;
  }
}

/**
 * Decompresses a whole body.
 *
 * @throws what zlib throws; `ERR_BUFFER_TOO_LARGE` when more than `maxOutputLength` would come out
 */
export async function decompressZstd(bytes: Buffer, maxOutputLength: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let left = maxOutputLength;
  let at = 0;
  do {
    const { buffer, taken } = await oneFrame(bytes.subarray(at), left);
    if (taken === 0) break;
    parts.push(buffer);
    left -= buffer.length;
    at += taken;
  } while (at < bytes.length);
  const end = new ZstdFrameEnd();
  end.push(bytes);
  if (!end.isReached) throw cutShort();
  return Buffer.concat(parts);
}

/** As newer releases of Node say it. */
function cutShort(): Error {
  return Object.assign(new Error('unexpected end of file'), { code: 'Z_BUF_ERROR' });
}

function oneFrame(
  bytes: Buffer,
  maxOutputLength: number,
): Promise<{ readonly buffer: Buffer; readonly taken: number }> {
  return new Promise((resolve, reject) => {
    zstdDecompress(
      bytes,
      { params, maxOutputLength: Math.max(1, maxOutputLength), info: true },
      (error, result) => {
        if (error) {
          reject(error);
          return;
        }
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- with `info` the result has the engine beside it, unknown to the types
        const { buffer, engine } = result as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
        resolve({ buffer, taken: engine.bytesWritten });
      },
    );
  });
}
