// What the tests of this folder share: frames as they stand on the wire, peers that compress, and what a reader makes of bytes.
import { constants, createDeflateRaw } from 'node:zlib';
import type { DeflateRaw } from 'node:zlib';

import { encodeFrameHead } from '../../src/websocket/frame-head.ts';
import type { FrameHead } from '../../src/websocket/frame-head.ts';
import { FrameReader } from '../../src/websocket/frame-reader.ts';
import type { FrameSink } from '../../src/websocket/frame-reader.ts';
import type { FrameRules } from '../../src/websocket/frame-rules.ts';
import { applyMask } from '../../src/websocket/mask.ts';
import { MessageReader } from '../../src/websocket/message-reader.ts';
import type { MessageOptions } from '../../src/websocket/message-reader.ts';
import { opcode } from '../../src/websocket/opcode.ts';

export interface FrameFields {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  readonly rsv?: number;
  readonly payload?: string | Buffer;
  readonly maskKey?: number | undefined;
}

/** A whole frame; text and final unless told otherwise. */
export function frame(fields: FrameFields = {}): Buffer {
  const { payload = '', maskKey, ...rest } = fields;
  const bytes = Buffer.from(payload);
  const head = encodeFrameHead({ opcode: opcode.text, payloadBytes: bytes.length, maskKey, ...rest });
  if (maskKey !== undefined) applyMask(bytes, 0, bytes.length, maskKey, 0);
  return Buffer.concat([head, bytes]);
}

/** The same as a client sends it. */
export function clientFrame(fields: FrameFields = {}): Buffer {
  return frame({ maskKey: 0xa1b2c3d4, ...fields });
}

export const fromClient: FrameRules = { direction: 'client_to_server' };
export const fromServer: FrameRules = { direction: 'server_to_client' };

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

/** Keeps what it is told: frames with their payload as on the wire. */
export class Recorder implements FrameSink {
  readonly frames: { head: FrameHead; payload: Buffer; isEnded: boolean }[] = [];

  frameHead(head: FrameHead): void {
    this.frames.push({ head, payload: Buffer.alloc(0), isEnded: false });
  }

  framePayload(bytes: Buffer, start: number, end: number): void {
    const last = this.frames.at(-1);
    if (last === undefined || last.isEnded || end <= start) throw new Error('a piece belongs to no frame');
    last.payload = Buffer.concat([last.payload, bytes.subarray(start, end)]);
  }

  frameEnd(): void {
    const last = this.frames.at(-1);
    if (last === undefined || last.isEnded) throw new Error('no frame to end');
    last.isEnded = true;
  }
}

export interface Relayed {
  readonly reader: FrameReader;
  readonly frames: Recorder['frames'];
  /** What went on to the other side. */
  readonly passed: Buffer;
}

/** Reads bytes as a relay does. */
export function relay(
  bytes: Buffer,
  rules: FrameRules,
  sizes: readonly number[] = [],
  sink: FrameSink = new Recorder(),
): Relayed {
  const reader = new FrameReader(rules);
  const parts: Buffer[] = [];
  for (const chunk of chunksOf(bytes, sizes)) {
    const { held } = reader;
    const count = reader.push(chunk, sink);
    if (count > 0) parts.push(held, chunk.subarray(0, count));
  }
  return { reader, frames: sink instanceof Recorder ? sink.frames : [], passed: Buffer.concat(parts) };
}

/** The messages in the bytes of one direction, each as its text and its facts. */
export function messagesIn(
  bytes: Buffer,
  rules: FrameRules,
  options: Partial<MessageOptions> = {},
  sizes: readonly number[] = [],
): Record<string, unknown>[] {
  const messages: Record<string, unknown>[] = [];
  const sink = new MessageReader({ maxBytes: 1_000_000, ...options }, (payload, facts) => {
    messages.push({ text: payload.toString('latin1'), ...facts });
  });
  relay(bytes, rules, sizes, sink);
  return messages;
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
