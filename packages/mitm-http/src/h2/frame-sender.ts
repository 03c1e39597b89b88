// Our direction of a connection: heads, payload within the windows of the peer, and the small frames. What windows or the
// socket hold back waits per stream and goes out one frame of each stream in turn (RFC 9113 §5.2, §6.1).

import type { HeaderList } from '../header-map.ts';
import { h2Code, H2SessionError } from './error-codes.ts';
import type { FloodGuard } from './floods.ts';
import type { FrameOutput } from './frame-output.ts';
import {
  frameFlag,
  frameHeadBytes,
  frameType,
  maxFramePayload,
  writeFrameHead,
  writeUint32,
} from './frames.ts';
import { writeBlock } from './header-frames.ts';
import type { HpackEncoder } from './hpack-encoder.ts';
import type { SessionCounts } from './session-counts.ts';
import type { StreamTable } from './stream-table.ts';
import { standing } from './stream-table.ts';
import type { H2Stream } from './stream.ts';
import { sendPhase } from './stream.ts';

/** So much output in one turn is enough: a peer with huge windows must not make us hold all of its answer at once. */
const fullOutputBytes = 262_144;
const mostDebugBytes = 256;

/** Sends frames. One per connection. */
export class FrameSender {
  readonly output: FrameOutput;
  /** What we may send on all streams together. */
  window = 65_535;
  /** What the peer grants a new stream. */
  peerInitialWindow = 65_535;
  /** The socket takes nothing at the moment. */
  isCongested = false;
  /** Payload that waits on all streams. */
  queuedBytes = 0;
  /** Streams that have something to send, or were told to wait, in the order of their turn. */
  readonly waiting = new Set<H2Stream>();
  #isPumping = false;
  readonly #encoder: HpackEncoder;
  readonly #table: StreamTable;
  readonly #guard: FloodGuard;
  readonly #counts: SessionCounts;

  constructor(
    output: FrameOutput,
    encoder: HpackEncoder,
    table: StreamTable,
    guard: FloodGuard,
    counts: SessionCounts,
  ) {
    this.output = output;
    this.#encoder = encoder;
    this.#table = table;
    this.#guard = guard;
    this.#counts = counts;
  }

  /** See `H2Stream.sendHead`. */
  sendHead(
    stream: H2Stream,
    fields: HeaderList,
    isEnded: boolean,
    sensitiveNames: ReadonlySet<string> | undefined,
  ): void {
    if (stream.phase !== sendPhase.head) throw misused(stream, 'a head after its final head');
    if (stream.id === 0) this.#openLocal(stream, fields);
    const epoch = this.output.epoch;
    const at = writeBlock(this.output, this.#encoder, stream.id, fields, isEnded, sensitiveNames);
    if (isInterim(fields)) return;
    stream.lastFrameAt = at;
    stream.lastFrameEpoch = epoch;
    if (isEnded) this.#completeSending(stream);
    else stream.phase = sendPhase.body;
  }

  /** See `H2Stream.sendData`. */
  sendData(stream: H2Stream, view: Buffer): boolean {
    if (stream.phase !== sendPhase.body) throw misused(stream, 'payload outside of its body');
    const length = view.length;
    let at = 0;
    if (stream.queue === undefined && !this.#isFull()) {
      const allowed = Math.min(length, stream.sendWindow, this.window);
      while (at < allowed) {
        const end = Math.min(allowed, at + maxFramePayload);
        this.#writeData(stream, view, at, end, 0);
        at = end;
      }
    }
    if (at === length && this.isWritable(stream)) return true;
    if (at < length) {
      const rest = Buffer.from(at === 0 ? view : view.subarray(at));
      this.queuedBytes += rest.length;
      if (stream.queue === undefined) stream.queue = [rest];
      else stream.queue.push(rest);
    }
    this.waiting.add(stream);
    return false;
  }

  /** See `H2Stream.sendEnd`. */
  sendEnd(
    stream: H2Stream,
    trailers: HeaderList | undefined,
    sensitiveNames: ReadonlySet<string> | undefined,
  ): boolean {
    if (stream.phase !== sendPhase.body) throw misused(stream, 'an end outside of its body');
    if (stream.queue !== undefined) {
      stream.phase = sendPhase.ending;
      stream.queuedTrailers = trailers;
      stream.queuedSensitiveNames = sensitiveNames;
      return false;
    }
    this.waiting.delete(stream);
    this.#writeEnd(stream, trailers, sensitiveNames);
    return true;
  }

  /** See `H2Stream.isWritable`. */
  isWritable(stream: H2Stream): boolean {
    return (
      stream.phase === sendPhase.body &&
      stream.queue === undefined &&
      stream.sendWindow > 0 &&
      this.window > 0 &&
      !this.#isFull()
    );
  }

  /** See `H2Stream.reset`. */
  resetByOwner(stream: H2Stream, code: number): void {
    if (stream.id !== 0) this.writeReset(stream.id, code);
    this.forget(stream, standing.resetByUs);
  }

  /** See `H2Stream.consume`. */
  consume(stream: H2Stream, bytes: number): void {
    const increment = stream.window.consume(bytes);
    if (increment > 0) this.writeWindowUpdate(stream.id, increment);
  }

  /** Drops what waits on a stream and takes it out of the table. */
  forget(stream: H2Stream, why: (typeof standing)[keyof typeof standing]): void {
    this.dropQueue(stream);
    this.#table.remove(stream, why);
  }

  /** Drops what waits on a stream. */
  dropQueue(stream: H2Stream): void {
    this.waiting.delete(stream);
    this.queuedBytes -= stream.queuedBytes;
    stream.queue = undefined;
    stream.queueAt = 0;
    stream.queuedTrailers = undefined;
    stream.queuedSensitiveNames = undefined;
  }

  /** The peer's END_STREAM has come; the stream is over when ours has gone. */
  completeReceiving(stream: H2Stream): void {
    stream.isRemoteEnded = true;
    if (stream.phase === sendPhase.ended) this.#complete(stream);
  }

  /** SETTINGS with ACK. */
  writeSettingsAck(): void {
    const output = this.output;
    output.controlFrames++;
    const at = output.room(frameHeadBytes);
    output.commit(writeFrameHead(output.bytes, at, 0, frameType.settings, frameFlag.ack, 0));
  }

  /** PING with the eight bytes at `from`. */
  writePing(flags: number, opaque: Buffer, from: number): void {
    const output = this.output;
    output.controlFrames++;
    const at = output.room(frameHeadBytes + 8);
    const payloadAt = writeFrameHead(output.bytes, at, 8, frameType.ping, flags, 0);
    opaque.copy(output.bytes, payloadAt, from, from + 8);
    output.commit(payloadAt + 8);
  }

  /** GOAWAY with a text for people. */
  writeGoaway(lastStreamId: number, code: number, debug: string): void {
    const output = this.output;
    const text = debug.slice(0, mostDebugBytes);
    const at = output.room(frameHeadBytes + 8 + text.length);
    const payloadAt = writeFrameHead(output.bytes, at, 8 + text.length, frameType.goaway, 0, 0);
    writeUint32(output.bytes, payloadAt, lastStreamId);
    writeUint32(output.bytes, payloadAt + 4, code);
    output.bytes.write(text, payloadAt + 8, 'latin1');
    output.commit(payloadAt + 8 + text.length);
  }

  /** RST_STREAM. */
  writeReset(streamId: number, code: number): void {
    this.#counts.resetsSent++;
    this.output.controlFrames++;
    this.#writeNumber(frameType.rstStream, streamId, code);
  }

  /** WINDOW_UPDATE. */
  writeWindowUpdate(streamId: number, increment: number): void {
    this.#writeNumber(frameType.windowUpdate, streamId, increment);
  }

  /** Serves the streams that wait, one frame each in turn, until nothing more may go. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      let idleCount = 0;
      // A stream that is served goes to the end of the set, where this loop finds it again.
      for (const stream of this.waiting) {
        if (this.window <= 0 || this.#isFull() || idleCount >= this.waiting.size) break;
        this.waiting.delete(stream);
        if (this.#serve(stream)) idleCount = 0;
        else idleCount++;
      }
    } finally {
      this.#isPumping = false;
    }
  }

  /** The window of one stream has grown. */
  pumpStream(stream: H2Stream): void {
    while (this.waiting.has(stream) && this.window > 0 && !this.#isFull() && this.#serve(stream));
  }

  // Sends one frame of what waits on a stream, or tells it that nothing waits any more. `false`: it has to wait on.
  #serve(stream: H2Stream): boolean {
    const queue = stream.queue;
    if (stream.sendWindow <= 0) {
      this.waiting.add(stream);
      return false;
    }
    if (queue !== undefined && !this.#sendQueued(stream, queue)) {
      this.waiting.delete(stream);
      this.waiting.add(stream);
      return true;
    }
    if (stream.phase === sendPhase.body && !this.isWritable(stream)) {
      this.waiting.add(stream);
      return false;
    }
    this.waiting.delete(stream);
    stream.listener?.writable();
    return true;
  }

  // One frame from the queue. Returns whether the queue is empty now, and the end sent if there was one.
  #sendQueued(stream: H2Stream, queue: Buffer[]): boolean {
    const first = queue[0];
    if (first !== undefined) {
      const start = stream.queueAt;
      const end = Math.min(first.length, start + Math.min(maxFramePayload, stream.sendWindow, this.window));
      const isLast = end === first.length && queue.length === 1;
      this.queuedBytes -= end - start;
      this.#writeData(stream, first, start, end, 0);
      if (end < first.length) {
        stream.queueAt = end;
        return false;
      }
      stream.queueAt = 0;
      queue.shift();
      if (!isLast) return false;
    }
    stream.queue = undefined;
    if (stream.phase === sendPhase.ending) {
      const { queuedTrailers, queuedSensitiveNames } = stream;
      stream.queuedTrailers = undefined;
      stream.queuedSensitiveNames = undefined;
      this.#writeEnd(stream, queuedTrailers, queuedSensitiveNames);
    }
    return true;
  }

  #isFull(): boolean {
    return this.isCongested || this.output.length >= fullOutputBytes;
  }

  #openLocal(stream: H2Stream, fields: HeaderList): void {
    this.#table.assignId(stream);
    stream.sendWindow = this.peerInitialWindow;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== ':method') continue;
      stream.method = fields[i + 1] ?? '';
      return;
    }
  }

  #writeData(stream: H2Stream, view: Buffer, start: number, end: number, flags: number): void {
    const output = this.output;
    const length = end - start;
    const at = output.room(frameHeadBytes + length);
    const payloadAt = writeFrameHead(output.bytes, at, length, frameType.data, flags, stream.id);
    if (length > 0) view.copy(output.bytes, payloadAt, start, end);
    stream.lastFrameAt = at;
    stream.lastFrameEpoch = output.epoch;
    stream.sendWindow -= length;
    this.window -= length;
    this.#counts.dataBytesSent += length;
    this.#guard.dataFramesSent++;
    output.commit(payloadAt + length);
  }

  #writeEnd(
    stream: H2Stream,
    trailers: HeaderList | undefined,
    sensitiveNames: ReadonlySet<string> | undefined,
  ): void {
    if (trailers !== undefined && trailers.length > 0) {
      writeBlock(this.output, this.#encoder, stream.id, trailers, true, sensitiveNames);
    } else if (stream.lastFrameEpoch === this.output.epoch) {
      const flagsAt = stream.lastFrameAt + 4;
      this.output.bytes[flagsAt] = (this.output.bytes[flagsAt] ?? 0) | frameFlag.endStream;
    } else this.#writeData(stream, noPayload, 0, 0, frameFlag.endStream);
    this.#completeSending(stream);
  }

  #completeSending(stream: H2Stream): void {
    stream.phase = sendPhase.ended;
    if (stream.isRemoteEnded) this.#complete(stream);
  }

  #complete(stream: H2Stream): void {
    this.#counts.completedStreams++;
    this.#guard.completedStreams++;
    this.forget(stream, standing.closed);
  }

  #writeNumber(type: number, streamId: number, value: number): void {
    const output = this.output;
    const at = output.room(frameHeadBytes + 4);
    const payloadAt = writeFrameHead(output.bytes, at, 4, type, 0, streamId);
    writeUint32(output.bytes, payloadAt, value);
    output.commit(payloadAt + 4);
  }
}

const noPayload = Buffer.alloc(0);

function isInterim(fields: HeaderList): boolean {
  if (fields[0] !== ':status') return false;
  const status = fields[1] ?? '';
  return status.length === 3 && status.charCodeAt(0) === 0x31;
}

function misused(stream: H2Stream, what: string): H2SessionError {
  const message = `stream ${stream.id} was given ${what}; a stream takes one final head, then payload, then one end`;
  return new H2SessionError(h2Code.internalError, 'misused_stream', message);
}
