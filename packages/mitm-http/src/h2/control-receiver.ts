// Frames that carry no part of a message: settings, windows, resets, pings and the end of a connection. Each rule that needs
// more than the head of a frame is checked here (RFC 9113 §6.3 - §6.9).

import type { H2Connection } from './connection.ts';
import { h2Code } from './error-codes.ts';
import { frameFlag, frameType, maxInt31, readInt31, readUint32 } from './frames.ts';
import { standing } from './stream-table.ts';
import { sendPhase } from './stream.ts';

const mostDebugBytes = 256;

/** Handles control frames. One per session. */
export class ControlReceiver {
  readonly #connection: H2Connection;

  constructor(connection: H2Connection) {
    this.#connection = connection;
  }

  /** Takes a whole frame that is neither DATA nor part of a header block; its head has been checked. */
  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case frameType.windowUpdate:
        this.#windowUpdate(streamId, readInt31(bytes, start));
        return;
      case frameType.rstStream:
        this.#resetStream(streamId, readUint32(bytes, start));
        return;
      case frameType.settings:
        this.#settings(flags, bytes, start, end);
        return;
      case frameType.ping:
        this.#ping(flags, bytes, start);
        return;
      case frameType.goaway:
        this.#goaway(bytes, start, end);
        return;
      case frameType.priority:
        this.#priority(streamId, bytes, start, end);
        return;
      default:
        this.#connection.ignore();
    }
  }

  #windowUpdate(streamId: number, increment: number): void {
    const connection = this.#connection;
    connection.flood(connection.guard.countWindowUpdate());
    if (connection.isOver) return;
    if (streamId === 0) {
      this.#connectionWindow(increment);
      return;
    }
    const stream = connection.table.streams.get(streamId);
    if (stream === undefined) {
      this.#outside(streamId, 'WINDOW_UPDATE');
      return;
    }
    if (increment === 0) connection.failStream(streamId, stream, h2Code.protocolError);
    else if (stream.sendWindow + increment > maxInt31) {
      connection.failStream(streamId, stream, h2Code.flowControlError);
    } else {
      stream.sendWindow += increment;
      connection.sender.pumpStream(stream);
    }
  }

  #connectionWindow(increment: number): void {
    const connection = this.#connection;
    const sender = connection.sender;
    if (increment === 0) {
      connection.fail(h2Code.protocolError, 'WINDOW_UPDATE of the connection adds 0');
    } else if (sender.window + increment > maxInt31) {
      connection.fail(
        h2Code.flowControlError,
        `a connection window of ${sender.window} grows by ${increment}`,
      );
    } else {
      const wasClosed = sender.window <= 0;
      sender.window += increment;
      // While the window was open, every stream that waits does so for another reason.
      if (wasClosed) sender.pump();
    }
  }

  #resetStream(streamId: number, code: number): void {
    const connection = this.#connection;
    const stream = connection.table.streams.get(streamId);
    if (stream === undefined) {
      this.#outside(streamId, 'RST_STREAM');
      return;
    }
    connection.counts.resetsReceived++;
    connection.sender.forget(stream, standing.resetByPeer);
    stream.listener?.reset(code, 'peer', code === h2Code.refusedStream);
    // What was answered in full was no work for nothing.
    const isWaste = connection.isServer && stream.phase !== sendPhase.ended;
    if (isWaste) connection.flood(connection.guard.countReset());
  }

  #settings(flags: number, bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection;
    connection.flood(connection.guard.countSettings());
    if (connection.isOver) return;
    if ((flags & frameFlag.ack) !== 0) {
      connection.isAcknowledged = true;
      return;
    }
    const { peer, sender, encoder } = connection;
    const fault = peer.apply(bytes, start, end);
    if (fault !== undefined) {
      connection.fail(fault.code, fault.message);
      return;
    }
    encoder.setMaxTableBytes(peer.lowestHeaderTableBytes);
    encoder.setMaxTableBytes(peer.headerTableBytes);
    if (!this.#moveWindows(peer.initialWindowBytes - sender.peerInitialWindow)) return;
    sender.writeSettingsAck();
    connection.boundAnswers();
    if (connection.isOver) return;
    connection.listener.settings();
    sender.pump();
  }

  // A new initial window applies to the streams that are open, even below zero (RFC 9113 §6.9.2).
  #moveWindows(difference: number): boolean {
    if (difference === 0) return true;
    const { sender, table } = this.#connection;
    sender.peerInitialWindow += difference;
    for (const stream of table.streams.values()) {
      stream.sendWindow += difference;
      if (stream.sendWindow > maxInt31) {
        this.#connection.fail(
          h2Code.flowControlError,
          `SETTINGS moves the window of stream ${stream.id} over 2^31 - 1`,
        );
        return false;
      }
    }
    return true;
  }

  #ping(flags: number, bytes: Buffer, start: number): void {
    const connection = this.#connection;
    if ((flags & frameFlag.ack) !== 0) {
      connection.lastPongMs = connection.nowMs;
      connection.ignore();
      return;
    }
    connection.flood(connection.guard.countPing());
    if (connection.isOver) return;
    connection.sender.writePing(frameFlag.ack, bytes, start);
    connection.boundAnswers();
  }

  #goaway(bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection;
    const lastStreamId = readInt31(bytes, start);
    const code = readUint32(bytes, start + 4);
    connection.isGoawayReceived = true;
    connection.isDraining = true;
    if (!connection.isServer) this.#giveBack(lastStreamId, code);
    if (connection.isOver) return;
    const debugEnd = Math.min(end, start + 8 + mostDebugBytes);
    connection.listener.goaway(lastStreamId, code, bytes.toString('latin1', start + 8, debugEnd));
  }

  // The peer has not touched streams above the last one and never will (RFC 9113 §6.8).
  #giveBack(lastStreamId: number, code: number): void {
    const { sender, table } = this.#connection;
    const resetCode = code === h2Code.noError ? h2Code.refusedStream : code;
    const untouched = [...table.unsent];
    for (const stream of table.streams.values()) if (stream.id > lastStreamId) untouched.push(stream);
    for (const stream of untouched) {
      if (stream.isOver) continue;
      sender.forget(stream, standing.resetByUs);
      stream.listener?.reset(resetCode, 'peer', true);
    }
  }

  // Priorities do nothing (RFC 9113 §5.3.2), but one that is not well-formed is a fault still.
  #priority(streamId: number, bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection;
    const length = end - start;
    if (length === 5 && readInt31(bytes, start) !== streamId) {
      connection.ignore();
      return;
    }
    const code = length === 5 ? h2Code.protocolError : h2Code.frameSizeError;
    const stream = connection.table.streams.get(streamId);
    // RST_STREAM is for streams that were opened only, so that elsewhere it has to be the connection.
    if (stream !== undefined) connection.failStream(streamId, stream, code);
    else connection.fail(code, `PRIORITY of ${length} bytes on stream ${streamId} is not well-formed`);
  }

  // WINDOW_UPDATE and RST_STREAM may come for some time after the end of a stream.
  #outside(streamId: number, what: string): void {
    const known = this.#connection.table.standingOf(streamId);
    if (known === standing.idle || known === standing.illegal) {
      this.#connection.fail(h2Code.protocolError, `${what} on stream ${streamId}, which was never opened`);
    } else this.#connection.ignore();
  }
}
