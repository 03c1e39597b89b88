// A byte stream with one reader at a time, and the bytes that arrived while nobody was reading. Everything above works on
// wires; a test can put an in-memory stream under one.

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

import type { ByteBudget } from 'mitm-core';

/** Whoever reads a wire at the moment. Called synchronously, one call after the other. */
export interface WireReader {
  /** Bytes arrived. On a volatile wire the view is overwritten after the call: copy what has to stay. */
  onData(chunk: Buffer): void;
  /** The peer will send nothing more; it may still read. */
  onEnd(): void;
  /** The stream is gone, with the error that ended it if there was one. Nothing follows. */
  onClose(error: Error | undefined): void;
  /** What was written has left; writing may go on. */
  onDrain(): void;
  /** Nothing moved in either direction for so long; repeated as the silence goes on. */
  onQuiet(quietMs: number): void;
}

export interface WireOptions {
  /** The chunks come in one buffer that the stream reuses. */
  readonly isVolatile?: boolean;
}

/** Every event but `data`; only `error` brings a value. */
type Listener = (error: Error) => void;

/** Silence is measured in this many steps, so that it is noticed at most a quarter late. */
const QUIET_STEPS = 4;

/** Bytes that may wait for a reader before the wire stops reading. */
const HELD_LIMIT_BYTES = 65_536;

export class Wire {
  readonly socket: Duplex;
  readonly isTls: boolean;
  readonly #isVolatile: boolean;
  #reader: WireReader | undefined;
  #held: Buffer | undefined;
  #budget: ByteBudget | undefined;
  #isEnded: boolean;
  #isClosed: boolean;
  #isReleased: boolean;
  #isPaused: boolean;
  #error: Error | undefined;
  #tickMs: number;
  #quietSteps: number;
  #quietTimer: NodeJS.Timeout | undefined;
  #hasWritten: boolean;
  readonly #listeners: readonly (readonly [string, Listener])[];
  readonly #onData: (chunk: Buffer) => void;
  readonly #onLeft: () => void;
  #isBorrowing: boolean;
  #viewsUnderWay: number;

  constructor(socket: Duplex, options: WireOptions = {}) {
    this.socket = socket;
    this.isTls = socket instanceof TLSSocket;
    this.#isVolatile = options.isVolatile ?? false;
    this.#reader = undefined;
    this.#held = undefined;
    this.#budget = undefined;
    // The stream may have come to its end before anybody listened.
    this.#isEnded = socket.readableEnded;
    this.#isClosed = socket.closed;
    this.#isReleased = false;
    this.#isPaused = socket.isPaused();
    this.#error = socket.errored ?? undefined;
    this.#tickMs = 0;
    this.#quietSteps = 0;
    this.#quietTimer = undefined;
    this.#hasWritten = false;
    this.#listeners = [
      ['end', () => this.#ended()],
      ['error', (error) => this.#failed(error)],
      ['close', () => this.#closed()],
      ['drain', () => this.#drained()],
    ];
    this.#onData = (chunk) => this.receive(chunk);
    this.#isBorrowing = false;
    this.#viewsUnderWay = 0;
    this.#onLeft = () => {
      // Writes end in order, each of them told in a later turn: only the last one frees the view.
      this.#viewsUnderWay -= 1;
      if (!this.#isBorrowing || this.#viewsUnderWay > 0) return;
      this.#isBorrowing = false;
      this.#drained();
    };
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
    if (!this.#isVolatile) socket.on('data', this.#onData);
  }

  /** The peer has sent all it will send, and all of it has been read. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What went wrong with the stream, if something did: TLS may fail and the stream only come to its end. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Something has been written to the stream through this wire. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** What the reader gets is overwritten after each call. */
  get isVolatile(): boolean {
    return this.#isVolatile;
  }

  /** Bytes that arrived and wait for a reader. */
  get heldBytes(): number {
    return this.#held?.length ?? 0;
  }

  /** Where bytes are counted that wait on this wire, or in the hands of its reader. */
  get budget(): ByteBudget | undefined {
    return this.#budget;
  }

  /** Counts what waits for a reader from here on. */
  countIn(budget: ByteBudget): void {
    this.#budget?.release(this.heldBytes);
    this.#budget = budget;
    budget.take(this.heldBytes);
  }

  /** Bytes written that have not left yet. */
  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  /** Hands the wire to a reader, which at once gets what was held, and then what is still to come. */
  attach(reader: WireReader): void {
    this.#reader = reader;
    // First of all, so that a reader who asks for a pause while it gets what was held keeps it.
    if (!this.#isClosed) this.resume();
    const held = this.#held;
    if (held !== undefined) {
      this.#hold(undefined);
      reader.onData(held);
    }
    if (this.#reader !== reader) return;
    if (this.#isEnded) reader.onEnd();
    if (this.#reader !== reader) return;
    if (this.#isClosed) reader.onClose(this.#error);
  }

  /** Takes the wire from its reader. Bytes that arrive now are held, and beyond a bound the peer has to wait. */
  detach(): void {
    this.#reader = undefined;
  }

  /** Puts bytes back in front, for the next reader. */
  pushBack(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#hold(this.#held === undefined ? Buffer.from(bytes) : Buffer.concat([bytes, this.#held]));
  }

  /** Drops bytes from the front of what is held. */
  skip(count: number): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#hold(count >= held.length ? undefined : held.subarray(count));
  }

  /** Bytes from the stream; the owner of a volatile stream calls this from its read callback. */
  receive(chunk: Buffer): void {
    this.#quietSteps = 0;
    const reader = this.#reader;
    if (reader !== undefined) {
      reader.onData(chunk);
      return;
    }
    if (this.#held !== undefined) this.#hold(Buffer.concat([this.#held, chunk]));
    else this.#hold(this.#isVolatile ? Buffer.from(chunk) : chunk);
    if (this.heldBytes >= HELD_LIMIT_BYTES) this.pause();
  }

  /** True while reading is not paused; what a volatile stream's read callback returns. */
  get isReading(): boolean {
    return !this.#isPaused;
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.socket.resume();
  }

  /** Writes bytes that stay as they are. False asks the caller to wait for `onDrain`. */
  write(bytes: Buffer): boolean {
    if (this.#isClosed || !this.socket.writable) return true;
    this.#quietSteps = 0;
    this.#hasWritten = true;
    return this.socket.write(bytes);
  }

  /** Writes text of single-byte characters. */
  writeText(text: string): boolean {
    if (this.#isClosed || !this.socket.writable) return true;
    this.#quietSteps = 0;
    this.#hasWritten = true;
    return this.socket.write(text, 'latin1');
  }

  /**
   * Writes a view that its owner overwrites after this call. TLS encrypts it at once when nothing waits before it;
   * in all other cases it is copied.
   */
  writeView(view: Buffer): boolean {
    if (this.#isClosed || !this.socket.writable) return true;
    this.#quietSteps = 0;
    this.#hasWritten = true;
    if (this.isTls && this.socket.writableLength === 0) return this.socket.write(view);
    return this.socket.write(Buffer.from(view));
  }

  /**
   * Writes a view without copying it. False asks the owner to leave the view as it is until `onDrain`; it is for owners
   * that can: a TCP stream reads nothing more once it is paused.
   */
  writeBorrowed(view: Buffer): boolean {
    if (this.isTls || this.socket.writableLength > 0) return this.writeView(view);
    if (this.#isClosed || !this.socket.writable) return true;
    this.#quietSteps = 0;
    this.#hasWritten = true;
    this.#viewsUnderWay += 1;
    this.socket.write(view, this.#onLeft);
    // What the system has not taken at once it takes from the view itself, later.
    this.#isBorrowing = this.socket.writableLength > 0;
    return !this.#isBorrowing;
  }

  /**
   * Ends our direction after what was written; the peer may go on sending.
   *
   * @param onLeft called when all of it has left, or when the stream is gone
   */
  end(onLeft?: () => void): void {
    if (this.#isClosed) onLeft?.();
    else this.socket.end(onLeft);
  }

  /** Gives the stream up at once; one that was released is no longer the wire's to give up. */
  destroy(error?: Error): void {
    if (this.#isReleased) return;
    this.#reader = undefined;
    this.#hold(undefined);
    clearInterval(this.#quietTimer);
    if (!this.socket.destroyed) this.socket.destroy(error);
  }

  /**
   * Gives the stream up so that the peer can tell it from an orderly end: a reset on TCP, a missing close_notify on
   * TLS. A message cut short must never look complete.
   */
  abort(): void {
    if (this.#isReleased) return;
    this.#reader = undefined;
    this.#hold(undefined);
    clearInterval(this.#quietTimer);
    const { socket } = this;
    if (socket.destroyed) return;
    // A pipe has no address and knows no reset.
    if (!(socket instanceof Socket) || this.isTls || socket.remoteAddress === undefined) socket.destroy();
    // While its own end is on the way, a reset fails with EINVAL, and Node leaves the descriptor open for good.
    else if (isEnding(socket)) socket.once('finish', () => socket.resetAndDestroy());
    else socket.resetAndDestroy();
  }

  /** Calls the reader's `onQuiet` after each such time without any traffic; 0 stops that. */
  watchQuiet(tickMs: number): void {
    clearInterval(this.#quietTimer);
    this.#quietSteps = 0;
    this.#tickMs = tickMs;
    // A coarse timer that runs on costs nothing per read and write, as restarting one each time would.
    this.#quietTimer =
      tickMs === 0 || this.#isClosed
        ? undefined
        : setInterval(() => this.#quiet(), Math.max(1, tickMs / QUIET_STEPS)).unref();
  }

  /**
   * Parts from the stream, so that something else (TLS) can take it: held bytes go back into it. It may outlive whoever had the wire,
   * and to destroy it below TLS that is in the middle of a handshake ends the process.
   *
   * @returns the stream, paused, without any listener of ours but one that keeps its errors from being unhandled
   */
  release(): Duplex {
    const { socket } = this;
    this.#isReleased = true;
    this.#reader = undefined;
    this.watchQuiet(0);
    socket.pause();
    for (const [event, listener] of this.#listeners) socket.removeListener(event, listener);
    socket.removeListener('data', this.#onData);
    // Whoever wraps the stream reports its errors; without a listener they would end the process.
    socket.on('error', () => {});
    if (this.#held !== undefined && !this.#isEnded && !socket.destroyed) socket.unshift(this.#held);
    this.#hold(undefined);
    return socket;
  }

  #hold(held: Buffer | undefined): void {
    this.#budget?.release(this.heldBytes);
    this.#held = held;
    this.#budget?.take(this.heldBytes);
  }

  #ended(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reader?.onEnd();
  }

  #failed(error: Error): void {
    this.#error ??= error;
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#quietTimer);
    this.#reader?.onClose(this.#error);
  }

  #drained(): void {
    this.#quietSteps = 0;
    this.#reader?.onDrain();
  }

  #quiet(): void {
    this.#quietSteps += 1;
    // The step that was under way when traffic stopped does not count as silence.
    const steps = this.#quietSteps - 1;
    if (steps > 0 && steps % QUIET_STEPS === 0) this.#reader?.onQuiet((steps / QUIET_STEPS) * this.#tickMs);
  }
}

/** The system has been asked to end our direction, and has not done so yet. */
function isEnding(socket: Socket): boolean {
  return socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
}
