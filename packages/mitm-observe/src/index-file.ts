// Looks things up in the index of a log. Rows stand in the order of the sequence ids, so one is found by halving the file.
// What is read here is a hint: whoever goes to the place that a row names checks what stands there.
import type { FileHandle } from 'node:fs/promises';

import { indexHeader, type IndexRow, parseIndexRow } from './index-row.ts';
import { linesOfFile, openForReading, readAt } from './log-lines.ts';

const firstRowAt = indexHeader.length + 1;
const READ_BYTES = 4_096;

interface FoundRow {
  readonly row: IndexRow;
  /** Where the next row begins. */
  readonly end: number;
}

/** All rows of an index, in order; it ends early where a row can't be read. Throws EventLogError when there is no file. */
export async function* indexRows(path: string): AsyncGenerator<IndexRow> {
  let isHeader = true;
  for await (const { bytes, isWhole } of linesOfFile(path)) {
    const text = bytes.toString('utf8');
    if (isHeader) {
      if (text !== indexHeader) return;
      isHeader = false;
      continue;
    }
    const row = isWhole ? parseIndexRow(text) : undefined;
    if (row === undefined) return;
    yield row;
  }
}

/** The last row whose sequence id is not above this one; undefined when there is none. Throws EventLogError when there is no file. */
export async function findIndexRow(path: string, sequenceId: number): Promise<IndexRow | undefined> {
  const handle = await openForReading(path);
  try {
    const { size } = await handle.stat();
    let best: IndexRow | undefined;
    let low = firstRowAt;
    let high = size;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const found = await rowFrom(handle, middle - 1);
      if (found === undefined || found.row.sequenceId > sequenceId) {
        high = middle;
      } else {
        best = found.row;
        low = found.end;
      }
    }
    return best;
  } finally {
    await handle.close();
  }
}

/** The first whole row that begins behind a line feed at this position or later. */
async function rowFrom(handle: FileHandle, position: number): Promise<FoundRow | undefined> {
  for (let length = READ_BYTES; ; length *= 2) {
    const bytes = await readAt(handle, position, length);
    const start = bytes.indexOf('\n') + 1;
    const end = start === 0 ? -1 : bytes.indexOf('\n', start);
    if (end !== -1) {
      const row = parseIndexRow(bytes.toString('utf8', start, end));
      return row === undefined ? undefined : { row, end: position + end + 1 };
    }
    if (bytes.length < length) return undefined;
  }
}
