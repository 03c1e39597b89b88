// One row of the event log's index: where the line of an event stands. Tabs part the cells, so a key that holds one is
// written with escapes.
import type { EventRecord } from './event-record.ts';

/** Where a line of the log stands. */
export interface LinePlace {
  /** 0 for the log itself, n for its n-th further segment. */
  readonly segment: number;
  /** Bytes before the line within its segment. */
  readonly byteOffset: number;
  /** Length of the line in bytes, with its line feed. */
  readonly lineBytes: number;
}

/** A row as it is read. */
export interface IndexRow extends LinePlace {
  readonly sequenceId: number;
  readonly flowId: number;
  readonly flowSequenceId: number;
  readonly kind: string;
  readonly protocol: string;
  readonly streamKey: string;
}

/** The first line of every index, without its line feed. */
export const indexHeader = [
  'sequence_id',
  'flow_id',
  'flow_sequence_id',
  'kind',
  'protocol',
  'stream_key',
  'segment_id',
  'byte_offset',
  'line_bytes',
].join('\t');

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const unescapes: Readonly<Record<string, string>> = { '\\': '\\', t: '\t', n: '\n', r: '\r' };

/** The part of a row that does not depend on where the line stands, with the tab behind it. */
export function indexRowHead(record: Omit<EventRecord, 'attributes'>): string {
  const key = /[\\\t\n\r]/.test(record.stream_key)
    ? record.stream_key.replaceAll(/[\\\t\n\r]/g, (character) => escapes[character] ?? character)
    : record.stream_key;
  return `${record.sequence_id}\t${record.flow_id}\t${record.flow_sequence_id}\t${record.kind}\t${record.protocol}\t${key}\t`;
}

/** A whole row with its line feed. */
export function indexRow(head: string, { segment, byteOffset, lineBytes }: LinePlace): string {
  return `${head}${segment}\t${byteOffset}\t${lineBytes}\n`;
}

/** A row without its line feed, read; undefined for what is none, such as the header or a torn row. */
export function parseIndexRow(line: string): IndexRow | undefined {
  const cells = line.split('\t');
  const [sequence, flow, flowSequence, kind, protocol, key, segment, offset, bytes] = cells;
  if (cells.length !== 9 || kind === undefined || protocol === undefined || key === undefined)
    return undefined;
  const numbers = [sequence, flow, flowSequence, segment, offset, bytes].map(wholeNumber);
  const [sequenceId, flowId, flowSequenceId, segmentId, byteOffset, lineBytes] = numbers;
  if (
    sequenceId === undefined ||
    flowId === undefined ||
    flowSequenceId === undefined ||
    segmentId === undefined ||
    byteOffset === undefined ||
    lineBytes === undefined
  )
    return undefined;
  const streamKey = key.replaceAll(/\\(.)/g, (whole, letter: string) => unescapes[letter] ?? whole);
  return {
    sequenceId,
    flowId,
    flowSequenceId,
    kind,
    protocol,
    streamKey,
    segment: segmentId,
    byteOffset,
    lineBytes,
  };
}

function wholeNumber(cell: string | undefined): number | undefined {
  return cell !== undefined && /^\d{1,16}$/.test(cell) ? Number(cell) : undefined;
}
