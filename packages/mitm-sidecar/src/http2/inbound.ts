// One stream of a client's HTTP/2 connection as the relay's client side. What comes before the relay asks for it waits here, and
// the client gets credit for no more than the relay has taken.
import { type ByteBudget, Failure } from 'mitm-core';
import {
  type BodyFraming,
  h2Code,
  h2CodeName,
  h2Reply,
  h2RequestFraming,
  type H2RequestHead,
  type H2Stream,
  type HeaderList,
  type Reply,
  sanitizedTrailers,
  type StreamListener,
  type StreamResetBy,
} from 'mitm-http';

import { HeldBytes } from '../held-bytes.ts';
import type { Inbound, RequestReceiver, ResponseMessage, ResponseOptions } from '../relay/sides.ts';
import { interimFields, responseFields, sensitiveNames } from './response-fields.ts';

/** The connection that a stream is one of. */
export interface InboundSession {
  /** The code of the client's GOAWAY, where it announced an error. */
  readonly leavingCode: number | undefined;
  /** What is held of requests counts there. */
  readonly budget: ByteBudget;
}

export class Http2Inbound implements Inbound, StreamListener {
  readonly head: H2RequestHead;
  readonly framing: BodyFraming;
  readonly stream: H2Stream;
  readonly #session: InboundSession;
  #receiver: RequestReceiver | undefined;
  #isReceiving: boolean;
  #isRequestComplete: boolean;
  #isAnswerEnded: boolean;
  /** Body bytes that came before the relay asked for them. */
  readonly #held: HeldBytes;
  #isEndHeld: boolean;
  #heldTrailers: HeaderList | undefined;
  #heldSensitive: ReadonlySet<string> | undefined;
  #failure: Failure | undefined;
  /** Bytes that the client has no credit for yet. */
  #owedBytes: number;
  #quietTicks: number;
  /** An extended CONNECT that has not been refused. */
  #isTwoWay: boolean;

  constructor(stream: H2Stream, head: H2RequestHead, isEnded: boolean, session: InboundSession) {
    this.stream = stream;
    this.#session = session;
    this.head = head;
    this.framing = h2RequestFraming(head, isEnded);
    this.#receiver = undefined;
    this.#isReceiving = false;
    this.#isRequestComplete = isEnded;
    this.#isAnswerEnded = false;
    this.#held = new HeldBytes(session.budget);
    this.#isEndHeld = false;
    this.#heldTrailers = undefined;
    this.#heldSensitive = undefined;
    this.#failure = undefined;
    this.#owedBytes = 0;
    this.#quietTicks = 0;
    this.#isTwoWay = head.protocol !== '';
  }

  get isRequestComplete(): boolean {
    return this.#isRequestComplete;
  }

  get isPersistent(): boolean {
    return true;
  }

  /** HTTP/2 has no Upgrade; a WebSocket over it is an extended CONNECT, which streams both ways like any request. */
  get upgrade(): string {
    return this.head.protocol;
  }

  get isTwoWay(): boolean {
    return this.#isTwoWay;
  }

  get passesResets(): boolean {
    return true;
  }

  endsWith(): boolean {
    return false;
  }

  receive(receiver: RequestReceiver): void {
    this.#receiver = receiver;
    this.#isReceiving = true;
    for (const piece of this.#held.release()) this.#deliver(piece);
    if (this.#isEndHeld) this.#endRequest(this.#heldTrailers, this.#heldSensitive);
    if (this.#failure !== undefined) receiver.requestFailed(this.#failure);
  }

  watch(receiver: RequestReceiver): void {
    this.#receiver = receiver;
    if (this.#failure !== undefined) this.#tellFailure(this.#failure);
  }

  pause(): void {
    // The client has credit for what the relay took, and for no more.
  }

  resume(): void {
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (owed > 0) this.stream.consume(owed);
  }

  sendContinue(): void {
    this.stream.sendHead([':status', '100'], false);
  }

  sendInformational(head: ResponseMessage): void {
    this.stream.sendHead(interimFields(head), false, sensitiveNames(head));
  }

  sendHead(head: ResponseMessage, _framing: BodyFraming, options: ResponseOptions): void {
    this.#quietTicks = 0;
    if (head.status >= 300) this.#isTwoWay = false;
    this.stream.sendHead(responseFields(head, options), false, sensitiveNames(head));
  }

  sendData(piece: Buffer): boolean {
    this.#quietTicks = 0;
    return this.stream.sendData(piece);
  }

  sendEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void {
    this.#isAnswerEnded = true;
    this.#held.release();
    const rest = trailers === undefined ? undefined : sanitizedTrailers(trailers);
    if (this.stream.sendEnd(rest, sensitive)) this.#stopUpload();
  }

  flush(): void {
    // The frames of a turn leave together.
  }

  reply(reply: Reply): void {
    this.#isTwoWay = false;
    const { fields, body } = h2Reply(reply, { isHead: this.head.method === 'HEAD' });
    this.stream.sendHead(fields, false);
    if (body.length > 0) this.stream.sendData(Buffer.from(body.buffer, body.byteOffset, body.length));
    this.sendEnd(undefined);
  }

  abort(code: number = h2Code.internalError): void {
    this.#receiver = undefined;
    this.#held.release();
    this.stream.reset(code);
  }

  /** A second has passed; gives the stream up when nothing moved on it for too long. */
  tick(limitMs: number): void {
    // What the client sent and nobody has asked for yet is no silence of its own.
    if (!this.#isReceiving) return;
    this.#quietTicks += 1;
    if (this.#isRequestComplete || this.#owedBytes > 0 || (this.#quietTicks - 1) * 1_000 < limitMs) return;
    const failure = new Failure('idle_watchdog_timeout', {
      side: 'client',
      detail: `idle_watchdog_timeout:http2_request_body:${limitMs}ms`,
      reply: { status: 408, body: 'the request body did not arrive in time\n' },
    });
    this.#failure = failure;
    this.#receiver?.requestFailed(failure);
  }

  informational(): void {
    // Told to clients only.
  }

  response(): void {
    // Told to clients only.
  }

  responseTooLarge(): void {
    // Told to clients only.
  }

  data(view: Buffer, isEnded: boolean): void {
    this.#quietTicks = 0;
    if (!this.#isReceiving) {
      const isWanted = view.length > 0 && !this.#isAnswerEnded && this.#failure === undefined;
      if (isWanted && !this.#held.tryKeep(view)) this.#refuse();
      this.#isEndHeld = isEnded;
      return;
    }
    if (view.length > 0) this.#deliver(view);
    if (isEnded) this.#endRequest(undefined);
  }

  trailers(fields: HeaderList, sensitive?: ReadonlySet<string>): void {
    const trailers = sanitizedTrailers(fields);
    if (this.#isReceiving) {
      this.#endRequest(trailers, sensitive);
      return;
    }
    this.#isEndHeld = true;
    this.#heldTrailers = trailers;
    this.#heldSensitive = sensitive;
  }

  reset(code: number, by: StreamResetBy): void {
    const failure = clientReset(code, by, this.#session.leavingCode);
    this.#failure = failure;
    this.#tellFailure(failure);
  }

  writable(): void {
    if (this.#isAnswerEnded) this.#stopUpload();
    else this.#receiver?.clientDrained();
  }

  #tellFailure(failure: Failure): void {
    // Whoever hears of it asks for no body any more.
    if (this.#receiver !== undefined) this.#held.release();
    this.#receiver?.requestFailed(failure);
  }

  /** There is no room for what the client sends before anybody can take it. */
  #refuse(): void {
    if (this.#isAnswerEnded || this.#failure !== undefined) return;
    const failure = new Failure('capacity_denied', {
      side: 'internal',
      detail: 'no room in flight for a request body',
      reply: { status: 503, body: 'the proxy has no room for this request\n' },
    });
    this.#failure = failure;
    this.#tellFailure(failure);
  }

  #deliver(piece: Buffer): void {
    const isReady = this.#receiver?.requestData(piece) ?? true;
    if (isReady) this.stream.consume(piece.length);
    else this.#owedBytes += piece.length;
  }

  #endRequest(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void {
    this.#isRequestComplete = true;
    this.#receiver?.requestEnd(trailers, sensitive);
  }

  /** The answer is complete: the client need not send the rest of its request (RFC 9113 §8.1). */
  #stopUpload(): void {
    if (!this.#isRequestComplete && !this.#isTwoWay) this.stream.reset(h2Code.noError);
  }
}

function clientReset(code: number, by: StreamResetBy, leavingCode: number | undefined): Failure {
  if (by === 'session') {
    return new Failure('client_aborted', {
      side: 'client',
      detail: 'client closed before its answer was complete',
      resetCode: leavingCode,
    });
  }
  if (by === 'local') {
    return new Failure('mitm_http_error', {
      side: 'client',
      detail: `malformed HTTP/2 request: the stream was reset with ${h2CodeName(code)}`,
    });
  }
  return new Failure('client_aborted', {
    side: 'client',
    detail: `client reset the stream: ${h2CodeName(code)}`,
    resetCode: code,
  });
}
