// Carries one exchange between its two sides: asks the handler, sends the request, repeats it where that is right, and
// passes the answer back, all of it as it arrives. Knows nothing of sockets or of HTTP versions.
import { type BlockDecision, type Exchange, Failure, type HandlerDecision, isPromise } from 'mitm-core';
import type { BodyFraming, HeaderList, WebSocketOffer } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { HeldBytes } from '../held-bytes.ts';
import { Attempts } from './attempt.ts';
import { blockDetail, blockReply } from './block-reply.ts';
import { outboundRequest, viaMember } from './outbound-request.ts';
import type {
  ExchangeEnd,
  Inbound,
  Outbound,
  RelayOptions,
  RequestReceiver,
  ResponseMessage,
  ResponseReceiver,
  Upgraded,
  Upstream,
} from './sides.ts';
import { chosenProtocol, isOffered, unaskedSwitch } from './upgrade.ts';
import { agreedWebSocket, offeredWebSocket } from './websocket-handshake.ts';

/** Relays one exchange; never rejects. */
export function relayExchange(
  exchange: Exchange,
  inbound: Inbound,
  upstream: Upstream,
  options: RelayOptions,
): Promise<ExchangeEnd> {
  return new Promise((resolve) => {
    new ExchangeRelay(exchange, inbound, upstream, options, resolve).start();
  });
}

type Stage = 'buffering' | 'deciding' | 'forwarding' | 'over';

class ExchangeRelay implements RequestReceiver, ResponseReceiver {
  readonly #exchange: Exchange;
  readonly #inbound: Inbound;
  readonly #upstream: Upstream;
  readonly #options: RelayOptions;
  readonly #resolve: (end: ExchangeEnd) => void;
  readonly #attempts: Attempts;
  #stage: Stage = 'deciding';
  #outbound: Outbound | undefined = undefined;
  /** Body bytes that came while nobody could take them: what a handler's copy had no room for. */
  readonly #overflow: HeldBytes;
  /** Runs while a body is read for the handler, or before a second attempt. */
  #timer: NodeJS.Timeout | undefined = undefined;
  /** What was written to a side has not left yet. */
  #isClientBehind = false;
  #isUpstreamBehind = false;
  #isReceiving = false;
  #isRequestEnded: boolean;
  #requestTrailers: Parameters<RequestReceiver['requestEnd']> = [undefined];
  #hasAnswered = false;
  #isAnswerEnded = false;
  #hasContinued = false;
  #isLast: boolean;
  #webSocketOffer: WebSocketOffer | undefined = undefined;

  constructor(
    exchange: Exchange,
    inbound: Inbound,
    upstream: Upstream,
    options: RelayOptions,
    resolve: (end: ExchangeEnd) => void,
  ) {
    this.#exchange = exchange;
    this.#overflow = new HeldBytes(exchange.flow.engine.budget);
    this.#inbound = inbound;
    this.#upstream = upstream;
    this.#options = options;
    this.#resolve = resolve;
    this.#attempts = new Attempts(exchange, options.retryDelayMs !== undefined);
    this.#isRequestEnded = inbound.isRequestComplete;
    this.#isLast = !inbound.isPersistent;
    if (exchange.flow.mayHoldBack) exchange.onRelieved(() => this.#relieved());
  }

  start(): void {
    const offer = offeredWebSocket(this.#inbound.head);
    if (offer instanceof Failure) {
      this.#answer(offer);
      return;
    }
    this.#webSocketOffer = offer;
    if (this.#exchange.wantsBody && !this.#isRequestEnded) {
      this.#bufferBody();
      return;
    }
    this.#inbound.watch(this);
    this.#decide();
  }

  requestData(piece: Buffer): boolean {
    const taken = this.#exchange.requestPiece(piece);
    if (this.#stage === 'forwarding') {
      this.#isUpstreamBehind = this.#outbound?.sendData(piece) === false;
      return !this.#isUpstreamBehind && !this.#exchange.isBehind;
    }
    if (this.#stage !== 'buffering' || taken < piece.length)
      this.#overflow.keep(piece.subarray(this.#stage === 'buffering' ? taken : 0));
    if (this.#stage !== 'buffering') return false;
    if (taken === piece.length) {
      this.#timer?.refresh();
      return true;
    }
    // The copy is full. What follows waits, unread, for the verdict; this call is inside the reader, so decide after it.
    this.#stage = 'deciding';
    clearTimeout(this.#timer);
    queueMicrotask(() => this.#decide());
    return false;
  }

  requestEnd(...trailers: Parameters<RequestReceiver['requestEnd']>): void {
    this.#isRequestEnded = true;
    this.#requestTrailers = trailers;
    if (this.#stage === 'buffering') {
      clearTimeout(this.#timer);
      this.#stage = 'deciding';
      this.#decide();
    } else if (this.#stage === 'forwarding') {
      this.#outbound?.sendEnd(...trailers);
      this.#exchange.requestEnded();
      if (this.#isAnswerEnded) this.#complete();
    }
  }

  requestFailed(failure: Failure): void {
    if (this.#stage === 'over') return;
    const outbound = this.#outbound;
    this.#outbound = undefined;
    if (outbound === undefined) this.#upstream.cancel();
    else outbound.abort(failure.resetCode);
    if (this.#hasAnswered) {
      this.#inbound.abort();
    } else if (failure.reply !== undefined) {
      this.#hasAnswered = true;
      this.#inbound.reply(failure.reply, { isLast: true });
    }
    this.#finish(failure.reason, failure.detail, false);
  }

  clientDrained(): void {
    this.#isClientBehind = false;
    if (!this.#exchange.isBehind) this.#outbound?.resume();
  }

  informational(head: ResponseMessage): void {
    // We have said 100 ourselves where the body was read for the handler.
    if (head.status === 100 && this.#hasContinued) return;
    this.#inbound.sendInformational(head);
  }

  responseHead(head: ResponseMessage, framing: BodyFraming): void {
    if (head.status === 101) {
      this.#switchProtocols(head, framing);
      return;
    }
    const webSocket = agreedWebSocket(head, this.#webSocketOffer);
    if (webSocket instanceof Failure) return this.#refuse(webSocket);
    this.#hasAnswered = true;
    this.#isLast ||= this.#inbound.endsWith(framing) || this.#options.isDraining();
    this.#exchange.responseHead(head, framing.kind === 'none');
    const { dropsQuic, via } = this.#options;
    const options = { isLast: this.#isLast, isUpgrade: false, via: viaMember(via, head.version), dropsQuic };
    this.#inbound.sendHead(head, framing, options);
    if (webSocket !== undefined) this.#exchange.openWebSocket(head, webSocket);
  }

  responseData(piece: Buffer): boolean {
    if (this.#exchange.overflowsWith(piece.length)) {
      this.#cutAnswer('response exceeded flow body budget (strict overflow mode)');
      return true;
    }
    this.#isClientBehind = !this.#inbound.sendData(piece);
    this.#exchange.responsePiece(piece);
    return !this.#isClientBehind && !this.#exchange.isBehind;
  }

  responseEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void {
    this.#inbound.sendEnd(trailers, sensitive);
    this.#exchange.responseEnded(trailers);
    this.#isAnswerEnded = true;
    // A WebSocket over HTTP/2 goes on until both directions have ended.
    if (this.#isRequestEnded || !this.#inbound.isTwoWay) this.#complete();
  }

  responseFlush(): void {
    this.#inbound.flush();
  }

  responseFailed(lost: Failure, isUntouched: boolean): void {
    if (this.#stage === 'over') return;
    const outbound = this.#outbound;
    this.#outbound = undefined;
    const failure = this.#upstream.explain(lost, isUntouched && outbound?.isReused !== true);
    if (this.#hasAnswered) {
      this.#abort(failure);
      return;
    }
    const next = this.#attempts.after(failure, outbound, isUntouched, this.#isRequestEnded);
    if (next === 'repeat') this.#forward(true);
    else if (next === 'retry') this.#retryLater();
    // Without us the client would have seen the connection end and could repeat; a 502 would take that from it.
    else if (next === 'hang_up' && !this.#inbound.passesResets) this.#abort(failure);
    else if (failure.resetCode !== undefined && this.#inbound.passesResets) this.#abort(failure);
    else this.#answer(failure);
  }

  upstreamDrained(): void {
    this.#isUpstreamBehind = false;
    if (!this.#exchange.isBehind) this.#inbound.resume();
  }

  /** The handler has caught up with what it is shown. */
  #relieved(): void {
    if (this.#stage === 'over') return;
    if (!this.#isClientBehind) this.#outbound?.resume();
    if (!this.#isUpstreamBehind) this.#inbound.resume();
  }

  #complete(): void {
    this.#outbound?.release();
    this.#outbound = undefined;
    this.#finish('mitm_http_completed', undefined, this.#isRequestEnded && !this.#isLast);
  }

  #bufferBody(): void {
    this.#stage = 'buffering';
    if (this.#inbound.head.expectsContinue) {
      this.#hasContinued = true;
      this.#inbound.sendContinue();
    }
    this.#timer = setTimeout(() => {
      if (this.#stage !== 'buffering') return;
      this.#stage = 'deciding';
      this.#inbound.pause();
      this.#decide();
    }, this.#options.bufferIdleMs);
    this.#isReceiving = true;
    this.#inbound.receive(this);
  }

  #decide(): void {
    if (this.#stage === 'over') return;
    try {
      const decision = this.#exchange.decide(this.#isRequestEnded);
      if (isPromise(decision))
        decision.then(
          (value) => this.#decided(value),
          (error: unknown) => this.#failed(error),
        );
      else this.#decided(decision);
    } catch (error) {
      this.#failed(error);
    }
  }

  #decided(decision: HandlerDecision): void {
    if (this.#stage === 'over') return;
    if (decision.action === 'block') this.#block(decision);
    else this.#forward(false);
  }

  #block(decision: BlockDecision): void {
    const isLast = !this.#isRequestEnded || this.#isLast || this.#options.isDraining();
    this.#hasAnswered = true;
    this.#inbound.reply(blockReply(decision), { isLast });
    this.#finish('blocked', blockDetail(decision), !isLast);
  }

  #forward(isRepeat: boolean): void {
    try {
      const acquired = this.#upstream.acquire(isRepeat);
      if (isPromise(acquired))
        acquired.then(
          (outbound) => this.#send(outbound),
          (error: unknown) => this.#acquireFailed(error),
        );
      else this.#send(acquired);
    } catch (error) {
      // What is refused at once would be refused again.
      this.#failed(error);
    }
  }

  /** No connection came to be, so that nothing was sent: any request may try again. */
  #acquireFailed(error: unknown): void {
    if (this.#stage === 'over') return;
    if (this.#attempts.mayConnectAgain(error)) this.#retryLater();
    else this.#failed(error);
  }

  #retryLater(): void {
    this.#timer = setTimeout(() => this.#forward(true), this.#options.retryDelayMs);
  }

  #send(outbound: Outbound): void {
    if (this.#stage === 'over') {
      // It came too late for this client, and is as good as new for another.
      outbound.release();
      return;
    }
    try {
      this.#sendNow(outbound);
    } catch (error) {
      this.#outbound = undefined;
      outbound.abort();
      this.#failed(error);
    }
  }

  #sendNow(outbound: Outbound): void {
    this.#stage = 'forwarding';
    this.#outbound = outbound;
    outbound.send(outboundRequest(this.#exchange, this.#inbound, this.#options, this.#hasContinued), this);
    const captured = this.#exchange.bufferedRequest;
    let isReady = true;
    if (captured !== undefined && captured.length > 0) isReady = outbound.sendData(captured.bytes());
    for (const piece of this.#overflow.release()) isReady = outbound.sendData(piece);
    if (this.#isRequestEnded) {
      outbound.sendEnd(...this.#requestTrailers);
      this.#exchange.requestEnded();
    } else if (this.#isReceiving) {
      if (isReady) this.#inbound.resume();
    } else {
      this.#isReceiving = true;
      this.#inbound.receive(this);
    }
    this.#outbound?.flush();
  }

  #switchProtocols(head: ResponseMessage, framing: BodyFraming): void {
    const outbound = this.#outbound;
    if (outbound === undefined) return;
    const agreed = isOffered(this.#inbound.upgrade, chosenProtocol(head))
      ? agreedWebSocket(head, this.#webSocketOffer)
      : unaskedSwitch(head);
    if (agreed instanceof Failure) return this.#refuse(agreed);
    const webSocket = this.#exchange.isObserved ? agreed : undefined;
    this.#hasAnswered = true;
    this.#exchange.responseHead(head);
    this.#inbound.sendHead(head, framing, { isLast: false, isUpgrade: true });
    this.#inbound.flush();
    this.#exchange.responseEnded();
    if (webSocket !== undefined) this.#exchange.openWebSocket(head, webSocket);
    this.#finish('mitm_http_completed', undefined, false, { outbound, webSocket });
  }

  /** Answers in the place of an origin whose answer can't be passed on. */
  #refuse(failure: Failure): void {
    this.#outbound?.abort();
    this.#outbound = undefined;
    this.#answer(failure);
  }

  #failed(error: unknown): void {
    if (this.#stage === 'over') return;
    const failure = Failure.from(error);
    if (failure.isUnexpected)
      this.#exchange.flow.engine.logger.error({ err: error }, 'exchange failed unexpectedly');
    if (failure.reply === undefined) this.#abort(failure);
    else this.#answer(failure);
  }

  #abort(failure: Failure): void {
    this.#inbound.abort(failure.resetCode);
    this.#finish(failure.reason, failure.detail, false);
  }

  #cutAnswer(detail: string): void {
    const outbound = this.#outbound;
    this.#outbound = undefined;
    outbound?.abort();
    this.#inbound.abort();
    this.#finish('mitm_http_error', detail, false);
  }

  /** Answers with a failure's own reply; the connection goes on where the request has been read. */
  #answer(failure: Failure): void {
    const isLast = !this.#isRequestEnded || this.#isLast || this.#options.isDraining();
    this.#hasAnswered = true;
    this.#inbound.reply(failure.reply ?? { status: 502 }, { isLast });
    this.#finish(failure.reason, failure.detail, !isLast);
  }

  #finish(reason: CloseReason, detail: string | undefined, isReusable: boolean, upgraded?: Upgraded): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    clearTimeout(this.#timer);
    this.#overflow.release();
    this.#resolve({ reason, detail, isReusable, upgraded });
  }
}
