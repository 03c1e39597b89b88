// What the parts of a session share: its streams, windows and settings, and the ways in which a stream or all of it ends.
// Whatever ends is taken out before anyone is told, so that a listener may call back.

import type { FloodReason, H2SessionError } from './error-codes.ts';
import { floodError, h2Code, h2ConnectionError } from './error-codes.ts';
import { FloodGuard } from './floods.ts';
import { ConnectionCredit, ReceiveWindow } from './flow-control.ts';
import { FrameOutput } from './frame-output.ts';
import { FrameSender } from './frame-sender.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { SessionCounts } from './session-counts.ts';
import type { SessionListener, SessionOptions, StreamListener } from './session-types.ts';
import { PeerSettings } from './settings.ts';
import { standing, StreamTable } from './stream-table.ts';
import { H2Stream } from './stream.ts';

const defaultWindowBytes = 65_535;

/** The shared state of one session. */
export class H2Connection {
  readonly options: SessionOptions;
  readonly listener: SessionListener;
  readonly isServer: boolean;
  readonly table: StreamTable;
  readonly output: FrameOutput;
  readonly sender: FrameSender;
  readonly guard: FloodGuard;
  readonly counts = new SessionCounts();
  readonly peer: PeerSettings;
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder();
  /** What the peer may send on all streams together. */
  readonly credit: ConnectionCredit;
  /** Nothing is received or sent any more. */
  isOver = false;
  /** The rule that the peer broke, where that ended the session. */
  failure: H2SessionError | undefined = undefined;
  /** Our SETTINGS were acknowledged. */
  isAcknowledged = false;
  /** We have sent GOAWAY and refuse new streams. */
  isRefusing = false;
  /** Any GOAWAY was sent or received. */
  isDraining = false;
  /** The peer has sent GOAWAY. */
  isGoawayReceived = false;
  /** Answer to our last PING. */
  lastPongMs = -1;
  /** The time of what is being received. */
  nowMs = 0;

  constructor(options: SessionOptions, listener: SessionListener) {
    this.options = options;
    this.listener = listener;
    this.isServer = options.role === 'server';
    this.table = new StreamTable(this.isServer);
    this.output = new FrameOutput(() => listener.outputReady());
    this.guard = new FloodGuard(options.limits);
    this.sender = new FrameSender(this.output, this.encoder, this.table, this.guard, this.counts);
    this.peer = new PeerSettings(!this.isServer);
    this.credit = new ConnectionCredit(Math.max(options.connectionWindowBytes, defaultWindowBytes));
  }

  /** Makes a stream; it is in no table yet. */
  newStream(id: number, listener: StreamListener | undefined): H2Stream {
    const { initialWindowBytes, maxWindowBytes } = this.options;
    const graceBytes = this.isAcknowledged ? 0 : defaultWindowBytes;
    const window = new ReceiveWindow(initialWindowBytes, maxWindowBytes, graceBytes);
    const stream = new H2Stream(id, this.sender, window, listener);
    stream.sendWindow = this.sender.peerInitialWindow;
    this.counts.openedStreams++;
    return stream;
  }

  /** The peer broke a rule of the connection (RFC 9113 §5.4.1). */
  fail(code: number, message: string): void {
    this.failWith(h2ConnectionError(code, message));
  }

  /** The peer keeps us busy with nothing (RFC 9113 §10.5). */
  flood(reason: FloodReason | undefined): void {
    if (reason !== undefined) this.failWith(floodError(reason));
  }

  /** Ends the session because of an error of the peer. */
  failWith(error: H2SessionError): void {
    if (this.isOver) return;
    this.failure = error;
    this.close(error.code, error.message);
    this.listener.failed(error);
  }

  /** Sends GOAWAY and ends everything. */
  close(code: number, debug: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.sender.writeGoaway(this.table.lastPeerId, code, debug);
    this.endStreams(code);
  }

  /** All streams end with the session. Only a request whose head never left is surely unprocessed. */
  endStreams(code: number): void {
    this.isOver = true;
    const { unsent, streams } = this.table;
    const open = [...unsent, ...streams.values()];
    for (const stream of open) this.sender.forget(stream, standing.closed);
    for (const stream of open) stream.listener?.reset(code, 'session', stream.id === 0);
  }

  /** The peer broke a rule on one stream (RFC 9113 §5.4.2), which may be one that was never made or is no more. */
  failStream(id: number, stream: H2Stream | undefined, code: number): void {
    this.sender.writeReset(id, code);
    if (stream === undefined) this.table.noteReset(id, standing.resetByUs);
    else {
      this.sender.forget(stream, standing.resetByUs);
      stream.listener?.reset(code, 'local', false);
    }
    if (this.isServer) this.flood(this.guard.countReset());
    this.boundAnswers();
  }

  /** A frame that has no effect. */
  ignore(): void {
    this.flood(this.guard.countIgnored());
  }

  /** A peer that takes nothing can't make us owe it ever more answers. */
  boundAnswers(): void {
    if (this.output.controlFrames > this.options.limits.maxQueuedControlFrames)
      this.flood('control_queue_flood');
  }

  /** A frame came on a stream that is closed: with gaps between ids it may never have been open (RFC 9113 §5.1.1). */
  refuseClosed(id: number, what: string): void {
    if (this.table.hasGaps) this.fail(h2Code.protocolError, `${what} on stream ${id}, which was passed over`);
    else this.fail(h2Code.streamClosed, `${what} on stream ${id}, which is closed`);
  }
}
