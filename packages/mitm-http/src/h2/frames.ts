// Layout of HTTP/2 frames: types, flags, the nine bytes in front of each, and the rules that these nine bytes alone can
// break (RFC 9113 §4, §6).

import { h2Code } from './error-codes.ts';

/** Frame types (RFC 9113 §6). */
export const frameType = {
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

/** Frame flags; ACK and END_STREAM share a bit. */
export const frameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** Bytes in front of a payload. */
export const frameHeadBytes = 9;

/** Largest payload that every peer takes, and the largest that we take: nothing is gained by announcing more (RFC 9113 §4.2). */
export const maxFramePayload = 16_384;

/** Largest stream id, window and window increment. */
export const maxInt31 = 0x7fff_ffff;

/** What a client sends first (RFC 9113 §3.4). */
export const clientPreface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Writes the nine bytes in front of a payload of `length` bytes; returns the offset behind them. */
export function writeFrameHead(
  out: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  writeUint32(out, at + 5, streamId);
  return at + frameHeadBytes;
}

/** Writes four bytes, the highest first. */
export function writeUint32(out: Buffer, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/** Reads 31 bits, the highest byte first; the reserved bit in front is dropped (RFC 9113 §4.1). */
export function readInt31(bytes: Buffer, at: number): number {
  return readUint32(bytes, at) & maxInt31;
}

/** Reads four bytes, the highest first. */
export function readUint32(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}

/** A rule broken by the connection: the code for GOAWAY and a text for people. */
export interface FrameFault {
  readonly code: number;
  readonly message: string;
}

/**
 * The connection error that the head of a frame is, if any. Rules that concern one stream only, or need more than the head,
 * are checked where the frame is handled.
 */
export function frameFault(
  type: number,
  flags: number,
  length: number,
  streamId: number,
): FrameFault | undefined {
  if (length > maxFramePayload)
    return sizeFault(`a frame of ${length} bytes is larger than ${maxFramePayload}`);
  switch (type) {
    case frameType.data:
      if (streamId === 0) return zeroStream('DATA');
      return (flags & frameFlag.padded) !== 0 && length === 0 ? tooShort('DATA', length) : undefined;
    case frameType.headers: {
      if (streamId === 0) return zeroStream('HEADERS');
      const least = ((flags & frameFlag.padded) === 0 ? 0 : 1) + ((flags & frameFlag.priority) === 0 ? 0 : 5);
      return length < least ? tooShort('HEADERS', length) : undefined;
    }
    case frameType.windowUpdate:
      return length === 4 ? undefined : sizeFault(`WINDOW_UPDATE has 4 bytes, not ${length}`);
    case frameType.priority:
      return streamId === 0 ? zeroStream('PRIORITY') : undefined;
    case frameType.rstStream:
      if (streamId === 0) return zeroStream('RST_STREAM');
      return length === 4 ? undefined : sizeFault(`RST_STREAM has 4 bytes, not ${length}`);
    case frameType.continuation:
      return streamId === 0 ? zeroStream('CONTINUATION') : undefined;
    case frameType.pushPromise:
      return { code: h2Code.protocolError, message: 'PUSH_PROMISE came although push is off' };
    default:
      return connectionFrameFault(type, flags, length, streamId);
  }
}

function connectionFrameFault(
  type: number,
  flags: number,
  length: number,
  streamId: number,
): FrameFault | undefined {
  if (type !== frameType.settings && type !== frameType.ping && type !== frameType.goaway) return undefined;
  if (streamId !== 0) {
    return { code: h2Code.protocolError, message: `frame type ${type} belongs on stream 0, not ${streamId}` };
  }
  if (type === frameType.ping) return length === 8 ? undefined : sizeFault(`PING has 8 bytes, not ${length}`);
  if (type === frameType.goaway) return length < 8 ? tooShort('GOAWAY', length) : undefined;
  if ((flags & frameFlag.ack) !== 0 && length !== 0) {
    return sizeFault(`SETTINGS with ACK is empty and has no ${length} bytes`);
  }
  return length % 6 === 0 ? undefined : sizeFault(`SETTINGS has a multiple of 6 bytes, not ${length}`);
}

function sizeFault(message: string): FrameFault {
  return { code: h2Code.frameSizeError, message };
}

function tooShort(name: string, length: number): FrameFault {
  return sizeFault(`${name} has no room in ${length} bytes for what its flags announce`);
}

function zeroStream(name: string): FrameFault {
  return { code: h2Code.protocolError, message: `${name} belongs on a stream, not on stream 0` };
}
