// Watches a WebSocket on its way: what the events tell of its frames and turns, and its messages for the handler. It reads a copy of
// what was relayed, so that nothing here changes or delays it.
import {
  deflateOf,
  type EmitFrame,
  type FrameHead,
  FrameReader,
  type FrameSink,
  MessageReader,
  opcode,
  opcodeLabel,
  TurnTracker,
  type WebSocketAgreement,
  type WebSocketFault,
} from 'mitm-http';

import type { Flow } from './flow.ts';
import type { Direction } from './messages.ts';

/** Takes a message or a close frame; its payload is valid during the call. */
export type DeliverMessage = (direction: Direction, ...frame: Parameters<EmitFrame>) => void;

export class WebSocketObservation {
  readonly #flow: Flow;
  readonly #turns: TurnTracker;
  readonly #client: DirectionWatch;
  readonly #server: DirectionWatch;
  #frameCount: number;
  #timer: NodeJS.Timeout | undefined;
  #bytesFromClient: number;
  #bytesFromServer: number;

  /** @param deliver undefined where nobody wants the messages */
  constructor(flow: Flow, agreement: WebSocketAgreement, deliver: DeliverMessage | undefined) {
    this.#flow = flow;
    this.#turns = new TurnTracker({
      turnStarted: (turn) => flow.emit('websocket_turn_started', turn),
      turnCompleted: (turn) => flow.emit('websocket_turn_completed', turn),
    });
    this.#client = this.#watch('client_to_server', agreement, deliver);
    this.#server = this.#watch('server_to_client', agreement, deliver);
    this.#frameCount = 0;
    this.#timer = undefined;
    this.#bytesFromClient = flow.bytesFromClient;
    this.#bytesFromServer = flow.bytesFromServer;
    flow.emit('websocket_opened', {
      relayMode: 'intercept',
      subprotocol: agreement.protocol,
      extensions: agreement.extensions.map(({ name }) => name).join(', ') || undefined,
    });
  }

  /** Takes bytes that were relayed. */
  push(direction: Direction, bytes: Buffer): void {
    (direction === 'client_to_server' ? this.#client : this.#server).push(bytes);
  }

  /** The WebSocket is over; later calls do nothing. */
  finish(isFailed: boolean, detail: string | undefined): void {
    clearTimeout(this.#timer);
    const closeReason = this.#turns.finish(isFailed);
    this.#flow.emit('websocket_closed', {
      closeReason,
      bytesFromClient: this.#flow.bytesFromClient - this.#bytesFromClient,
      bytesFromServer: this.#flow.bytesFromServer - this.#bytesFromServer,
      reasonDetail: detail,
    });
  }

  #watch(
    direction: Direction,
    agreement: WebSocketAgreement,
    deliver: DeliverMessage | undefined,
  ): DirectionWatch {
    const { deflate, hasUnknownExtension } = agreement;
    const messages =
      deliver === undefined
        ? undefined
        : new MessageReader(
            {
              maxBytes: this.#flow.config.body.maxDecoderBytes,
              hasUnknownExtension,
              ...(deflate === undefined ? {} : { deflate: deflateOf(deflate, direction) }),
            },
            (payload, facts) => deliver(direction, payload, facts),
          );
    const rules = { direction, hasDeflate: deflate !== undefined, hasUnknownExtension };
    return new DirectionWatch(new FrameReader(rules), messages, {
      // Over HTTP/1 such a frame does not pass; over HTTP/2 nobody else tells of it.
      fault: ({ code, detail }) =>
        this.#flow.note('decoder_failed', {
          decoder: 'websocket',
          decoderErrorCode: code,
          decoderErrorDetail: detail,
          decoderStage: 'protocol_frame_parse',
          direction,
          http2StreamId: this.#flow.http2StreamId,
        }),
      head: (head) => this.#announce(direction, head),
      end: (head) => this.#count(direction, head),
    });
  }

  #announce(direction: Direction, head: FrameHead): void {
    this.#frameCount += 1;
    if (!this.#flow.admits('websocket_frame')) return;
    this.#flow.emit('websocket_frame', {
      direction,
      frameKind: head.isControl ? 'control' : 'data',
      sequenceNo: this.#frameCount,
      opcode: head.opcode,
      opcodeLabel: opcodeLabel(head.opcode),
      fin: head.isFinal,
      masked: head.isMasked,
      payloadLen: head.payloadBytes,
      frameLen: head.frameBytes,
    });
  }

  #count(direction: Direction, head: FrameHead): void {
    this.#turns.frame({
      direction,
      sequenceNo: this.#frameCount,
      isControl: head.isControl,
      isClose: head.opcode === opcode.close,
      payloadBytes: head.payloadBytes,
      atMs: Date.now(),
    });
    // One timer that is looked at when it rings costs nothing per frame.
    this.#timer ??= this.#nextIdle();
  }

  #nextIdle(): NodeJS.Timeout | undefined {
    const { idleAtMs } = this.#turns;
    if (idleAtMs === undefined) return undefined;
    return setTimeout(
      () => {
        this.#turns.expire(Date.now());
        this.#timer = this.#nextIdle();
      },
      Math.max(1, idleAtMs - Date.now()),
    ).unref();
  }
}

interface WatchListener {
  readonly head: (head: FrameHead) => void;
  readonly end: (head: FrameHead) => void;
  /** A rule was broken; nothing is read from here on. */
  readonly fault: (fault: WebSocketFault) => void;
}

/** One direction: its frames, and its messages where they are wanted. */
class DirectionWatch implements FrameSink {
  readonly #reader: FrameReader;
  readonly #messages: MessageReader | undefined;
  readonly #told: WatchListener;
  #head: FrameHead | undefined;
  #isFaultTold: boolean;

  constructor(reader: FrameReader, messages: MessageReader | undefined, told: WatchListener) {
    this.#reader = reader;
    this.#messages = messages;
    this.#told = told;
    this.#head = undefined;
    this.#isFaultTold = false;
  }

  push(bytes: Buffer): void {
    this.#reader.push(bytes, this);
    const { fault } = this.#reader;
    if (fault === undefined || this.#isFaultTold) return;
    this.#isFaultTold = true;
    this.#told.fault(fault);
  }

  frameHead(head: FrameHead): void {
    this.#head = head;
    this.#told.head(head);
    this.#messages?.frameHead(head);
  }

  framePayload(bytes: Buffer, start: number, end: number): void {
    this.#messages?.framePayload(bytes, start, end);
  }

  frameEnd(): void {
    const head = this.#head;
    this.#messages?.frameEnd();
    if (head !== undefined) this.#told.end(head);
  }
}
