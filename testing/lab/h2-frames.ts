// Frames of HTTP/2 as bytes, for peers that say exactly what a test wants, also what no well-behaved peer would. Shares no code with
// the engine under test: blocks are written as plain literals and read without Huffman coding and without a dynamic table.

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 0x1;
export const ack = 0x1;
export const endHeaders = 0x4;

export const settingIds = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  enableConnectProtocol: 8,
} as const;

/** What a client sends first of all (RFC 9113 §3.4). */
export const preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const headBytes = 9;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Names and values in turn; each character is one byte, whatever it is. */
export type Fields = readonly string[];

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(headBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, headBytes);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settingsFrame(values: Partial<Record<keyof typeof settingIds, number>> = {}): Buffer {
  const parts = Object.entries(settingIds).flatMap(([name, id]) => {
    const value = Object.entries(values).find(([given]) => given === name)?.[1];
    return value === undefined ? [] : [Buffer.from([0, id]), uint32(value)];
  });
  return frame(frameTypes.settings, 0, 0, Buffer.concat(parts));
}

export function headersFrame(streamId: number, fields: Fields, flags: number = endHeaders): Buffer {
  return frame(frameTypes.headers, flags, streamId, encodeFields(fields));
}

export function dataFrame(streamId: number, content: string | Uint8Array, flags = 0): Buffer {
  return frame(frameTypes.data, flags, streamId, Buffer.from(content));
}

export function resetFrame(streamId: number, code: number): Buffer {
  return frame(frameTypes.rstStream, 0, streamId, uint32(code));
}

export function goawayFrame(lastStreamId: number, code: number): Buffer {
  return frame(frameTypes.goaway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code)]));
}

export function windowUpdateFrame(streamId: number, increment: number): Buffer {
  return frame(frameTypes.windowUpdate, 0, streamId, uint32(increment));
}

export function pingFrame(flags = 0, opaque: Uint8Array = Buffer.alloc(8)): Buffer {
  return frame(frameTypes.ping, flags, 0, opaque);
}

function lengthPrefix(length: number): Buffer {
  if (length < 127) return Buffer.from([length]);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A block of literals that no table keeps (RFC 7541 §6.2.2), unchecked. */
export function encodeFields(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    parts.push(Buffer.from([0]));
    for (const text of [fields[index] ?? '', fields[index + 1] ?? ''])
      parts.push(lengthPrefix(text.length), Buffer.from(text, 'latin1'));
  }
  return Buffer.concat(parts);
}

/** Names of the static table with their values, in the order of RFC 7541 Appendix A. */
const staticText =
  ':authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|' +
  ':status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|' +
  'accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|' +
  'content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|' +
  'if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|' +
  'proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security|' +
  'transfer-encoding|user-agent|vary|via|www-authenticate';

const staticFields: readonly (readonly [string, string])[] = staticText.split('|').map((entry) => {
  const space = entry.indexOf(' ');
  return space === -1 ? [entry, ''] : [entry.slice(0, space), entry.slice(space + 1)];
});

function staticField(index: number): readonly [string, string] {
  const field = staticFields[index - 1];
  if (field === undefined) throw new Error(`the block refers to entry ${index}, which no table has`);
  return field;
}

/** Reads a block of one who was told to keep no table, which `headerTableSize: 0` does. @throws Error for anything else */
export function decodeFields(block: Buffer): string[] {
  const fields: string[] = [];
  let at = 0;
  const integer = (bits: number): number => {
    const most = 2 ** bits - 1;
    let value = (block[at++] ?? 0) & most;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = block[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const text = (): string => {
    if (((block[at] ?? 0) & 128) !== 0) throw new Error('the block has a Huffman-coded text');
    const length = integer(7);
    at += length;
    return block.toString('latin1', at - length, at);
  };
  while (at < block.length) {
    const first = block[at] ?? 0;
    if (first >= 128) fields.push(...staticField(integer(7)));
    else if (first >= 32 && first < 64) integer(5);
    else {
      const index = integer(first >= 64 ? 6 : 4);
      const name = index === 0 ? text() : staticField(index)[0];
      fields.push(name, text());
    }
  }
  return fields;
}

/** Cuts a stream of bytes into frames. */
export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    while (rest.length >= headBytes) {
      const end = headBytes + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      frames.push({
        type: rest[3] ?? 0,
        flags: rest[4] ?? 0,
        streamId: rest.readUInt32BE(5) & 0x7fff_ffff,
        payload: rest.subarray(headBytes, end),
      });
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    return frames;
  }
}
