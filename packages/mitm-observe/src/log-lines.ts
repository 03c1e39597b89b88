// Reads the lines of a log's segments one after the other, with their places and without holding more than a line. What has no
// line feed at the end of a segment was cut off by a crash, and says so.
import { type FileHandle, open } from 'node:fs/promises';

import { EventLogError } from './event-log-error.ts';
import type { LinePlace } from './index-row.ts';
import { furtherSegments, segmentPath } from './log-segments.ts';

/** A line as it stands in a file. */
export interface LogLine extends LinePlace {
  /** Without its line feed. */
  readonly text: string;
  /** False for the rest of a line whose end was never written. */
  readonly isWhole: boolean;
}

const READ_BYTES = 65_536;
/** No event is longer; a file that goes on without a line feed is no log. */
const LONGEST_LINE_BYTES = 64 * 1024 * 1024;
const lineFeed = 0x0a;

/** All lines of a log from a place on, over all its segments. Throws {@link EventLogError} where a segment can't be read. */
export async function* logLines(
  logPath: string,
  from: Pick<LinePlace, 'segment' | 'byteOffset'> = { segment: 0, byteOffset: 0 },
): AsyncGenerator<LogLine> {
  for (const segment of [0, ...(await furtherSegments(logPath))]) {
    if (segment < from.segment) continue;
    const byteOffset = segment === from.segment ? from.byteOffset : 0;
    yield* segmentLines(logPath, { segment, byteOffset });
  }
}

async function* segmentLines(
  logPath: string,
  { segment, byteOffset }: Pick<LinePlace, 'segment' | 'byteOffset'>,
): AsyncGenerator<LogLine> {
  const path = segmentPath(logPath, segment);
  let place = byteOffset;
  for await (const { bytes, isWhole } of linesOfFile(path, byteOffset)) {
    const lineBytes = bytes.length + (isWhole ? 1 : 0);
    yield { segment, byteOffset: place, lineBytes, text: bytes.toString('utf8'), isWhole };
    place += lineBytes;
  }
}

/** The lines of one file from an offset on. Throws {@link EventLogError}. */
export async function* linesOfFile(
  path: string,
  byteOffset = 0,
): AsyncGenerator<{ readonly bytes: Buffer; readonly isWhole: boolean }> {
  const handle = await openForReading(path);
  try {
    let rest = Buffer.alloc(0);
    let position = byteOffset;
    for (;;) {
      const piece = await readAt(handle, position, READ_BYTES);
      if (piece.length === 0) break;
      position += piece.length;
      let start = 0;
      for (let end = piece.indexOf(lineFeed); end !== -1; end = piece.indexOf(lineFeed, start)) {
        yield { bytes: Buffer.concat([rest, piece.subarray(start, end)]), isWhole: true };
        rest = Buffer.alloc(0);
        start = end + 1;
      }
      rest = Buffer.concat([rest, piece.subarray(start)]);
      if (rest.length > LONGEST_LINE_BYTES) {
        const message = `${JSON.stringify(path)} is no event log: a line in it does not end`;
        throw new EventLogError('line_unreadable', path, message);
      }
    }
    if (rest.length > 0) yield { bytes: rest, isWhole: false };
  } finally {
    await handle.close();
  }
}

/** Opens a file of a log. Throws {@link EventLogError} naming it. */
export async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EventLogError('open_failed', path, `the event log cannot be read: ${reason}`, { cause: error });
  }
}

/** Bytes from a place of a file on, fewer than asked for only at its end. */
export async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
