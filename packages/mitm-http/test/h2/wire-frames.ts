// Frames as a test writes and reads them: built byte by byte, and read back as one line of text each.
import { h2CodeName } from '../../src/h2/error-codes.ts';
import { HpackDecoder } from '../../src/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/h2/hpack-encoder.ts';

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** Four bytes, the highest first. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A frame of any type. `length` lies about the payload when given. */
export function frame(
  type: number,
  frameFlags: number,
  streamId: number,
  payload: Buffer | string = '',
  length = payload.length,
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = frameFlags;
  head.writeUInt32BE(streamId >>> 0, 5);
  return Buffer.concat([head, body]);
}

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** SETTINGS with pairs of id and value. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  const entries = pairs.map(([id, value]) =>
    Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)]),
  );
  return frame(4, 0, 0, Buffer.concat(entries));
}

export const settingsAck = frame(4, flags.ack, 0);
export const get = [':method', 'GET', ':scheme', 'https', ':authority', 'a.test', ':path', '/'] as const;

/** The fields of {@link get} with another value for one of them. */
export const changed = (name: string, value: string): readonly string[] =>
  get.map((text, index) => (get[index - 1] === name && index % 2 === 1 ? value : text));

/** A GOAWAY frame as it is read back. */
export const goawayOf = (code: string, lastId = 0): string => `GOAWAY ${lastId} ${code}`;
export const post = [':method', 'POST', ':scheme', 'https', ':authority', 'a.test', ':path', '/'] as const;

/** A header block that leaves no trace in the table of the decoder: literals without indexing. */
export function block(fields: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    parts.push(Buffer.from([0]), hpackString(fields[i] ?? ''), hpackString(fields[i + 1] ?? ''));
  }
  return Buffer.concat(parts);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A whole HEADERS frame; `isEnded` sets END_STREAM. */
export function headers(streamId: number, fields: readonly string[], isEnded = false): Buffer {
  return frame(1, flags.endHeaders | (isEnded ? flags.endStream : 0), streamId, block(fields));
}

export function data(streamId: number, payload: string | Buffer, isEnded = false): Buffer {
  return frame(0, isEnded ? flags.endStream : 0, streamId, payload);
}

/** DATA with that much padding. */
export function paddedData(streamId: number, payload: string, padding: number, isEnded = false): Buffer {
  const body = Buffer.concat([Buffer.from([padding]), Buffer.from(payload, 'latin1'), Buffer.alloc(padding)]);
  return frame(0, flags.padded | (isEnded ? flags.endStream : 0), streamId, body);
}

export function reset(streamId: number, code: number): Buffer {
  return frame(3, 0, streamId, uint32(code));
}

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(8, 0, streamId, uint32(increment));
}

export function ping(text = '12345678', frameFlags = 0): Buffer {
  return frame(6, frameFlags, 0, text);
}

export function goaway(lastStreamId: number, code: number, debug = ''): Buffer {
  return frame(7, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug, 'latin1')]));
}

export function priority(streamId: number, dependsOn: number): Buffer {
  return frame(2, 0, streamId, Buffer.concat([uint32(dependsOn), Buffer.from([15])]));
}

/** Reads what an endpoint wrote: its frames as lines. Header blocks go through one decoder, as on a connection. */
export class FrameLog {
  readonly #decoder = new HpackDecoder();
  #rest = Buffer.alloc(0);
  #block: { readonly id: number; readonly isEnded: boolean; readonly parts: Buffer[] } | undefined;

  /** The lines of the frames that `bytes` completes. A client's preface is skipped. */
  read(bytes: Buffer): string[] {
    const all = Buffer.concat([this.#rest, bytes]);
    let at = all.subarray(0, preface.length).equals(preface) ? preface.length : 0;
    const lines: string[] = [];
    while (at + 9 <= all.length) {
      const end = at + 9 + all.readUIntBE(at, 3);
      if (end > all.length) break;
      const line = this.#line(
        all[at + 3] ?? 0,
        all[at + 4] ?? 0,
        all.readUInt32BE(at + 5),
        all.subarray(at + 9, end),
      );
      if (line !== undefined) lines.push(line);
      at = end;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return lines;
  }

  #line(type: number, frameFlags: number, id: number, payload: Buffer): string | undefined {
    const end = (frameFlags & 1) === 1;
    switch (type) {
      case 0:
        return `DATA ${id}${end ? ' end' : ''} ${payload.length > 40 ? payload.length : payload.toString('latin1')}`.trim();
      case 1:
        return this.#headers(frameFlags, { id, isEnded: end, parts: [payload] });
      case 3:
        return `RST_STREAM ${id} ${h2CodeName(payload.readUInt32BE(0))}`;
      case 4:
        return end ? 'SETTINGS ack' : `SETTINGS${settingsText(payload)}`;
      case 6:
        return `PING${end ? ' ack' : ''} ${payload.toString('latin1')}`;
      case 7:
        return `GOAWAY ${payload.readUInt32BE(0)} ${h2CodeName(payload.readUInt32BE(4))}`;
      case 8:
        return `WINDOW_UPDATE ${id} ${payload.readUInt32BE(0)}`;
      case 9:
        return this.#headers(frameFlags, this.#block, payload);
      default:
        return `FRAME ${type} ${id}`;
    }
  }

  #headers(frameFlags: number, open = this.#block, part?: Buffer): string | undefined {
    if (open === undefined) return 'CONTINUATION without HEADERS';
    if (part !== undefined) open.parts.push(part);
    this.#block = (frameFlags & flags.endHeaders) === 0 ? open : undefined;
    if (this.#block !== undefined) return undefined;
    const whole = Buffer.concat(open.parts);
    const { fields } = this.#decoder.decode(whole, 0, whole.length, 1_000_000);
    const pairs: string[] = [];
    for (let i = 0; i < fields.length; i += 2) pairs.push(`${fields[i]}=${fields[i + 1]}`);
    const continued = open.parts.length > 1 ? ` in ${open.parts.length} frames` : '';
    return `HEADERS ${open.id}${open.isEnded ? ' end' : ''}${continued} ${pairs.join(' ')}`;
  }
}

function settingsText(payload: Buffer): string {
  let text = '';
  for (let at = 0; at < payload.length; at += 6)
    text += ` ${payload.readUInt16BE(at)}=${payload.readUInt32BE(at + 2)}`;
  return text;
}

/** Header blocks as a peer with a table of its own would send them. */
export class BlockWriter {
  readonly #encoder = new HpackEncoder();

  headers(streamId: number, fields: readonly string[], isEnded = false): Buffer {
    const out = Buffer.alloc(this.#encoder.maxEncodedBytes(fields));
    const end = this.#encoder.encode(fields, out, 0);
    return frame(1, flags.endHeaders | (isEnded ? flags.endStream : 0), streamId, out.subarray(0, end));
  }
}
