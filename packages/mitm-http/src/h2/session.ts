// One end of an HTTP/2 connection without a socket, a timer or a clock: bytes and the time go in, calls of the listeners and
// bytes come out. It never throws on what a peer sends; every way to its end tells each stream once.

import { H2Connection } from './connection.ts';
import { ControlReceiver } from './control-receiver.ts';
import { h2Code, H2SessionError } from './error-codes.ts';
import { FrameReader } from './frame-reader.ts';
import { FrameReceiver } from './frame-receiver.ts';
import { clientPreface, frameHeadBytes, frameType, maxInt31, writeFrameHead, writeUint32 } from './frames.ts';
import type { SessionListener, SessionOptions, SessionStats, StreamListener } from './session-types.ts';
import { maxSettingsBytes, writeSettings } from './settings.ts';
import type { H2Stream } from './stream.ts';

/** Encoded size that a header block may have, as a multiple of the list that we announce. */
const blockBytesFactor = 4;
const defaultConnectionWindow = 65_535;

/** A session, driven by whoever owns the transport. */
export class H2Session {
  readonly #connection: H2Connection;
  readonly #reader: FrameReader;
  #settingsDeadlineMs = Number.POSITIVE_INFINITY;
  #stalledSinceMs = -1;
  #bytesAtStall = 0;
  #pingCount = 0;

  constructor(options: SessionOptions, listener: SessionListener) {
    const connection = new H2Connection(options, listener);
    this.#connection = connection;
    const limits = {
      maxContinuationFrames: options.limits.maxContinuationFrames,
      maxHeaderBlockBytes: options.maxHeaderListBytes * blockBytesFactor,
    };
    const receiver = new FrameReceiver(connection, new ControlReceiver(connection));
    this.#reader = new FrameReader(connection.isServer, limits, receiver);
  }

  /** Puts the preface and our SETTINGS into the output. Call it once, before anything else. */
  start(nowMs: number): void {
    const { options, output, sender, isServer } = this.#connection;
    const preface = isServer ? '' : clientPreface;
    const at = output.room(preface.length + frameHeadBytes + maxSettingsBytes);
    output.bytes.write(preface, at, 'latin1');
    const headAt = at + preface.length;
    const end = writeSettings(options, output.bytes, headAt + frameHeadBytes);
    writeFrameHead(output.bytes, headAt, end - headAt - frameHeadBytes, frameType.settings, 0, 0);
    output.commit(end);
    const more = options.connectionWindowBytes - defaultConnectionWindow;
    if (more > 0) sender.writeWindowUpdate(0, more);
    this.#settingsDeadlineMs = nowMs + options.settingsTimeoutMs;
  }

  /**
   * Takes bytes of the peer in any chunks. Views of the chunk go to listeners; nothing is kept of it but a copy of what is
   * incomplete. After the end of the session it does nothing.
   * @param nowMs monotonic time.
   */
  receive(chunk: Buffer, nowMs: number): void {
    const connection = this.#connection;
    if (connection.isOver) return;
    connection.nowMs = nowMs;
    connection.guard.roll(nowMs);
    this.#reader.push(chunk);
  }

  /** The transport has ended: streams that are not complete are told `reset` with INTERNAL_ERROR by `session`. */
  end(): void {
    if (!this.#connection.isOver) this.#connection.endStreams(h2Code.internalError);
  }

  /**
   * Ends the session when a deadline has passed: the acknowledgement of our SETTINGS, or the bound for data that finds no window.
   * @returns the next deadline as things stand now, or Infinity. Data queued later has a deadline of its own: call again
   * every second or so, a late call does no harm.
   */
  tick(nowMs: number): number {
    const connection = this.#connection;
    if (connection.isOver) return Number.POSITIVE_INFINITY;
    const settingsMs = connection.isAcknowledged ? Number.POSITIVE_INFINITY : this.#settingsDeadlineMs;
    if (nowMs >= settingsMs) {
      const message = `SETTINGS were not acknowledged within ${connection.options.settingsTimeoutMs} ms`;
      connection.fail(h2Code.settingsTimeout, message);
      return Number.POSITIVE_INFINITY;
    }
    const stallMs = this.#stallDeadline(nowMs);
    if (nowMs >= stallMs) {
      connection.flood('zero_window_stall');
      return Number.POSITIVE_INFINITY;
    }
    return Math.min(settingsMs, stallMs);
  }

  /**
   * Client: makes a stream. It counts as open at once and gets its id with its first head.
   * @throws {H2SessionError} `cannot_open_stream` when {@link canOpen} is false.
   */
  openStream(listener: StreamListener): H2Stream {
    const connection = this.#connection;
    if (!this.canOpen) {
      const message = `no stream can be opened: ${this.openCount} of ${this.peerMaxStreams} are open, or the session ends`;
      throw new H2SessionError(h2Code.refusedStream, 'cannot_open_stream', message);
    }
    const stream = connection.newStream(0, listener);
    connection.table.openCount++;
    connection.table.unsent.add(stream);
    return stream;
  }

  /** Client: whether {@link openStream} succeeds. Until the peer's SETTINGS have come it assumes 100 streams. */
  get canOpen(): boolean {
    const { isServer, isOver, isDraining, table, peer } = this.#connection;
    return !isServer && !isOver && !isDraining && table.openCount < peer.maxConcurrentStreams && table.hasIds;
  }

  /** Streams that are not over. */
  get openCount(): number {
    return this.#connection.table.openCount;
  }

  /** How many streams the peer lets us open; Infinity when it sets no limit. */
  get peerMaxStreams(): number {
    return this.#connection.peer.maxConcurrentStreams;
  }

  /** Whether the peer takes extended CONNECT (RFC 8441). */
  get peerAllowsConnectProtocol(): boolean {
    return this.#connection.peer.isConnectProtocolEnabled;
  }

  /** Largest header list that the peer wants to see, in bytes; Infinity when it doesn't say. */
  get peerMaxHeaderListBytes(): number {
    return this.#connection.peer.maxHeaderListBytes;
  }

  /** Whether the peer's SETTINGS have come. */
  get isPeerKnown(): boolean {
    return this.#connection.peer.isKnown;
  }

  /** Whether GOAWAY was sent or received: the session ends when its streams have. */
  get isDraining(): boolean {
    return this.#connection.isDraining;
  }

  /** Whether nothing is received or sent any more. What is in the output may still be taken. */
  get isOver(): boolean {
    return this.#connection.isOver;
  }

  /** The rule that the peer broke, where that ended the session; known before the streams are told. */
  get failure(): H2SessionError | undefined {
    return this.#connection.failure;
  }

  /** Payload that waits for windows or for the socket, in bytes. */
  get queuedBytes(): number {
    return this.#connection.sender.queuedBytes;
  }

  /** Counts so far. */
  get stats(): SessionStats {
    return this.#connection.counts;
  }

  /** When the last answer to a {@link ping} came, on the clock of `receive`; -1 before. */
  get lastPongMs(): number {
    return this.#connection.lastPongMs;
  }

  /** Asks the peer for a sign of life. */
  ping(): void {
    if (this.#connection.isOver) return;
    const opaque = Buffer.alloc(8);
    writeUint32(opaque, 4, ++this.#pingCount);
    this.#connection.sender.writePing(0, opaque, 0);
  }

  /** Tells the peer that {@link goaway} will follow, while it may still open streams (RFC 9113 §6.8). */
  goawayNotice(): void {
    const connection = this.#connection;
    if (connection.isOver || connection.isRefusing) return;
    connection.isDraining = true;
    connection.sender.writeGoaway(connection.isServer ? maxInt31 : 0, h2Code.noError, '');
  }

  /** Ends gracefully: new streams are refused, those that are open go on. */
  goaway(code: number = h2Code.noError, debug = ''): void {
    const connection = this.#connection;
    if (connection.isOver) return;
    connection.isDraining = true;
    connection.isRefusing = true;
    connection.sender.writeGoaway(connection.table.lastPeerId, code, debug);
  }

  /** Ends at once: GOAWAY goes to the output and every stream is told `reset` by `session` with this code. */
  abort(code: number, debug = ''): void {
    this.#connection.close(code, debug);
  }

  /**
   * Everything to be written, as one view; nothing when there is none. The memory is the caller's for good, unless it calls
   * {@link releaseOutput}. Streams that waited only because the output was full go on at once, which may call `writable`
   * and `outputReady` before this returns: what they write comes with the next call.
   */
  takeOutput(): Buffer | undefined {
    const { output, sender, isOver } = this.#connection;
    const taken = output.take();
    if (!isOver && taken !== undefined && sender.waiting.size > 0) sender.pump();
    return taken;
  }

  /**
   * The view that {@link takeOutput} returned last has been copied or written by the transport: its memory may be used for
   * the next frames. Never call it while a write of the view is under way.
   */
  releaseOutput(): void {
    this.#connection.output.release(this.#connection.table.openCount === 0);
  }

  /** Nothing is going on for a while: memory that is kept for speed is let go. What comes next makes it anew. */
  rest(): void {
    this.#connection.output.rest();
  }

  /** The socket takes no more for now, or again. While it is congested payload waits; heads and control frames don't. */
  setCongested(isCongested: boolean): void {
    const { sender, isOver } = this.#connection;
    sender.isCongested = isCongested;
    if (!isCongested && !isOver) sender.pump();
  }

  // Data waits and not one byte of any stream has gone since the last look.
  #stallDeadline(nowMs: number): number {
    const { sender, counts, options } = this.#connection;
    if (sender.queuedBytes === 0 || sender.isCongested) {
      this.#stalledSinceMs = -1;
      return Number.POSITIVE_INFINITY;
    }
    if (this.#stalledSinceMs < 0 || this.#bytesAtStall !== counts.dataBytesSent) {
      this.#stalledSinceMs = nowMs;
      this.#bytesAtStall = counts.dataBytesSent;
    }
    return this.#stalledSinceMs + options.limits.zeroWindowMs;
  }
}
