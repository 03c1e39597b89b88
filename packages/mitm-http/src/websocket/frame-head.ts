// The 2 to 14 bytes before a frame's payload, both ways (RFC 6455 §5.2). Nothing is judged here.

/** Bytes of the longest head: 64 bits of length and a mask. */
export const maxHeadBytes = 14;
const finalBit = 0x80;
const maskBit = 0x80;
const length16 = 126;
const length64 = 127;
const maxLength16 = 0xffff;

/** RSV1 in {@link FrameHead.rsv}: with permessage-deflate, the message is compressed (RFC 7692 §6). */
export const rsv1 = 0b100;

/** What stands before a payload. Immutable. */
export class FrameHead {
  readonly isFinal: boolean;
  /** The three reserved bits, RSV1 the highest. */
  readonly rsv: number;
  readonly opcode: number;
  readonly isMasked: boolean;
  /** The four bytes of the mask as a big-endian number; 0 without one. */
  readonly maskKey: number;
  /** Declared length. Above 2^53 it is rounded. */
  readonly payloadBytes: number;
  /** Length of the head itself. */
  readonly headBytes: number;

  /** Reads the head at `at`, all of which must be there: see {@link headBytesAt}. */
  constructor(bytes: Buffer, at: number) {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1] ?? 0;
    const lengthCode = second & 0x7f;
    let payloadBytes = lengthCode;
    let next = at + 2;
    if (lengthCode === length16) {
      payloadBytes = bytes.readUInt16BE(next);
      next += 2;
    } else if (lengthCode === length64) {
      payloadBytes = bytes.readUInt32BE(next) * 0x1_0000_0000 + bytes.readUInt32BE(next + 4);
      next += 8;
    }
    this.isFinal = (first & finalBit) !== 0;
    this.rsv = (first >> 4) & 0b111;
    this.opcode = first & 0x0f;
    this.isMasked = (second & maskBit) !== 0;
    this.maskKey = this.isMasked ? bytes.readUInt32BE(next) : 0;
    this.payloadBytes = payloadBytes;
    this.headBytes = (this.isMasked ? next + 4 : next) - at;
  }

  /** Whether it is a close, ping, pong or a reserved control frame. */
  get isControl(): boolean {
    return this.opcode >= 0x8;
  }

  /** Head and payload together. */
  get frameBytes(): number {
    return this.headBytes + this.payloadBytes;
  }
}

/** How long the head at `at` is, as far as `available` bytes tell: 2 until both of the first two bytes are there. */
export function headBytesAt(bytes: Buffer, at: number, available: number): number {
  if (available < 2) return 2;
  const second = bytes[at + 1] ?? 0;
  const lengthCode = second & 0x7f;
  const lengthBytes = lengthCode === length16 ? 2 : lengthCode === length64 ? 8 : 0;
  return 2 + lengthBytes + (second >= maskBit ? 4 : 0);
}

/** How long the head of such a frame is at least; a sender may use no longer one (§5.2). */
export function leastHeadBytes(payloadBytes: number, isMasked: boolean): number {
  const lengthBytes = payloadBytes < length16 ? 0 : payloadBytes <= maxLength16 ? 2 : 8;
  return 2 + lengthBytes + (isMasked ? 4 : 0);
}

/** What a head is made from. */
export interface FrameHeadFields {
  readonly opcode: number;
  /** Default true. */
  readonly isFinal?: boolean;
  /** Default 0. */
  readonly rsv?: number;
  readonly payloadBytes: number;
  /** The four bytes of the mask as a big-endian number; `undefined` for frames of a server. */
  readonly maskKey?: number | undefined;
}

/** The head as it stands on the wire. @throws {RangeError} for what has no place in it. */
export function encodeFrameHead(fields: FrameHeadFields): Buffer {
  const { opcode, isFinal = true, rsv = 0, payloadBytes, maskKey } = fields;
  requireInteger('opcode', opcode, 0x0f);
  requireInteger('rsv', rsv, 0b111);
  requireInteger('payloadBytes', payloadBytes, Number.MAX_SAFE_INTEGER);
  if (maskKey !== undefined) requireInteger('maskKey', maskKey, 0xffff_ffff);
  const head = Buffer.allocUnsafe(leastHeadBytes(payloadBytes, maskKey !== undefined));
  head[0] = (isFinal ? finalBit : 0) | (rsv << 4) | opcode;
  const mask = maskKey === undefined ? 0 : maskBit;
  if (payloadBytes < length16) head[1] = mask | payloadBytes;
  else if (payloadBytes <= maxLength16) {
    head[1] = mask | length16;
    head.writeUInt16BE(payloadBytes, 2);
  } else {
    head[1] = mask | length64;
    head.writeUInt32BE(Math.floor(payloadBytes / 0x1_0000_0000), 2);
    head.writeUInt32BE(payloadBytes % 0x1_0000_0000, 6);
  }
  if (maskKey !== undefined) head.writeUInt32BE(maskKey, head.length - 4);
  return head;
}

function requireInteger(name: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return;
  throw new RangeError(`${name} is an integer from 0 to ${most}, not ${value}`);
}
