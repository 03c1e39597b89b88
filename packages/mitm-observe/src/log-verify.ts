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
  key_mismatch: 'The chain was not begun with this key, or its beginning was changed.',
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
  /** The log was closed in order: without that, lines may be missing at its end, by a crash or by someone's hand. */
  readonly isComplete: boolean;
  /** Lines that the chain vouches for and that are unchanged. */
  readonly lineCount: number;
  /** Bytes at the end of a log that was not closed, for which nothing vouches. */
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
 * @throws {EventLogError} `open_failed` when a file can't be read, `chain_unreadable` for a chain file that is none
 */
export async function verifyEventLog(path: string, key: Uint8Array): Promise<LogVerdict> {
  const faults: LogFault[] = [];
  /** Up to where each segment is accounted for. */
  const reached = new Map<number, number>();
  let previous = '';
  let lineCount = 0;
  let isComplete = false;
  for await (const { entry, mac } of chainEntries(chainPath(path))) {
    const bytes = 'segment' in entry ? await bytesOf(path, entry) : undefined;
    const isKnown = sameDigest(mac, chainDigest(key, previous, entry, bytes));
    previous = mac;
    if ('schema' in entry) {
      if (!isKnown)
        return {
          isIntact: false,
          isComplete,
          lineCount,
          unaccountedBytes: 0,
          faults: [{ kind: 'key_mismatch' }],
        };
    } else if ('end' in entry) {
      isComplete = isKnown;
      if (!isKnown) faults.push({ kind: 'chain_changed' });
    } else {
      const { segment, byte_offset: byteOffset, byte_length: byteLength } = entry;
      const before = reached.get(segment) ?? 0;
      if (byteOffset > before) faults.push({ kind: 'bytes_unaccounted', segment, byteOffset: before });
      if (bytes === undefined || bytes.length < byteLength)
        faults.push({ kind: 'bytes_missing', segment, byteOffset });
      else if (!isKnown) faults.push({ kind: 'bytes_changed', segment, byteOffset });
      else lineCount += entry.line_count;
      reached.set(segment, byteOffset + byteLength);
    }
  }
  const unaccountedBytes = await unaccounted(path, reached);
  if (isComplete && unaccountedBytes > 0) faults.push({ kind: 'bytes_unaccounted' });
  return { isIntact: faults.length === 0, isComplete, lineCount, unaccountedBytes, faults };
}

async function* chainEntries(path: string): AsyncGenerator<WrittenEntry> {
  let isFirst = true;
  for await (const { bytes, isWhole } of linesOfFile(path)) {
    // The last entry of a process that was killed may be torn.
    if (!isWhole) return;
    const written = parseEntry(bytes.toString('utf8'));
    if (written === undefined || 'schema' in written.entry !== isFirst) {
      const message = `${JSON.stringify(path)} is not the chain of an event log`;
      throw new EventLogError('chain_unreadable', path, message);
    }
    isFirst = false;
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
  if ('schema' in entry) return entry.schema === eventChainSchema && 'nonce' in entry;
  if (!('line_count' in entry) || !isCount(entry.line_count)) return false;
  if ('end' in entry) return entry.end === true;
  return (
    'segment' in entry &&
    isCount(entry.segment) &&
    'byte_offset' in entry &&
    isCount(entry.byte_offset) &&
    'byte_length' in entry &&
    isCount(entry.byte_length)
  );
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
    const handle = await openSegment(path, segment);
    if (handle === undefined) continue;
    const { size } = await handle.stat();
    await handle.close();
    bytes += Math.max(size - (reached.get(segment) ?? 0), 0);
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
