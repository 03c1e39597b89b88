// Readers and writers that keep to a rate, for tests of what a proxy does when one side is slower than the other.
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

export interface SlowReadOptions {
  /** Reads nothing for so long. */
  readonly pauseMs: number;
  /** And then so much, on average. */
  readonly bytesPerSecond: number;
  /** Where to stop; the stream's end unless given. */
  readonly byteCount?: number;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Reads a stream to its end, or to `byteCount`, at a limited rate and answers how many bytes it had. */
export async function readSlowly(stream: Readable, options: SlowReadOptions): Promise<number> {
  const { byteCount = Number.POSITIVE_INFINITY } = options;
  await pause(options.pauseMs);
  const start = performance.now();
  let received = 0;
  if (byteCount <= 0) return received;
  // The stream outlives the reading where only a part of it is read.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    received += Buffer.byteLength(chunk);
    if (received >= byteCount) break;
    const aheadMs = (received / options.bytesPerSecond) * 1_000 - (performance.now() - start);
    // Below this a timer is coarser than the pace.
    if (aheadMs > 5) await pause(aheadMs);
  }
  return received;
}

async function drained(stream: Writable): Promise<void> {
  const given = new AbortController();
  const { signal } = given;
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]);
  } finally {
    given.abort(); // takes the other listener off
  }
}

/** Writes zeros as fast as the stream takes them, and tells the progress; gives up when the stream is gone. */
export async function writeZeros(
  stream: Writable,
  byteCount: number,
  onProgress: (writtenBytes: number) => void = () => {},
): Promise<void> {
  const block = Buffer.alloc(64 * 1024);
  for (let written = 0; written < byteCount && !stream.destroyed;) {
    const part = block.subarray(0, Math.min(block.length, byteCount - written));
    written += part.length;
    if (!stream.write(part)) await drained(stream);
    onProgress(written);
  }
}
