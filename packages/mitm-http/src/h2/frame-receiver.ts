// Messages as they come in: header blocks and payload of open streams, in the order that RFC 9113 §8.1 allows. What comes on
// other streams is judged by what is known of them; either way it counts for compression and for the connection's window.

import type { H2Connection } from './connection.ts';
import type { ControlReceiver } from './control-receiver.ts';
import { h2Code } from './error-codes.ts';
import type { FloodReason } from './error-codes.ts';
import type { FrameSink } from './frame-reader.ts';
import type { HeaderBlock } from './hpack-decoder.ts';
import { HpackError } from './hpack-error.ts';
import { H2MessageError } from './message-error.ts';
import type { H2RequestHead } from './request-head.ts';
import { parseH2Request } from './request-head.ts';
import type { H2ResponseHead } from './response-head.ts';
import { parseH2Response } from './response-head.ts';
import { standing } from './stream-table.ts';
import type { H2Stream } from './stream.ts';
import { checkH2Trailers } from './trailers.ts';

const noPayload = Buffer.alloc(0);

/** Handles what the reader cuts out. One per session. */
export class FrameReceiver implements FrameSink {
  readonly #connection: H2Connection;
  readonly #control: ControlReceiver;
  // The stream whose DATA frame is coming in; none when its payload is not wanted.
  #dataStream: H2Stream | undefined = undefined;
  #isDataEnd = false;

  constructor(connection: H2Connection, control: ControlReceiver) {
    this.#connection = connection;
    this.#control = control;
  }

  get isOver(): boolean {
    return this.#connection.isOver;
  }

  fault(code: number, message: string): void {
    this.#connection.fail(code, message);
  }

  flood(reason: FloodReason): void {
    this.#connection.flood(reason);
  }

  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    this.#control.frame(type, flags, streamId, bytes, start, end);
  }

  dataHead(streamId: number, isEnded: boolean, frameBytes: number, dataBytes: number): void {
    const connection = this.#connection;
    this.#dataStream = undefined;
    const increment = connection.credit.receive(frameBytes);
    if (increment > 0) connection.sender.writeWindowUpdate(0, increment);
    const stream = connection.table.streams.get(streamId);
    if (stream === undefined) this.#dataOutside(streamId);
    else if (stream.isRemoteEnded) connection.failStream(streamId, stream, h2Code.streamClosed);
    else this.#startData(stream, isEnded, frameBytes, dataBytes);
  }

  dataPiece(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    const stream = this.#dataStream;
    if (stream === undefined || stream.isOver) return;
    const isEnded = isLast && this.#isDataEnd;
    if (isEnded) this.#connection.sender.completeReceiving(stream);
    const isWhole = start === 0 && end === chunk.length;
    stream.listener?.data(isWhole ? chunk : chunk.subarray(start, end), isEnded);
  }

  headerBlock(
    streamId: number,
    isEnded: boolean,
    dependsOn: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const connection = this.#connection;
    const stream = connection.table.streams.get(streamId);
    const known = stream === undefined ? connection.table.standingOf(streamId) : standing.idle;
    if (
      known === standing.illegal ||
      (known === standing.idle && stream === undefined && !connection.isServer)
    ) {
      connection.fail(h2Code.protocolError, `HEADERS on stream ${streamId}, which the peer can't open`);
      return;
    }
    if (known === standing.closed) {
      connection.refuseClosed(streamId, 'HEADERS');
      return;
    }
    const block = this.#decode(bytes, start, end);
    if (block === undefined) return;
    if (known === standing.resetByUs) connection.ignore();
    else if (known === standing.resetByPeer) connection.failStream(streamId, undefined, h2Code.streamClosed);
    else if (stream === undefined) this.#openStream(streamId, block, isEnded, dependsOn);
    else this.#continueStream(stream, block, isEnded, dependsOn);
  }

  // Every block has to be decoded, or the table of the connection would be out of step (RFC 9113 §4.3).
  #decode(bytes: Buffer, start: number, end: number): HeaderBlock | undefined {
    const { decoder, options } = this.#connection;
    try {
      return decoder.decode(bytes, start, end, options.maxHeaderListBytes);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      if (error.code === 'list_too_large') this.#connection.flood('header_list_flood');
      else this.#connection.fail(h2Code.compressionError, error.message);
      return undefined;
    }
  }

  #openStream(id: number, block: HeaderBlock, isEnded: boolean, dependsOn: number): void {
    const { table, counts, options, sender, guard, isRefusing } = this.#connection;
    table.noteOpened(id);
    if (isRefusing || table.openCount >= options.maxConcurrentStreams) {
      counts.refusedStreams++;
      table.noteReset(id, standing.resetByUs);
      sender.writeReset(id, h2Code.refusedStream);
      this.#connection.flood(guard.countRefused());
      this.#connection.boundAnswers();
      return;
    }
    const isTooLarge = block.listBytes > options.maxHeaderListBytes;
    const head = isTooLarge || dependsOn === id ? undefined : requestOf(block);
    const isContradiction = head !== undefined && isEnded && head.contentLength > 0;
    if (dependsOn === id || (!isTooLarge && (head === undefined || isContradiction))) {
      this.#connection.failStream(id, undefined, h2Code.protocolError);
      return;
    }
    const stream = this.#connection.newStream(id, undefined);
    stream.isHeadReceived = true;
    stream.isRemoteEnded = isEnded;
    if (head !== undefined) stream.expectedBytes = head.contentLength;
    table.add(stream);
    if (head === undefined) this.#connection.listener.headTooLarge(stream, isEnded);
    else this.#connection.listener.request(stream, head, isEnded);
  }

  #continueStream(stream: H2Stream, block: HeaderBlock, isEnded: boolean, dependsOn: number): void {
    const connection = this.#connection;
    if (stream.isRemoteEnded) connection.failStream(stream.id, stream, h2Code.streamClosed);
    else if (dependsOn === stream.id || block.fault !== undefined) this.#malformed(stream);
    else if (block.listBytes > connection.options.maxHeaderListBytes) this.#tooLarge(stream);
    else if (stream.isHeadReceived) this.#takeTrailers(stream, block, isEnded);
    else this.#takeResponse(stream, block, isEnded);
  }

  #takeTrailers(stream: H2Stream, block: HeaderBlock, isEnded: boolean): void {
    if (!isEnded || !areTrailers(block) || !isComplete(stream)) {
      this.#malformed(stream);
      return;
    }
    this.#connection.sender.completeReceiving(stream);
    stream.listener?.trailers(block.fields, block.sensitiveNames);
  }

  #takeResponse(stream: H2Stream, block: HeaderBlock, isEnded: boolean): void {
    const head = responseOf(block);
    if (head === undefined || (head.status < 200 && isEnded)) {
      this.#malformed(stream);
      return;
    }
    if (head.status < 200) {
      stream.listener?.informational(head);
      return;
    }
    stream.isHeadReceived = true;
    stream.isBodyless = stream.method === 'HEAD' || head.status === 204 || head.status === 304;
    // A tunnel has no length (RFC 9110 §9.3.6).
    const isTunnel = stream.method === 'CONNECT' && head.status < 300;
    if (!stream.isBodyless && !isTunnel) stream.expectedBytes = head.contentLength;
    if (isEnded && !isComplete(stream)) {
      this.#malformed(stream);
      return;
    }
    if (isEnded) this.#connection.sender.completeReceiving(stream);
    stream.listener?.response(head, isEnded);
  }

  // A response head over the limit has a listener call of its own; trailers end like any other fault.
  #tooLarge(stream: H2Stream): void {
    if (stream.isHeadReceived) this.#malformed(stream);
    else {
      this.#connection.sender.resetByOwner(stream, h2Code.protocolError);
      stream.listener?.responseTooLarge();
    }
  }

  #malformed(stream: H2Stream): void {
    this.#connection.failStream(stream.id, stream, h2Code.protocolError);
  }

  #dataOutside(id: number): void {
    const connection = this.#connection;
    switch (connection.table.standingOf(id)) {
      case standing.resetByUs:
        connection.ignore();
        return;
      case standing.resetByPeer:
        connection.failStream(id, undefined, h2Code.streamClosed);
        return;
      case standing.closed:
        connection.refuseClosed(id, 'DATA');
        return;
      case standing.idle:
      case standing.illegal:
        connection.fail(h2Code.protocolError, `DATA on stream ${id}, which was never opened`);
    }
  }

  // Everything that is wrong with a frame is seen at its head, before its payload reaches anyone.
  #startData(stream: H2Stream, isEnded: boolean, frameBytes: number, dataBytes: number): void {
    const connection = this.#connection;
    if (!stream.isHeadReceived) {
      this.#malformed(stream);
      return;
    }
    if (!stream.window.receive(frameBytes)) {
      connection.failStream(stream.id, stream, h2Code.flowControlError);
      return;
    }
    if (frameBytes > dataBytes) connection.sender.consume(stream, frameBytes - dataBytes);
    stream.receivedBytes += dataBytes;
    const isTooLong = stream.expectedBytes >= 0 && stream.receivedBytes > stream.expectedBytes;
    if (isTooLong || (stream.isBodyless && dataBytes > 0) || (isEnded && !isComplete(stream))) {
      this.#malformed(stream);
      return;
    }
    if (dataBytes > 0) {
      connection.guard.dataFramesReceived++;
      connection.counts.dataBytesReceived += dataBytes;
      this.#dataStream = stream;
      this.#isDataEnd = isEnded;
    } else if (isEnded) {
      connection.sender.completeReceiving(stream);
      stream.listener?.data(noPayload, true);
    } else connection.flood(connection.guard.countEmptyData());
  }
}

/** Whether as much came as content-length promised (RFC 9113 §8.1.1). */
function isComplete(stream: H2Stream): boolean {
  return stream.expectedBytes < 0 || stream.receivedBytes === stream.expectedBytes;
}

function requestOf(block: HeaderBlock): H2RequestHead | undefined {
  if (block.fault !== undefined) return undefined;
  try {
    return parseH2Request(block.fields, block.sensitiveNames);
  } catch (error) {
    if (error instanceof H2MessageError) return undefined;
    throw error;
  }
}

function responseOf(block: HeaderBlock): H2ResponseHead | undefined {
  try {
    return parseH2Response(block.fields, block.sensitiveNames);
  } catch (error) {
    if (error instanceof H2MessageError) return undefined;
    throw error;
  }
}

function areTrailers(block: HeaderBlock): boolean {
  try {
    checkH2Trailers(block.fields);
    return true;
  } catch (error) {
    if (error instanceof H2MessageError) return false;
    throw error;
  }
}
