// Event-stream messages as the tests write them.
import { crc32 } from 'node:zlib';

/** A header: its name, the type octet, and the value as it stands on the wire, with its length field where it has one. */
export function header(name: string, type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.from(name);
  return Buffer.concat([Uint8Array.of(bytes.length), bytes, Uint8Array.of(type), value]);
}

export function textHeader(name: string, value: string): Buffer {
  return header(name, 7, withLength(Buffer.from(value)));
}

export function withLength(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint16(bytes.length), bytes]);
}

export function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

/** Four octets for each value. */
export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

export function prelude(totalBytes: number, headerBytes: number): Buffer {
  const lengths = uint32(totalBytes, headerBytes);
  return Buffer.concat([lengths, uint32(crc32(lengths))]);
}

export function encodeMessage(headers: readonly Buffer[], payload: string | Uint8Array): Buffer {
  const block = Buffer.concat(headers);
  const body = Buffer.from(payload);
  const start = Buffer.concat([prelude(16 + block.length + body.length, block.length), block, body]);
  return Buffer.concat([start, uint32(crc32(start))]);
}
