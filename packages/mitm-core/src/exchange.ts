// One request and its answer, whatever carried them: what the events say about it, what the handler sees of it, and how
// it ends. The relay tells it what passes; it never touches a socket, and the relay never calls a handler.
import { decodeContent, type HeaderMap, mediaType } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { Capture } from './capture.ts';
import { FlowQueue, isPromise, type QueuedCall } from './flow-queue.ts';
import type { Flow } from './flow.ts';
import { allow, type Awaitable, type HandlerDecision } from './handler.ts';
import { endToEndHeaders, type RawRequest, type RawResponse } from './messages.ts';

/** What the exchange needs to know of a request head; every HTTP version has it. */
export interface RequestFacts {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: HeaderMap;
  readonly headerCount: number;
  readonly connection: string;
}

/** What the exchange needs to know of a response head. */
export interface ResponseFacts {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: HeaderMap;
  readonly headerCount: number;
  readonly connection: string;
}

export interface ExchangeInit {
  readonly request: RequestFacts;
  readonly scheme: 'http' | 'https';
  /** As handlers see it: `host`, or `host:port` when the port is not the scheme's own. */
  readonly authority: string;
  readonly path: string;
  readonly hasBody: boolean;
  readonly isUpgrade: boolean;
  /** Passes unseen: no events but the flow's end, and no hooks but `onStreamEnd`. */
  readonly isUnobserved?: boolean;
}

/** Answers that go on and on: their status and headers are shown at once, their body as chunks. */
const streamingTypes: ReadonlySet<string> = new Set([
  'text/event-stream',
  'application/x-ndjson',
  'application/jsonl',
]);

/** Requests that may stream both ways: waiting for the end of their body would wait for ever. */
const streamingRequestTypes = /^application\/(?:grpc|connect)\b/;

const noBytes: DecodedBody = Object.freeze({ bytes: Buffer.alloc(0), isTruncated: false, hasError: false });

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
  #queue: FlowQueue | undefined;
  #requestCapture: Capture | undefined;
  #responseCapture: Capture | undefined;
  #response: ResponseFacts | undefined;

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
    this.#queue = undefined;
    this.#requestCapture =
      this.wantsBody || (this.#isRequestUnshown && init.hasBody && !init.isUpgrade)
        ? this.#newCapture()
        : undefined;
    this.#responseCapture = undefined;
    this.#response = undefined;
    if (this.isObserved) this.#announce();
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
    this.flow.emitBytes('request_body_chunk', piece.length);
    return this.#requestCapture?.push(piece) ?? piece.length;
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
    this.#showRequest(true);
  }

  /** Notes the head of the final response. */
  responseHead(response: ResponseFacts): void {
    if (!this.isObserved || this.#isClosed) return;
    this.#response = response;
    const flow = this.flow;
    flow.emit('response_headers', {
      statusCode: response.status,
      reasonPhrase: response.reason,
      version: response.version,
      headerCount: response.headerCount,
    });
    if (flow.engine.handler.handler.onResponse === undefined) return;
    if (response.status !== 101 && !isStreaming(response)) {
      this.#responseCapture?.release();
      this.#responseCapture = this.#newCapture();
      return;
    }
    this.#showRequest(false);
    const raw = this.#rawResponse(response, noBytes, true);
    this.#enqueue(() => flow.engine.handler.observeResponse(flow, raw));
  }

  /** Notes a piece of the response body, after it went to the client. */
  responsePiece(piece: Buffer): void {
    if (!this.isObserved) {
      this.flow.bytesFromServer += piece.length;
      return;
    }
    this.flow.emitBytes('response_body_chunk', piece.length);
    this.#responseCapture?.push(piece);
  }

  /** The response has passed completely: the handler may see it. */
  responseEnded(): void {
    const capture = this.#responseCapture;
    const response = this.#response;
    if (capture === undefined || response === undefined) return;
    this.#response = undefined;
    this.#showRequest(false);
    const raw = this.#decoded(capture, response.headers);
    const view = isPromise(raw)
      ? raw.then((body) => this.#rawResponse(response, body, false))
      : this.#rawResponse(response, raw, false);
    this.#enqueue(() =>
      this.#shown(view, capture, (shown) => this.flow.engine.handler.observeResponse(this.flow, shown)),
    );
  }

  /**
   * Ends the exchange: its flow closes at once; hooks still queued are delivered, then `onStreamEnd`. Later calls do
   * nothing, and what is reported afterwards reaches no hook.
   */
  close(reason: CloseReason, detail?: string): void {
    if (this.#isClosed) return;
    this.#showRequest(false);
    this.#isClosed = true;
    const flow = this.flow;
    flow.close(reason, detail);
    // A monitored request may still wait in the queue for its turn; a judged one has been forwarded.
    if (this.isJudged) this.#requestCapture?.release();
    const queue = this.#queue;
    const ended = queue === undefined || queue.isIdle ? this.#ended() : this.#drained(queue);
    if (isPromise(ended)) flow.connection.track(ended);
  }

  async #drained(queue: FlowQueue): Promise<void> {
    const limitMs = this.flow.config.flowRuntime.dispatchCloseJoinTimeoutMs;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), limitMs);
    });
    const outcome = await Promise.race([queue.drain(), late]);
    clearTimeout(timer);
    if (outcome === 'late') this.flow.engine.metrics.dispatchDropped(queue.abandon());
    await this.#ended();
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

  #announce(): void {
    const { flow, request } = this;
    flow.emit('request_headers', {
      method: request.method,
      target: request.target,
      version: request.version,
      headerCount: request.headerCount,
      scheme: this.scheme,
      authority: this.authority,
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
    this.#queue ??= new FlowQueue(this.flow.config.flowRuntime.dispatchQueueCapacity);
    if (!this.#queue.push(call)) this.flow.engine.metrics.dispatchDropped(1);
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
    const { flow, request } = this;
    const make = (body: DecodedBody): RawRequest => ({
      method: request.method,
      scheme: this.scheme,
      authority: this.authority,
      path: this.path,
      httpVersion: request.version,
      headers: endToEndHeaders(request.headers, request.connection),
      body: body.bytes,
      bodyTruncated: body.isTruncated,
      encodingError: body.hasError,
      flowId: flow.id,
      connectionMeta: flow.connection.meta,
    });
    if (capture === undefined) return make({ ...noBytes, isTruncated: this.#hasBody });
    const body = this.#decoded(capture, request.headers);
    return isPromise(body) ? body.then(make) : make(body);
  }

  #rawResponse(response: ResponseFacts, body: DecodedBody, streaming: boolean): RawResponse {
    return {
      status: response.status,
      headers: endToEndHeaders(response.headers, response.connection),
      body: body.bytes,
      bodyTruncated: body.isTruncated,
      encodingError: body.hasError,
      streaming,
      flowId: this.flow.id,
      connectionMeta: this.flow.connection.meta,
    };
  }

  #decoded(capture: Capture, headers: HeaderMap): Awaitable<DecodedBody> {
    const bytes = capture.bytes();
    const coding = headers.getAll('content-encoding').join(',');
    if (coding === '' || bytes.length === 0) {
      return { bytes, isTruncated: capture.isTruncated, hasError: false };
    }
    return decodeContent(bytes, coding, { maxOutputBytes: this.flow.config.body.maxSizeBytes }).then(
      (result) => ({
        bytes: result.body,
        isTruncated: capture.isTruncated || result.isTruncated,
        hasError: result.hasError,
      }),
    );
  }
}

interface DecodedBody {
  readonly bytes: Buffer;
  readonly isTruncated: boolean;
  readonly hasError: boolean;
}

function isStreaming(response: ResponseFacts): boolean {
  const type = mediaType(response.headers.get('content-type') ?? '');
  return streamingTypes.has(type) || type.startsWith('application/grpc');
}
