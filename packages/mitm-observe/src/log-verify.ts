// Checks a log against its chain of digests, long after and elsewhere: which bytes are still what was written, and which nobody
// vouches for.
import { timingSafeEqual } from 'node:crypto';

import { EventLogError } from './event-log-error.ts';
import { chainDigest, type ChainEntry, eventChainSchema } from './log-chain.ts';
import { linesOfFile, openForReading, readAt } from './log-lines.ts';
import { chainPath, furtherSegments, isMissing, segmentPath } from './log-segments.ts';

/** One thing that is not as it was written. */
export interface LogFault {
  readonly kind: LogFaultKind;
  /** Which segment; undefined for a fault of the chain itself. */
  readonly segment?: number;
  /** Where in the segment it begins, in bytes. */
  readonly byteOffset?: number;
}

/** What can be wrong, and what each means. */
export const logFaultKinds = {
  key_mismatch:
    'The chain, or a further part of it, was not begun with a key that was given, or its beginning was changed.',
  chain_changed: 'An entry of the chain was changed, removed or put in.',
  bytes_changed: 'Bytes of the log are not those that were written.',
  bytes_missing: 'Bytes of the log that were written are not there.',
  bytes_unaccounted: 'Bytes of the log are there for which no entry of the chain vouches.',
} as const;
export type LogFaultKind = keyof typeof logFaultKinds;

/** What a check found. */
export interface LogVerdict {
  /** Nothing was changed, removed or put in, as far as the chain reaches. */
  readonly isIntact: boolean;
  /** The log was closed in order: without that, lines may be missing at its end, by a crash or by someone's hand. False also where it was closed without a key. */
  readonly isComplete: boolean;
  /** Lines that the chain vouches for and that are unchanged. */
  readonly lineCount: number;
  /** Bytes for which nothing vouches: at the end of a log that was not closed, or written while it had no key. */
  readonly unaccountedBytes: number;
  readonly faults: readonly LogFault[];
}

interface WrittenEntry {
  readonly entry: ChainEntry;
  readonly mac: string;
}

/**
 * Checks a log that nobody writes to any more.
 *
 * @param keys the key it was written with; all of them, in any order, where it was changed
 * @throws {EventLogError} `open_failed` when a file can't be read, `chain_unreadable` for a chain file that is none
 */
export async function verifyEventLog(
  path: string,
  keys: Uint8Array | readonly Uint8Array[],
): Promise<LogVerdict> {
  const candidates = keys instanceof Uint8Array ? [keys] : keys;
  const faults: LogFault[] = [];
  /** Up to where each segment is accounted for. */
  const reached = new Map<number, number>();
  let key: Uint8Array | undefined;
  let previous = '';
  let lineCount = 0;
  let skippedBytes = 0;
  let isComplete = false;
  for await (const { entry, mac } of chainEntries(chainPath(path))) {
    const bytes = 'segment' in entry ? await bytesOf(path, entry) : undefined;
    const isWrittenWith = (one: Uint8Array): boolean =>
      sameDigest(mac, chainDigest(one, previous, entry, bytes));
    if ('schema' in entry) {
      isComplete = false;
      key = candidates.find(isWrittenWith);
      const { from_segment: segment = 0, from_offset: byteOffset = 0 } = entry;
      if (key === undefined) {
        faults.push({ kind: 'key_mismatch', ...('from_segment' in entry && { segment, byteOffset }) });
        return { isIntact: false, isComplete, lineCount, unaccountedBytes: 0, faults };
      }
      skippedBytes += await skipTo(path, reached, { segment, byteOffset });
    } else if ('end' in entry) {
      const isKnown = key !== undefined && isWrittenWith(key);
      isComplete = isKnown && entry.continues !== true;
      if (!isKnown) faults.push({ kind: 'chain_changed' });
    } else {
      const isKnown = key !== undefined && isWrittenWith(key);
      const { segment, byte_offset: byteOffset, byte_length: byteLength } = entry;
      const before = reached.get(segment) ?? 0;
      if (byteOffset > before) faults.push({ kind: 'bytes_unaccounted', segment, byteOffset: before });
      if (bytes === undefined || bytes.length < byteLength)
        faults.push({ kind: 'bytes_missing', segment, byteOffset });
      else if (!isKnown) faults.push({ kind: 'bytes_changed', segment, byteOffset });
      else lineCount += entry.line_count;
      reached.set(segment, byteOffset + byteLength);
    }
    previous = mac;
  }
  const behindBytes = await unaccounted(path, reached);
  if (isComplete && behindBytes > 0) faults.push({ kind: 'bytes_unaccounted' });
  const unaccountedBytes = skippedBytes + behindBytes;
  return { isIntact: faults.length === 0, isComplete, lineCount, unaccountedBytes, faults };
}

/** Takes for accounted what lies before the beginning of a further part of the chain; returns how many bytes that nobody vouches for are. */
async function skipTo(
  path: string,
  reached: Map<number, number>,
  from: { readonly segment: number; readonly byteOffset: number },
): Promise<number> {
  let bytes = 0;
  for (let segment = 0; segment <= from.segment; segment += 1) {
    const before = reached.get(segment) ?? 0;
    const end = segment === from.segment ? from.byteOffset : await sizeOf(path, segment);
    if (end <= before) continue;
    bytes += end - before;
    reached.set(segment, end);
  }
  return bytes;
}

async function sizeOf(path: string, segment: number): Promise<number> {
  const handle = await openSegment(path, segment);
  if (handle === undefined) return 0;
  const { size } = await handle.stat();
  await handle.close();
  return size;
}

async function* chainEntries(path: string): AsyncGenerator<WrittenEntry> {
  let isBeginning = true;
  for await (const { bytes, isWhole } of linesOfFile(path)) {
    // The last entry of a process that was killed may be torn.
    if (!isWhole) return;
    const written = parseEntry(bytes.toString('utf8'));
    if (written === undefined || 'schema' in written.entry !== isBeginning) {
      const message = `${JSON.stringify(path)} is not the chain of an event log`;
      throw new EventLogError('chain_unreadable', path, message);
    }
    // Another part may follow behind one that says so.
    isBeginning = 'end' in written.entry && written.entry.continues === true;
    yield written;
  }
}

function parseEntry(text: string): WrittenEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('mac' in value)) return undefined;
  const { mac, ...entry } = value;
  return typeof mac === 'string' && isEntry(entry) ? { entry, mac } : undefined;
}

function isEntry(entry: object): entry is ChainEntry {
  if ('schema' in entry) {
    const { from_segment: segment = 0, from_offset: offset = 0 } = fromOf(entry);
    return entry.schema === eventChainSchema && 'nonce' in entry && isCount(segment) && isCount(offset);
  }
  if (!('line_count' in entry) || !isCount(entry.line_count)) return false;
  if ('end' in entry) return entry.end === true && (!('continues' in entry) || entry.continues === true);
  return (
    'segment' in entry &&
    isCount(entry.segment) &&
    'byte_offset' in entry &&
    isCount(entry.byte_offset) &&
    'byte_length' in entry &&
    isCount(entry.byte_length)
  );
}

function fromOf(entry: object): { readonly from_segment?: unknown; readonly from_offset?: unknown } {
  return entry;
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The bytes that an entry is about, fewer where the segment ends before; undefined where there is no such segment. */
async function bytesOf(
  path: string,
  entry: Extract<ChainEntry, { segment: number }>,
): Promise<Buffer | undefined> {
  const handle = await openSegment(path, entry.segment);
  if (handle === undefined) return undefined;
  try {
    const { size } = await handle.stat();
    const length = Math.max(Math.min(entry.byte_length, size - entry.byte_offset), 0);
    return await readAt(handle, entry.byte_offset, length);
  } finally {
    await handle.close();
  }
}

/** How many bytes stand behind what the chain reaches. */
async function unaccounted(path: string, reached: ReadonlyMap<number, number>): Promise<number> {
  let bytes = 0;
  for (const segment of [0, ...(await furtherSegments(path))]) {
    bytes += Math.max((await sizeOf(path, segment)) - (reached.get(segment) ?? 0), 0);
  }
  return bytes;
}

async function openSegment(path: string, segment: number) {
  try {
    return await openForReading(segmentPath(path, segment));
  } catch (error) {
    if (error instanceof EventLogError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

function sameDigest(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
