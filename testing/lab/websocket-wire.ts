// WebSocket frames as they stand on the wire, written without the code under test, and a peer that compresses.
import { constants, createDeflateRaw, type DeflateRaw } from 'node:zlib';

export interface FrameFields {
  /** Text unless given. */
  readonly opcode?: number;
  /** True unless given. */
  readonly isFinal?: boolean;
  /** The three reserved bits, RSV1 the highest of them. */
  readonly rsv?: number;
  readonly payload?: string | Buffer;
  readonly maskKey?: number | undefined;
}

const TEXT = 1;

/** A whole frame. */
export function frame(fields: FrameFields = {}): Buffer {
  const { opcode = TEXT, isFinal = true, rsv = 0, payload = '', maskKey } = fields;
  const body = Buffer.from(payload);
  const mask = maskKey === undefined ? 0 : 0x80;
  const first = (isFinal ? 0x80 : 0) | (rsv << 4) | opcode;
  const head = lengthHead(first, mask, body.length);
  if (maskKey === undefined) return Buffer.concat([head, body]);
  const key = Buffer.alloc(4);
  key.writeUInt32BE(maskKey);
  for (let i = 0; i < body.length; i += 1) body[i] = (body[i] ?? 0) ^ (key[i % 4] ?? 0);
  return Buffer.concat([head, key, body]);
}

/** The same as a client sends it. */
export function clientFrame(fields: FrameFields = {}): Buffer {
  return frame({ maskKey: 0xa1b2c3d4, ...fields });
}

function lengthHead(first: number, mask: number, length: number): Buffer {
  if (length < 126) return Buffer.from([first, mask | length]);
  const long = length > 0xffff;
  const head = Buffer.alloc(long ? 10 : 4);
  head[0] = first;
  head[1] = mask | (long ? 127 : 126);
  if (long) head.writeBigUInt64BE(BigInt(length), 2);
  else head.writeUInt16BE(length, 2);
  return head;
}

/** Cuts bytes into chunks of these sizes; what is left comes in one. */
export function* chunksOf(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    if (at >= bytes.length) return;
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
  if (at < bytes.length) yield Buffer.from(bytes.subarray(at));
}

/** One direction of a peer that compresses: each message as it goes into frames. */
export class Deflater {
  #stream: DeflateRaw;
  readonly #windowBits: number;
  readonly #hasContextTakeover: boolean;

  constructor(hasContextTakeover = true, windowBits = 15) {
    this.#hasContextTakeover = hasContextTakeover;
    this.#windowBits = windowBits;
    this.#stream = createDeflateRaw({ windowBits });
  }

  async deflate(message: string | Buffer): Promise<Buffer> {
    if (!this.#hasContextTakeover) this.#stream = createDeflateRaw({ windowBits: this.#windowBits });
    const stream = this.#stream;
    const parts: Buffer[] = [];
    const take = (part: Buffer) => void parts.push(part);
    stream.on('data', take);
    stream.write(message);
    await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve));
    stream.off('data', take);
    return Buffer.concat(parts).subarray(0, -4);
  }
}

/** A frame read back, with its mask undone. */
export interface ReadFrame {
  readonly opcode: number;
  readonly isMasked: boolean;
  readonly payload: Buffer;
}

/** The whole frames in these bytes. */
export function framesIn(bytes: Buffer): ReadFrame[] {
  const frames: ReadFrame[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const opcode = (bytes[at] ?? 0) & 0x0f;
    const second = bytes[at + 1] ?? 0;
    const isMasked = second >= 0x80;
    const short = second & 0x7f;
    at += 2;
    let length = short;
    if (short === 126) length = bytes.readUInt16BE(at);
    else if (short === 127) length = Number(bytes.readBigUInt64BE(at));
    at += short === 126 ? 2 : short === 127 ? 8 : 0;
    const key = bytes.subarray(at, at + 4);
    if (isMasked) at += 4;
    const payload = Buffer.from(bytes.subarray(at, at + length));
    if (isMasked)
      for (let i = 0; i < payload.length; i += 1) payload[i] = (payload[i] ?? 0) ^ (key[i % 4] ?? 0);
    frames.push({ opcode, isMasked, payload });
    at += length;
  }
  return frames;
}
