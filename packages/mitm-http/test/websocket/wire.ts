// What the tests of this folder share: the frames of the lab, and what a reader makes of bytes.

import { chunksOf } from '../../../../testing/lab/websocket-wire.ts';
import type { FrameHead } from '../../src/websocket/frame-head.ts';
import { FrameReader } from '../../src/websocket/frame-reader.ts';
import type { FrameSink } from '../../src/websocket/frame-reader.ts';
import type { FrameRules } from '../../src/websocket/frame-rules.ts';
import { MessageReader } from '../../src/websocket/message-reader.ts';
import type { MessageOptions } from '../../src/websocket/message-reader.ts';

export { clientFrame, Deflater, frame, type FrameFields } from '../../../../testing/lab/websocket-wire.ts';

export const fromClient: FrameRules = { direction: 'client_to_server' };
export const fromServer: FrameRules = { direction: 'server_to_client' };

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
