// Two sessions joined in memory by two pipes that deliver as a network may: in any pieces, with stalls and full sockets.
// A meter reads along and knows what each side may send by the rules of the wire alone.
import type { SessionCase } from './session-case.ts';

const prefaceBytes = 24;

/** The windows of one direction, computed from frames: DATA takes, WINDOW_UPDATE of the other direction gives. */
export class WindowMeter {
  connection = 65_535;
  initial = 65_535;
  readonly streams = new Map<number, number>();
  lowest = 65_535;

  take(id: number, bytes: number): void {
    this.connection -= bytes;
    const left = (this.streams.get(id) ?? this.initial) - bytes;
    this.streams.set(id, left);
    // An empty frame may be sent whatever the windows are.
    if (bytes > 0) this.lowest = Math.min(this.lowest, left, this.connection);
  }

  give(id: number, bytes: number): void {
    if (id === 0) this.connection += bytes;
    else this.streams.set(id, (this.streams.get(id) ?? this.initial) + bytes);
  }

  settle(initial: number): void {
    for (const [id, left] of this.streams) this.streams.set(id, left + initial - this.initial);
    this.initial = initial;
  }
}

/** Cuts one direction into frames as they pass by. */
class FrameScanner {
  #rest = Buffer.alloc(0);
  #isFirst = true;
  readonly #onFrame: (type: number, streamId: number, payload: Buffer) => void;

  constructor(onFrame: (type: number, streamId: number, payload: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  read(bytes: Buffer): void {
    let all = Buffer.concat([this.#rest, bytes]);
    if (this.#isFirst && all.length > 0 && all[0] === 0x50) {
      if (all.length >= prefaceBytes) {
        all = all.subarray(prefaceBytes);
        this.#isFirst = false;
      }
    } else if (all.length > 0) this.#isFirst = false;
    let at = 0;
    while (!this.#isFirst && at + 9 <= all.length) {
      const end = at + 9 + all.readUIntBE(at, 3);
      if (end > all.length) break;
      this.#onFrame(all[at + 3] ?? 0, all.readUInt32BE(at + 5), all.subarray(at + 9, end));
      at = end;
    }
    this.#rest = Buffer.from(all.subarray(at));
  }
}

/** One direction. */
export class Pipe {
  #bytes = Buffer.alloc(0);
  readonly #from: SessionCase;
  readonly #to: SessionCase;
  readonly #atSender: FrameScanner;
  readonly #atReceiver: FrameScanner;

  /**
   * @param outgoing the meter of this direction: DATA counts when it is sent.
   * @param incoming that of the other one: what is granted counts when it arrives.
   */
  constructor(from: SessionCase, to: SessionCase, outgoing: WindowMeter, incoming: WindowMeter) {
    this.#from = from;
    this.#to = to;
    this.#atSender = new FrameScanner((type, id, payload) => {
      if (type === 0) outgoing.take(id, payload.length);
    });
    this.#atReceiver = new FrameScanner((type, id, payload) => {
      if (type === 8) incoming.give(id, payload.readUInt32BE(0));
      if (type !== 4) return;
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === 4) incoming.settle(payload.readUInt32BE(at + 2));
      }
    });
  }

  get waitingBytes(): number {
    return this.#bytes.length;
  }

  /** Takes what the sender has put out. */
  fill(): void {
    const taken = this.#from.session.takeOutput();
    if (taken === undefined) return;
    const copy = Buffer.from(taken);
    // Whoever keeps the memory must not see it change: it is given back only after it was copied, and spoiled.
    taken.fill(0xee);
    this.#from.session.releaseOutput();
    this.#bytes = Buffer.concat([this.#bytes, copy]);
    this.#atSender.read(copy);
  }

  /** Delivers up to that many bytes as one chunk, which is spoiled afterwards. */
  deliver(bytes: number, nowMs = 0): void {
    const chunk = Buffer.from(this.#bytes.subarray(0, bytes));
    this.#bytes = this.#bytes.subarray(chunk.length);
    if (chunk.length === 0) return;
    this.#atReceiver.read(chunk);
    this.#to.session.receive(chunk, nowMs);
    chunk.fill(0xdd);
  }
}

/** Delivers everything both ways until nothing moves any more. */
export function settle(pipes: readonly Pipe[]): void {
  for (let isMoving = true; isMoving;) {
    isMoving = false;
    for (const pipe of pipes) {
      pipe.fill();
      if (pipe.waitingBytes > 0) isMoving = true;
      pipe.deliver(1 << 20);
    }
  }
}
