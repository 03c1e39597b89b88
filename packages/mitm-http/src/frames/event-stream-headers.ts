// The header block of an AWS event-stream message: all ten value types, decoded into values of their own that share no
// memory with what was read.

/** One header of a message, in wire order; a name may come twice. */
export type EventStreamHeader = { readonly name: string } & EventStreamValue;

/** A value with its wire type. */
export type EventStreamValue =
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'byte' | 'short' | 'integer'; readonly value: number }
  /** A timestamp counts milliseconds from 1970. */
  | { readonly type: 'long' | 'timestamp'; readonly value: bigint }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  /** A uuid is in its usual form with hyphens, lower-case. */
  | { readonly type: 'string' | 'uuid'; readonly value: string };

interface ValueReader {
  /** Bytes of the value; of its length field when `hasLength`. */
  readonly byteCount: number;
  readonly hasLength: boolean;
  readonly read: (bytes: Buffer, start: number, end: number) => EventStreamValue;
}

/** Indexed by the type octet. */
const valueReaders: readonly ValueReader[] = [
  { byteCount: 0, hasLength: false, read: () => ({ type: 'boolean', value: true }) },
  { byteCount: 0, hasLength: false, read: () => ({ type: 'boolean', value: false }) },
  { byteCount: 1, hasLength: false, read: (bytes, at) => ({ type: 'byte', value: bytes.readInt8(at) }) },
  { byteCount: 2, hasLength: false, read: (bytes, at) => ({ type: 'short', value: bytes.readInt16BE(at) }) },
  {
    byteCount: 4,
    hasLength: false,
    read: (bytes, at) => ({ type: 'integer', value: bytes.readInt32BE(at) }),
  },
  {
    byteCount: 8,
    hasLength: false,
    read: (bytes, at) => ({ type: 'long', value: bytes.readBigInt64BE(at) }),
  },
  { byteCount: 2, hasLength: true, read: readBinary },
  { byteCount: 2, hasLength: true, read: readString },
  {
    byteCount: 8,
    hasLength: false,
    read: (bytes, at) => ({ type: 'timestamp', value: bytes.readBigInt64BE(at) }),
  },
  { byteCount: 16, hasLength: false, read: readUuid },
];

/** Decodes a whole header block. What is wrong with one that does not add up is told in words. */
export function decodeEventStreamHeaders(block: Buffer): readonly EventStreamHeader[] | string {
  const headers: EventStreamHeader[] = [];
  let at = 0;
  while (at < block.length) {
    const nameStart = at + 1;
    const nameEnd = nameStart + (block[at] ?? 0);
    if (nameEnd === nameStart) return 'a header has no name';
    const type = block[nameEnd];
    if (type === undefined) return 'a header name is longer than the header block';
    const reader = valueReaders[type];
    if (reader === undefined) return `a header has the value type ${type}: types are 0 to 9`;
    let valueStart = nameEnd + 1;
    let valueEnd = valueStart + reader.byteCount;
    if (reader.hasLength && valueEnd <= block.length) {
      valueEnd += block.readUInt16BE(valueStart);
      valueStart += reader.byteCount;
    }
    if (valueEnd > block.length) return 'a header value is longer than the header block';
    headers.push({
      name: block.toString('utf8', nameStart, nameEnd),
      ...reader.read(block, valueStart, valueEnd),
    });
    at = valueEnd;
  }
  return headers;
}

/** The text of the first header of that name; `undefined` when there is none or it is no string. */
export function eventStreamText(headers: readonly EventStreamHeader[], name: string): string | undefined {
  const header = headers.find((candidate) => candidate.name === name);
  return header?.type === 'string' ? header.value : undefined;
}

function readBinary(bytes: Buffer, start: number, end: number): EventStreamValue {
  return { type: 'binary', value: new Uint8Array(bytes.subarray(start, end)) };
}

function readString(bytes: Buffer, start: number, end: number): EventStreamValue {
  return { type: 'string', value: bytes.toString('utf8', start, end) };
}

function readUuid(bytes: Buffer, start: number, end: number): EventStreamValue {
  const hex = bytes.toString('hex', start, end);
  const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return { type: 'uuid', value: groups.join('-') };
}
