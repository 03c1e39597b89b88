// The chunks of one exchange: frames of its bodies, numbered in the order in which they were seen and delivered through the flow's
// queue. A handler that is too slow loses chunks, or holds the traffic back, as the configuration says.
import type { FrameFacts, FrameParser, WebSocketAgreement } from 'mitm-http';

import { BodyObserver } from './body-observer.ts';
import type { FlowQueue } from './flow-queue.ts';
import type { Flow } from './flow.ts';
import type { Direction, StreamChunk } from './messages.ts';
import { WebSocketObservation } from './websocket-observation.ts';

/** A body that is to be watched. */
export interface WatchedBody {
  readonly direction: Direction;
  readonly parser: FrameParser;
  readonly contentEncoding: string;
}

export class ChunkStream {
  readonly #flow: Flow;
  readonly #queue: () => FlowQueue;
  #sequence: number;
  #sseSequence: number;
  #toClient: BodyObserver | undefined;
  #toServer: BodyObserver | undefined;
  #webSocket: WebSocketObservation | undefined;
  #isBehind: boolean;
  /** The traffic waited as long as it may: until there is room again, chunks are dropped. */
  #hasTimedOut: boolean;
  #timer: NodeJS.Timeout | undefined;
  readonly #relieved: () => void;
  #ending: Promise<void> | undefined;

  /**
   * @param queue the flow's queue, made when first needed
   * @param relieved told when traffic that was held back may go on
   */
  constructor(flow: Flow, queue: () => FlowQueue, relieved: () => void) {
    this.#flow = flow;
    this.#queue = queue;
    this.#sequence = 0;
    this.#sseSequence = 0;
    this.#toClient = undefined;
    this.#toServer = undefined;
    this.#webSocket = undefined;
    this.#isBehind = false;
    this.#hasTimedOut = false;
    this.#timer = undefined;
    this.#relieved = relieved;
    this.#ending = undefined;
  }

  /** Begins to watch a body. */
  watch(body: WatchedBody): void {
    const { direction } = body;
    const observer = new BodyObserver(this.#flow, {
      ...body,
      emit: (payload, facts) => this.#deliver(direction, payload, facts),
    });
    if (direction === 'client_to_server') this.#toServer = observer;
    else this.#toClient = observer;
  }

  /** Everything from here on is a WebSocket. */
  openWebSocket(agreement: WebSocketAgreement): void {
    const isWanted = this.#flow.engine.handler.handler.onStreamChunk !== undefined;
    this.#webSocket = new WebSocketObservation(
      this.#flow,
      agreement,
      isWanted ? (direction, payload, facts) => this.#deliver(direction, payload, facts) : undefined,
    );
  }

  get isWebSocket(): boolean {
    return this.#webSocket !== undefined;
  }

  /** The WebSocket is over. */
  closeWebSocket(isFailed: boolean, detail: string | undefined): void {
    this.#webSocket?.finish(isFailed, detail);
    this.#webSocket = undefined;
  }

  /** Traffic shall wait until `relieved` has been told. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  push(direction: Direction, piece: Buffer): void {
    if (this.#webSocket !== undefined) {
      this.#webSocket.push(direction, piece);
      return;
    }
    const observer = this.#observer(direction);
    observer?.push(piece);
    if (observer?.isBehind === true && !this.#isBehind && this.#flow.mayHoldBack)
      this.#holdBack((listener) => observer.onCaughtUp(listener));
  }

  /** A body is complete. */
  end(direction: Direction): void {
    const ending = this.#observer(direction)?.end();
    if (ending !== undefined) this.#ending = this.#ending === undefined ? ending : this.#both(ending);
  }

  /** Resolves when all frames of bodies that have ended are in the queue. */
  get ending(): Promise<void> | undefined {
    return this.#ending;
  }

  /** The exchange is over before its bodies are. */
  cancel(): void {
    this.#toClient?.cancel();
    this.#toServer?.cancel();
    clearTimeout(this.#timer);
  }

  async #both(ending: Promise<void>): Promise<void> {
    await this.#ending;
    await ending;
  }

  #observer(direction: Direction): BodyObserver | undefined {
    return direction === 'client_to_server' ? this.#toServer : this.#toClient;
  }

  #deliver(direction: Direction, payload: Uint8Array, facts: FrameFacts): void {
    const flow = this.#flow;
    if (facts.kind === 'sse_data') this.#announce(payload, facts);
    if (flow.engine.handler.handler.onStreamChunk === undefined) return;
    const sequence = this.#sequence;
    this.#sequence += 1;
    const { budget, metrics, handler } = flow.engine;
    const mayWait = flow.mayHoldBack && !this.#hasTimedOut;
    const hasRoom = budget.tryTake(payload.length);
    if (!hasRoom && !mayWait) {
      metrics.dispatchDropped(1);
      return;
    }
    // What has come is taken all the same; what follows waits.
    if (!hasRoom) budget.take(payload.length);
    const chunk: StreamChunk = {
      connectionId: flow.connection.id,
      flowId: flow.id,
      direction,
      sequence,
      frameKind: facts.kind,
      payload: Buffer.from(payload),
      facts,
    };
    const call = (): void | Promise<void> => {
      budget.release(payload.length);
      return handler.observeChunk(flow, chunk);
    };
    const queue = this.#queue();
    if (!queue.push(call, () => budget.release(payload.length), mayWait)) {
      budget.release(payload.length);
      metrics.dispatchDropped(1);
      return;
    }
    if (this.#isBehind || !flow.mayHoldBack) return;
    if (queue.isFull) this.#holdBack((listener) => queue.onRoom(listener));
    else if (!hasRoom && budget.isFull) this.#holdBack((listener) => budget.onRoom(listener));
  }

  /** Lets the traffic wait. @param onRoom calls back when it may go on */
  #holdBack(onRoom: (listener: () => void) => void): void {
    this.#isBehind = true;
    this.#flow.engine.metrics.backpressureActivated();
    const goOn = (): void => {
      clearTimeout(this.#timer);
      if (!this.#isBehind) return;
      this.#isBehind = false;
      this.#relieved();
    };
    this.#timer = setTimeout(() => {
      this.#hasTimedOut = true;
      goOn();
    }, this.#flow.config.flowRuntime.dispatchQueueSendTimeoutMs);
    onRoom(() => {
      this.#hasTimedOut = false;
      goOn();
    });
  }

  #announce(payload: Uint8Array, facts: Extract<FrameFacts, { readonly kind: 'sse_data' }>): void {
    this.#sseSequence += 1;
    const flow = this.#flow;
    if (!flow.admits('sse_event')) return;
    flow.emit('sse_event', {
      sequenceNo: this.#sseSequence,
      dataLineCount: facts.dataLineCount,
      dataLen: payload.length,
      data: Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'),
      event: facts.event,
      id: facts.id,
      retryMs: facts.retryMs,
      http2StreamId: flow.http2StreamId,
    });
  }
}
