// Carries one exchange between its two sides: asks the handler, sends the request, repeats it where that is right, and
// passes the answer back, all of it as it arrives. Knows nothing of sockets or of HTTP versions.
import { type BlockDecision, type Exchange, Failure, type HandlerDecision, isPromise } from 'mitm-core';
import { type BodyFraming, type HeaderList, isPersistent, type ResponseHead } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { isPassing, isRepeatable } from './attempt.ts';
import type {
  ExchangeEnd,
  Inbound,
  Outbound,
  OutboundRequest,
  RelayOptions,
  RequestReceiver,
  ResponseReceiver,
  Upstream,
} from './sides.ts';

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
  #stage: Stage;
  #outbound: Outbound | undefined;
  /** Body bytes that came while nobody could take them: what a handler's copy had no room for. */
  #overflow: Buffer[];
  /** Runs while a body is read for the handler, or before a second attempt; never both. */
  #timer: NodeJS.Timeout | undefined;
  #isReceiving: boolean;
  #isRequestEnded: boolean;
  #requestTrailers: HeaderList | undefined;
  #hasAnswered: boolean;
  #hasContinued: boolean;
  #hasRetried: boolean;
  #isLast: boolean;

  constructor(
    exchange: Exchange,
    inbound: Inbound,
    upstream: Upstream,
    options: RelayOptions,
    resolve: (end: ExchangeEnd) => void,
  ) {
    this.#exchange = exchange;
    this.#inbound = inbound;
    this.#upstream = upstream;
    this.#options = options;
    this.#resolve = resolve;
    this.#stage = 'deciding';
    this.#outbound = undefined;
    this.#overflow = [];
    this.#timer = undefined;
    this.#isReceiving = false;
    this.#isRequestEnded = inbound.isRequestComplete;
    this.#requestTrailers = undefined;
    this.#hasAnswered = false;
    this.#hasContinued = false;
    this.#hasRetried = false;
    this.#isLast = !isPersistent(inbound.head);
  }

  start(): void {
    if (this.#exchange.wantsBody && !this.#isRequestEnded) {
      this.#bufferBody();
      return;
    }
    this.#inbound.watch(this);
    this.#decide();
  }

  requestData(piece: Buffer): boolean {
    const taken = this.#exchange.requestPiece(piece);
    if (this.#stage === 'forwarding') return this.#outbound?.sendData(piece) ?? true;
    if (this.#stage !== 'buffering' || taken < piece.length)
      this.#overflow.push(Buffer.from(piece.subarray(this.#stage === 'buffering' ? taken : 0)));
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

  requestEnd(trailers: HeaderList | undefined): void {
    this.#isRequestEnded = true;
    this.#requestTrailers = trailers;
    if (this.#stage === 'buffering') {
      clearTimeout(this.#timer);
      this.#stage = 'deciding';
      this.#decide();
    } else if (this.#stage === 'forwarding') {
      this.#outbound?.sendEnd(trailers);
      this.#exchange.requestEnded();
    }
  }

  requestFailed(failure: Failure): void {
    if (this.#stage === 'over') return;
    const outbound = this.#outbound;
    this.#outbound = undefined;
    if (outbound === undefined) this.#upstream.cancel();
    else outbound.abort();
    if (this.#hasAnswered) {
      this.#inbound.abort();
    } else if (failure.reply !== undefined) {
      this.#hasAnswered = true;
      this.#inbound.reply(failure.reply, { isLast: true });
    }
    this.#finish(failure.reason, failure.detail, false);
  }

  clientDrained(): void {
    this.#outbound?.resume();
  }

  informational(head: ResponseHead): void {
    // We have said 100 ourselves where the body was read for the handler.
    if (head.status === 100 && this.#hasContinued) return;
    this.#inbound.sendInformational(head);
  }

  responseHead(head: ResponseHead, framing: BodyFraming): void {
    if (head.status === 101) {
      this.#switchProtocols(head, framing);
      return;
    }
    this.#hasAnswered = true;
    this.#isLast ||= framing.kind === 'until-close' || this.#options.isDraining();
    // An old client learns the end of a chunked answer from the end of the connection.
    this.#isLast ||= framing.kind === 'chunked' && this.#inbound.head.minorVersion === 0;
    this.#exchange.responseHead(head);
    const fields = viaLine(this.#options.via, head.minorVersion);
    this.#inbound.sendHead(head, framing, { isLast: this.#isLast, isUpgrade: false, fields });
  }

  responseData(piece: Buffer): boolean {
    const isReady = this.#inbound.sendData(piece);
    this.#exchange.responsePiece(piece);
    return isReady;
  }

  responseEnd(trailers: HeaderList | undefined): void {
    this.#inbound.sendEnd(trailers);
    this.#exchange.responseEnded();
    const outbound = this.#outbound;
    this.#outbound = undefined;
    outbound?.release();
    this.#finish('mitm_http_completed', undefined, this.#isRequestEnded && !this.#isLast);
  }

  responseFlush(): void {
    this.#inbound.flush();
  }

  responseFailed(failure: Failure, isUntouched: boolean): void {
    if (this.#stage === 'over') return;
    const outbound = this.#outbound;
    this.#outbound = undefined;
    if (this.#hasAnswered) {
      this.#inbound.abort();
      this.#finish(failure.reason, failure.detail, false);
      return;
    }
    const isLost = isUntouched && failure.reason === 'mitm_http_error';
    const isStale = isLost && outbound?.isReused === true;
    if (isLost && outbound?.isBound !== true && isRepeatable(this.#exchange, this.#isRequestEnded)) {
      if (isStale) this.#forward(true);
      if (isStale || this.#retryLater()) return;
    }
    if (isStale) {
      // The origin closed an idle connection just as the request went out. Without us the client would have seen the
      // connection end and could repeat; a 502 would take that from it.
      this.#inbound.abort();
      this.#finish(failure.reason, failure.detail, false);
      return;
    }
    this.#answer(failure);
  }

  upstreamDrained(): void {
    this.#inbound.resume();
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
    this.#inbound.reply(
      {
        status: decision.status,
        body: decision.body,
        ...(decision.headers === undefined ? {} : { headers: decision.headers }),
      },
      { isLast },
    );
    const detail =
      decision.reasonCode === undefined ? 'blocked_by_handler' : `blocked_by_handler:${decision.reasonCode}`;
    this.#finish('blocked', detail, !isLast);
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
    if (error instanceof Failure && isPassing(error) && this.#retryLater()) return;
    this.#failed(error);
  }

  /** Makes the one further attempt that `upstream.retryOnFailure` grants, after its pause. */
  #retryLater(): boolean {
    const { retryDelayMs } = this.#options;
    if (retryDelayMs === undefined || this.#hasRetried) return false;
    this.#hasRetried = true;
    this.#timer = setTimeout(() => this.#forward(true), retryDelayMs);
    return true;
  }

  #send(outbound: Outbound): void {
    if (this.#stage === 'over') {
      // It came too late for this client, and is as good as new for another.
      outbound.release();
      return;
    }
    this.#stage = 'forwarding';
    this.#outbound = outbound;
    outbound.send(this.#outboundRequest(), this);
    const captured = this.#exchange.bufferedRequest;
    let isReady = true;
    if (captured !== undefined && captured.length > 0) isReady = outbound.sendData(captured.bytes());
    for (const piece of this.#overflow) isReady = outbound.sendData(piece);
    this.#overflow = [];
    if (this.#isRequestEnded) {
      outbound.sendEnd(this.#requestTrailers);
      this.#exchange.requestEnded();
    } else if (this.#isReceiving) {
      if (isReady) this.#inbound.resume();
    } else {
      this.#isReceiving = true;
      this.#inbound.receive(this);
    }
    this.#outbound?.flush();
  }

  #outboundRequest(): OutboundRequest {
    const { head, framing } = this.#inbound;
    const { decision } = this.#exchange.flow;
    return {
      head,
      framing,
      target: this.#options.target,
      host: this.#options.host,
      keepUpgrade: head.upgrade !== '',
      dropExpect: this.#hasContinued,
      maxForwards: this.#options.maxForwards,
      responseLeniency: decision?.responseLeniency,
      isStrict: decision?.strictHeaderMode,
      fields: viaLine(this.#options.via, head.minorVersion),
    };
  }

  #switchProtocols(head: ResponseHead, framing: BodyFraming): void {
    const outbound = this.#outbound;
    if (outbound === undefined) return;
    if (!isOffered(this.#inbound.head.upgrade, head.upgrade)) {
      this.#outbound = undefined;
      outbound.abort();
      this.#answer(
        new Failure('mitm_http_error', {
          side: 'upstream',
          detail: `101 to ${head.upgrade === '' ? 'no protocol' : head.upgrade}, which was not asked for`,
          reply: { status: 502, body: 'the origin switched to a protocol that was not asked for\n' },
        }),
      );
      return;
    }
    this.#hasAnswered = true;
    this.#exchange.responseHead(head);
    this.#inbound.sendHead(head, framing, { isLast: false, isUpgrade: true });
    this.#inbound.flush();
    this.#exchange.responseEnded();
    this.#stage = 'over';
    this.#resolve({
      reason: 'mitm_http_completed',
      detail: undefined,
      isReusable: false,
      upgraded: outbound,
    });
  }

  #failed(error: unknown): void {
    if (this.#stage === 'over') return;
    const failure = Failure.from(error);
    if (failure.isUnexpected)
      this.#exchange.flow.engine.logger.error({ err: error }, 'exchange failed unexpectedly');
    if (failure.reply === undefined) {
      this.#inbound.abort();
      this.#finish(failure.reason, failure.detail, false);
      return;
    }
    this.#answer(failure);
  }

  /** Answers with a failure's own reply; the connection goes on where the request has been read. */
  #answer(failure: Failure): void {
    const isLast = !this.#isRequestEnded || this.#isLast || this.#options.isDraining();
    this.#hasAnswered = true;
    this.#inbound.reply(failure.reply ?? { status: 502 }, { isLast });
    this.#finish(failure.reason, failure.detail, !isLast);
  }

  #finish(reason: CloseReason, detail: string | undefined, isReusable: boolean): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    clearTimeout(this.#timer);
    this.#overflow = [];
    this.#resolve({ reason, detail, isReusable, upgraded: undefined });
  }
}

/** What the proxy says of itself in a message that came in this version (RFC 9110 §7.6.3). */
function viaLine(name: string | undefined, minorVersion: 0 | 1): string | undefined {
  return name === undefined ? undefined : `Via: 1.${minorVersion} ${name}\r\n`;
}

/** Whether one of the protocols in a 101 is one that the client asked for. */
function isOffered(offered: string, chosen: string): boolean {
  if (chosen === '') return false;
  const names = offered.split(',').map((name) => name.trim());
  return chosen.split(',').every((name) => names.includes(name.trim()));
}
