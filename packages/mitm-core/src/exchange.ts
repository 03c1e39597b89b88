// One request and its answer, whatever carried them: what the events say about it, what the handler sees of it, and how
// it ends. The relay tells it what passes; it never touches a socket, and the relay never calls a handler.
import {
  grpcProtocolOf,
  type HeaderList,
  type HeaderMap,
  mediaType,
  type WebSocketAgreement,
} from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { Capture } from './capture.ts';
import { ChunkStream } from './chunk-stream.ts';
import { decodedBody, noBytes } from './decoded-body.ts';
import type { ExchangeInit, RequestFacts, ResponseFacts } from './exchange-facts.ts';
import { FlowQueue, isPromise, type QueuedCall } from './flow-queue.ts';
import type { Flow } from './flow.ts';
import { GrpcObservation } from './grpc-observation.ts';
import { allow, type Awaitable, type HandlerDecision } from './handler.ts';
import { requestView, responseView } from './message-views.ts';
import type { Direction, RawRequest } from './messages.ts';

/** Requests that may stream both ways: waiting for the end of their body would wait for ever. */
const streamingRequestTypes = /^application\/(?:grpc|connect)\b/;

export class Exchange {
  readonly flow: Flow;
  readonly request: RequestFacts;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly path: string;
  /** True when the request must not go on before `decide` has answered. */
  readonly isJudged: boolean;
  /** True when the handler is to see the whole body, so the relay reads it before it asks. */
  readonly wantsBody: boolean;
  readonly isObserved: boolean;
  readonly #hasBody: boolean;
  /** In monitor mode: the handler has not been shown the request yet. */
  #isRequestUnshown: boolean;
  #isClosed: boolean;
  #isClosing: boolean;
  #queue: FlowQueue | undefined;
  #requestCapture: Capture | undefined;
  #responseCapture: Capture | undefined;
  #response: ResponseFacts | undefined;
  readonly #grpc: GrpcObservation | undefined;
  #chunks: ChunkStream | undefined;
  /** The copy of the answer's body is being decoded. */
  #decoding: Promise<unknown> | undefined;
  #relieved: (() => void) | undefined;
  /** The most bytes that the answer may have; Infinity for no bound. */
  #responseLimitBytes: number;

  constructor(flow: Flow, init: ExchangeInit) {
    this.isObserved = !(init.isUnobserved ?? false);
    const hasHook = this.isObserved && flow.engine.handler.handler.onRequest !== undefined;
    this.flow = flow;
    this.request = init.request;
    this.scheme = init.scheme;
    this.authority = init.authority;
    this.path = init.path;
    this.isJudged = hasHook && flow.config.interceptMode === 'enforce';
    this.wantsBody =
      this.isJudged &&
      init.hasBody &&
      !init.isUpgrade &&
      flow.config.body.bufferRequestBodies &&
      !streamingRequestTypes.test(mediaType(init.request.headers.get('content-type') ?? ''));
    this.#hasBody = init.hasBody;
    this.#isRequestUnshown = hasHook && !this.isJudged;
    this.#isClosed = false;
    this.#isClosing = false;
    this.#queue = undefined;
    this.#requestCapture =
      this.wantsBody || (this.#isRequestUnshown && init.hasBody && !init.isUpgrade)
        ? this.#newCapture()
        : undefined;
    this.#responseCapture = undefined;
    this.#response = undefined;
    if (this.isObserved) this.#announce();
    this.#chunks = undefined;
    this.#decoding = undefined;
    this.#relieved = undefined;
    this.#responseLimitBytes = Number.POSITIVE_INFINITY;
    this.#grpc = this.isObserved ? GrpcObservation.of(flow, init.request, init.path) : undefined;
    if (this.isObserved && init.hasBody && init.request.method === 'POST')
      this.#watchRequest(init.request.headers.get('content-type'));
  }

  /**
   * Notes a piece of the request body and says how much of it the handler's copy took: with less than all of it the
   * copy is full, and waiting for more of the body has no use.
   */
  requestPiece(piece: Buffer): number {
    if (!this.isObserved) {
      this.flow.bytesFromClient += piece.length;
      return piece.length;
    }
    if (this.#chunks?.isWebSocket === true) this.flow.bytesFromClient += piece.length;
    else this.flow.emitBytes('request_body_chunk', piece.length);
    this.#chunks?.push('client_to_server', piece);
    return this.#requestCapture?.push(piece) ?? piece.length;
  }

  /** True while traffic shall wait for the handler (`flowRuntime.dispatchOverflow`). */
  get isBehind(): boolean {
    return this.#chunks?.isBehind ?? false;
  }

  /** Whom to tell when traffic that waits for the handler may go on. */
  onRelieved(listener: () => void): void {
    this.#relieved = listener;
  }

  /** What has been captured of the request body, to be forwarded after the verdict. */
  get bufferedRequest(): Capture | undefined {
    return this.wantsBody ? this.#requestCapture : undefined;
  }

  /**
   * Asks the handler. Answers without a promise when the handler does.
   *
   * @param isComplete whether the whole body has been read
   * @throws Failure `handler_error`, see HandlerRunner
   */
  decide(isComplete: boolean): Awaitable<HandlerDecision> {
    if (!this.isJudged) return allow;
    const capture = this.#requestCapture;
    if (capture !== undefined && !isComplete) capture.truncate();
    const raw = this.#rawRequest(capture);
    const runner = this.flow.engine.handler;
    return isPromise(raw)
      ? raw.then((request) => runner.decide(this.flow, request))
      : runner.decide(this.flow, raw);
  }

  /** The request has passed completely. In monitor mode the handler now sees its copy. */
  requestEnded(): void {
    this.#chunks?.end('client_to_server');
    this.#showRequest(true);
  }

  /** Notes the head of the final response. @param isEnded it is all there is of the answer */
  responseHead(response: ResponseFacts, isEnded = false): void {
    if (!this.isObserved || this.#isClosed) return;
    this.#response = response;
    const flow = this.flow;
    const isHttp2 = response.version === 'HTTP/2' || this.request.version === 'HTTP/2';
    if (isHttp2 && flow.config.upstream.h2ResponseOverflowMode === 'strict_fail')
      this.#responseLimitBytes = flow.config.body.maxSizeBytes;
    flow.emit('response_headers', {
      statusCode: response.status,
      reasonPhrase: response.reason,
      version: response.version,
      headerCount: response.headerCount,
      http2StreamId: flow.http2StreamId,
    });
    this.#grpc?.response(response, isEnded);
    const isStream = response.status === 101 || this.#watchResponse(response);
    if (flow.engine.handler.handler.onResponse === undefined) return;
    if (!isStream) {
      this.#responseCapture?.release();
      this.#responseCapture = this.#newCapture();
      return;
    }
    this.#showRequest(false);
    const raw = responseView(flow, response, noBytes, true);
    this.#enqueue(() => flow.engine.handler.observeResponse(flow, raw));
  }

  /** The answer accepted a WebSocket: what passes from here on are its frames. */
  openWebSocket(response: ResponseFacts, agreement: WebSocketAgreement): void {
    if (!this.isObserved || this.#isClosed) return;
    const { flow } = this;
    flow.speak('websocket');
    if (flow.engine.handler.handler.onWebSocketStart !== undefined) {
      const raw = responseView(flow, response, noBytes, true);
      this.#enqueue(() => flow.engine.handler.observeWebSocketStart(flow, raw));
    }
    this.#chunkStream().openWebSocket(agreement);
  }

  /** Whether so many more bytes of the response are more than it may have (`upstream.h2ResponseOverflowMode`). */
  overflowsWith(byteCount: number): boolean {
    return this.flow.bytesFromServer + byteCount > this.#responseLimitBytes;
  }

  /** Notes a piece of the response body, after it went to the client. */
  responsePiece(piece: Buffer): void {
    if (!this.isObserved) {
      this.flow.bytesFromServer += piece.length;
      return;
    }
    if (this.#chunks?.isWebSocket === true) this.flow.bytesFromServer += piece.length;
    else this.flow.emitBytes('response_body_chunk', piece.length);
    this.#responseCapture?.push(piece);
    this.#chunks?.push('server_to_client', piece);
  }

  /** The response has passed completely: the handler may see it. */
  responseEnded(trailers?: HeaderList): void {
    if (trailers !== undefined && !this.#isClosed) this.#grpc?.trailers(trailers);
    this.#chunks?.end('server_to_client');
    const capture = this.#responseCapture;
    const response = this.#response;
    if (capture === undefined || response === undefined) return;
    this.#response = undefined;
    this.#showRequest(false);
    const { flow } = this;
    const raw = decodedBody(capture, { flow, headers: response.headers, direction: 'server_to_client' });
    const view = isPromise(raw)
      ? raw.then((body) => responseView(flow, response, body, false))
      : responseView(flow, response, raw, false);
    if (isPromise(view)) this.#decoding = view;
    this.#enqueue(() =>
      this.#shown(view, capture, (shown) => flow.engine.handler.observeResponse(flow, shown)),
    );
  }

  /**
   * Ends the exchange: its flow closes at once; hooks still queued are delivered, then `onStreamEnd`. What comes later does nothing.
   */
  close(given: CloseReason, detail?: string): void {
    if (this.#isClosed || this.#isClosing) return;
    const reason = this.#chunks?.isWebSocket === true ? this.#closeWebSocket(given, detail) : given;
    const ending = this.#ending();
    if (ending === undefined || reason !== 'mitm_http_completed') {
      this.#closeNow(reason, detail);
      return;
    }
    // A compressed body is still being decoded: its last frames, and what is wrong with it, belong before the end.
    this.#isClosing = true;
    this.flow.connection.track(this.#inTime(ending).then(() => this.#closeNow(reason, detail)));
  }

  #ending(): Promise<unknown> | undefined {
    const frames = this.#chunks?.ending;
    const copy = this.#decoding;
    return frames === undefined || copy === undefined ? (frames ?? copy) : Promise.all([frames, copy]);
  }

  /** A WebSocket has close reasons of its own. */
  #closeWebSocket(reason: CloseReason, detail: string | undefined): CloseReason {
    const isCompleted = reason === 'mitm_http_completed' || reason === 'websocket_completed';
    this.#chunks?.closeWebSocket(!isCompleted, detail);
    if (isCompleted) return 'websocket_completed';
    return reason === 'mitm_http_error' ? 'websocket_error' : reason;
  }

  #closeNow(reason: CloseReason, detail: string | undefined): void {
    this.#chunks?.cancel();
    this.#showRequest(false);
    this.#isClosed = true;
    const flow = this.flow;
    flow.close(reason, detail);
    // A monitored request may still wait in the queue for its turn; a judged one has been forwarded.
    if (this.isJudged) this.#requestCapture?.release();
    const queue = this.#queue;
    // Whoever left has no more use for what was on its way to the handler.
    if (reason === 'client_aborted' && this.#chunks !== undefined && queue !== undefined)
      flow.engine.metrics.dispatchDropped(queue.abandon());
    const ended = queue === undefined || queue.isIdle ? this.#ended() : this.#drained(queue);
    if (isPromise(ended)) flow.connection.track(ended);
  }

  async #drained(queue: FlowQueue): Promise<void> {
    const isDone = await this.#inTime(queue.drain());
    if (!isDone) this.flow.engine.metrics.dispatchDropped(queue.abandon());
    await this.#ended();
  }

  /** Waits for something as long as the end of a flow may take; false when it took longer. */
  async #inTime(done: Promise<unknown>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.flow.config.flowRuntime.dispatchCloseJoinTimeoutMs);
    });
    const isDone = await Promise.race([done.then(() => true), late]);
    clearTimeout(timer);
    return isDone;
  }

  #ended(): Awaitable<void> {
    this.#requestCapture?.release();
    this.#responseCapture?.release();
    return this.flow.engine.handler.streamEnded(this.flow);
  }

  /** In monitor mode: shows the request, once, and at the latest before its answer or at the end. */
  #showRequest(isComplete: boolean): void {
    if (!this.#isRequestUnshown) return;
    this.#isRequestUnshown = false;
    const capture = this.#requestCapture;
    if (!isComplete) capture?.truncate();
    this.#enqueue(() =>
      this.#shown(this.#rawRequest(capture), capture, (raw) =>
        this.flow.engine.handler.observeRequest(this.flow, raw),
      ),
    );
  }

  /** A call that streams is shown message by message in both directions. */
  #watchRequest(contentType: string | undefined): void {
    const { flow, request } = this;
    if (flow.engine.handler.handler.onStreamChunk === undefined || grpcProtocolOf(contentType) === undefined)
      return;
    this.#watch('client_to_server', request.headers);
  }

  /** Whether the body of an answer is shown in chunks; if so, it is from now on. */
  #watchResponse(response: ResponseFacts): boolean {
    const { flow } = this;
    const { handler } = flow.engine.handler;
    const isWanted = handler.onStreamChunk !== undefined || flow.wants('sse_event');
    if (!isWanted && handler.onResponse === undefined) return false;
    return this.#watch('server_to_client', response.headers, isWanted);
  }

  #watch(direction: Direction, headers: HeaderMap, isWanted = true): boolean {
    const { flow } = this;
    const side = direction === 'client_to_server' ? 'request' : 'response';
    const message = { direction: side, headers, path: this.path } as const;
    const parser = flow.engine.framerFor(message, flow.config.body.maxDecoderBytes);
    if (parser === undefined || !isWanted) return parser !== undefined;
    if (parser.kind === 'sse_data' && flow.context.protocol === 'http1') flow.speak('sse');
    const contentEncoding = headers.getAll('content-encoding').join(',');
    this.#chunkStream().watch({ direction, parser, contentEncoding });
    return true;
  }

  #chunkStream(): ChunkStream {
    return (this.#chunks ??= new ChunkStream(
      this.flow,
      () => this.#flowQueue(),
      () => this.#relieved?.(),
    ));
  }

  #flowQueue(): FlowQueue {
    return (this.#queue ??= new FlowQueue(this.flow.config.flowRuntime.dispatchQueueCapacity));
  }

  #announce(): void {
    const { flow, request } = this;
    flow.emit('request_headers', {
      method: request.method,
      target: request.target,
      version: request.version,
      headerCount: request.headerCount,
      scheme: this.scheme,
      authority: this.authority,
      http2StreamId: flow.http2StreamId,
    });
  }

  #newCapture(): Capture {
    return new Capture(this.flow.config.body.maxSizeBytes, this.flow.engine.budget);
  }

  #enqueue(call: QueuedCall): void {
    if (this.#isClosed) {
      this.flow.engine.metrics.dispatchDropped(1);
      return;
    }
    if (!this.#flowQueue().push(call)) this.flow.engine.metrics.dispatchDropped(1);
  }

  #shown<T>(
    view: Awaitable<T>,
    capture: Capture | undefined,
    show: (view: T) => Awaitable<void>,
  ): Awaitable<void> {
    const done = isPromise(view) ? view.then(show) : show(view);
    if (isPromise(done)) return done.finally(() => capture?.release());
    capture?.release();
    return undefined;
  }

  #rawRequest(capture: Capture | undefined): Awaitable<RawRequest> {
    return requestView(this, capture, this.#hasBody);
  }
}
