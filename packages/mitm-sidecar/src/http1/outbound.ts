// One HTTP/1 connection to an origin, for one exchange after the other. Between two it belongs to the pool, where any
// byte that arrives, or the end of the stream, ends it.
import { Failure, type MitmConfig } from 'mitm-core';
import {
  BodyFramer,
  checkStrictHeaderMode,
  findHeadEnd,
  HttpError,
  isPersistent,
  isStreamType,
  parseResponseHead,
  responseFraming,
  type HeaderList,
  type ResponseHead,
} from 'mitm-http';

import { Accumulator } from '../accumulator.ts';
import { asksForConnectionAuth, authenticatesConnection } from '../relay/connection-auth.ts';
import type { Outbound, OutboundRequest, ResponseReceiver } from '../relay/sides.ts';
import { silentOrigin } from '../relay/silent-origin.ts';
import { challengeOf } from '../upstream/http-proxy.ts';
import { credentialsFault, proxyFailure } from '../upstream/proxy-failure.ts';
import type { Wire, WireReader } from '../wire.ts';
import { MessageWriter } from './message-writer.ts';
import { requestText } from './request-text.ts';

/** Where a connection goes when its exchange is over. */
export interface OutboundOwner {
  /** The exchange is over and the connection may carry another. */
  idle(connection: Http1Outbound): void;
  /** The connection is gone, or must not be used again. */
  gone(connection: Http1Outbound): void;
  /** The connection in use belongs to its last user alone from now on. */
  pinned(connection: Http1Outbound): void;
  /** Its answer is a stream, which may go on for hours. */
  streams(connection: Http1Outbound): void;
}

type State = 'idle' | 'head' | 'body' | 'upgraded' | 'closed';

/** A connection that was idle for this long may be dead without our knowing yet. */
const STALE_AFTER_MS = 1_000;

export class Http1Outbound implements Outbound, WireReader {
  readonly wire: Wire;
  readonly key: string;
  /** Whoever the pool says used it last; a connection is only shared as the pool allows. */
  lastUser: object | undefined;
  /** When it became idle, on the monotonic clock in milliseconds. */
  idleSinceMs: number;
  /** Under which settings it was made, as the pool counts them. */
  generation: number;
  /** It carries a stream, and takes no place from others; the pool's to say. */
  isStreaming: boolean;
  /** NTLM or Negotiate appeared on it: it is its last user's alone, to the end. */
  #isPinned: boolean;
  #isBound: boolean;
  readonly #owner: OutboundOwner;
  readonly #config: MitmConfig;
  readonly #writer: MessageWriter;
  #state: State;
  #useCount: number;
  /** It stood idle before this use for long enough that the origin may have given it up. */
  #hasWaited: boolean;
  #receiver: ResponseReceiver | undefined;
  #request: OutboundRequest | undefined;
  #partial: Accumulator | undefined;
  #framer: BodyFramer | undefined;
  #isRequestSent: boolean;
  #isReusable: boolean;
  #hasAnswer: boolean;
  readonly #emit: (piece: Buffer) => void;
  #wantsPause: boolean;

  constructor(wire: Wire, key: string, config: MitmConfig, owner: OutboundOwner) {
    this.wire = wire;
    this.key = key;
    this.lastUser = undefined;
    this.idleSinceMs = 0;
    this.generation = 0;
    this.isStreaming = false;
    this.#isPinned = false;
    this.#isBound = false;
    this.#owner = owner;
    this.#config = config;
    this.#writer = new MessageWriter(wire);
    this.#state = 'idle';
    this.#useCount = 0;
    this.#hasWaited = false;
    this.#receiver = undefined;
    this.#request = undefined;
    this.#partial = undefined;
    this.#framer = undefined;
    // Nothing is half sent.
    this.#isRequestSent = true;
    this.#isReusable = true;
    this.#hasAnswer = false;
    this.#wantsPause = false;
    // One closure for the life of the connection, not one per piece.
    this.#emit = (piece) => {
      if (this.#receiver?.responseData(piece) === false) this.#wantsPause = true;
    };
    wire.watchQuiet(Math.min(config.upstream.timeoutMs, config.timeouts.bodyIdleMs));
    wire.attach(this);
  }

  get isReused(): boolean {
    return this.#useCount > 1 || this.#hasWaited;
  }

  get isPinned(): boolean {
    return this.#isPinned;
  }

  get isBound(): boolean {
    return this.#isBound;
  }

  /** True while it may be given to an exchange. */
  get isIdle(): boolean {
    return this.#state === 'idle' && !this.wire.isClosed && !this.wire.isEnded;
  }

  send(request: OutboundRequest, receiver: ResponseReceiver): void {
    this.#state = 'head';
    this.#useCount += 1;
    this.#hasWaited = this.idleSinceMs > 0 && performance.now() - this.idleSinceMs > STALE_AFTER_MS;
    this.#receiver = receiver;
    this.#request = request;
    this.#framer = undefined;
    this.#isRequestSent = false;
    this.#isReusable = true;
    this.#hasAnswer = false;
    this.#isBound = this.#isPinned;
    if (!this.#isPinned && authenticatesConnection(request.head)) this.#pin();
    const text = requestText(request);
    this.#writer.begin(text, request.framing);
  }

  sendData(piece: Buffer): boolean {
    return this.#writer.data(piece);
  }

  sendEnd(trailers: HeaderList | undefined): void {
    this.#isRequestSent = true;
    this.#writer.end(trailers);
  }

  flush(): void {
    this.#writer.flush();
  }

  pause(): void {
    this.wire.pause();
  }

  resume(): void {
    this.#wantsPause = false;
    this.wire.resume();
  }

  release(): void {
    this.#receiver = undefined;
    this.#request = undefined;
    const isGood = this.#isReusable && this.#isRequestSent && this.#state === 'idle' && this.isIdle;
    if (!isGood) {
      this.abort();
      return;
    }
    if (this.#wantsPause) this.resume();
    // Lent to somebody who left before asking anything: nobody has used it.
    if (this.#useCount === 0) this.lastUser = undefined;
    this.#owner.idle(this);
  }

  abort(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#receiver = undefined;
    this.#takePartial();
    this.wire.destroy();
    this.#owner.gone(this);
  }

  /** Leaves the connection to an opaque relay after a 101; the pool forgets it. */
  takeWire(): Wire {
    this.#state = 'upgraded';
    this.#receiver = undefined;
    this.wire.detach();
    this.wire.watchQuiet(0);
    const partial = this.#takePartial();
    if (partial !== undefined) this.wire.pushBack(partial);
    this.#owner.gone(this);
    return this.wire;
  }

  onData(chunk: Buffer): void {
    if (this.#state === 'upgraded') {
      this.#keep(chunk);
      return;
    }
    if (this.#state === 'idle') {
      // An answer that nobody asked for: whatever it is, it must not reach the next exchange.
      this.abort();
      return;
    }
    try {
      this.#read(chunk);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#fail(malformed(error));
      return;
    }
    const receiver = this.#receiver;
    receiver?.responseFlush();
    if (this.#wantsPause && this.#receiver === receiver) this.wire.pause();
  }

  onEnd(): void {
    // The wire tells its next reader.
    if (this.#state === 'upgraded') return;
    if (this.#state === 'body' && this.#framer !== undefined) {
      try {
        this.#framer.end();
        this.#isReusable = false;
        this.#finishResponse(false);
        this.#receiver?.responseFlush();
        return;
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
        this.#fail(cutShort('the origin ended its answer before it was complete', this.wire.error));
        return;
      }
    }
    if (this.#state === 'idle') this.abort();
    else this.#fail(cutShort('upstream closed before response headers', this.wire.error));
  }

  onClose(error: Error | undefined): void {
    if (this.#state === 'upgraded') return;
    if (this.#state === 'idle') this.abort();
    else this.#fail(cutShort(error?.message ?? 'upstream connection closed', error));
  }

  onDrain(): void {
    this.#receiver?.upstreamDrained();
  }

  onQuiet(quietMs: number): void {
    if (this.#state === 'head' && this.#isRequestSent && quietMs >= this.#config.upstream.timeoutMs) {
      this.#fail(
        silentOrigin('stream_stage_timeout', 'http1_response_head', this.#config.upstream.timeoutMs),
      );
    } else if (this.#state === 'body' && !this.#wantsPause && quietMs >= this.#config.timeouts.bodyIdleMs) {
      this.#fail(
        silentOrigin('idle_watchdog_timeout', 'http1_response_body', this.#config.timeouts.bodyIdleMs),
      );
    }
  }

  #read(chunk: Buffer): void {
    let offset = 0;
    let bytes = chunk;
    while (this.#state === 'head' && offset < bytes.length) {
      if (this.#partial !== undefined) {
        this.#partial.push(bytes.subarray(offset));
        bytes = this.#takePartial() ?? bytes;
        offset = 0;
      }
      this.#hasAnswer = true;
      const leniency = this.#request?.responseLeniency;
      const end = findHeadEnd(bytes, offset, leniency);
      if (end === -1 || end - offset > this.#config.maxHttpHeadBytes) {
        this.#keepPartial(bytes, offset, end !== -1);
        return;
      }
      const head = parseResponseHead(bytes, offset, end, leniency);
      if (this.#request?.isStrict === true) checkStrictHeaderMode(head);
      offset = end;
      this.#begin(head, offset < bytes.length);
    }
    if (this.#state === 'body' && this.#framer !== undefined) {
      offset = this.#framer.push(bytes, offset, this.#emit);
      if (this.#framer?.isDone) this.#finishResponse(offset < bytes.length);
    }
    if (offset < bytes.length && this.#state === 'upgraded') this.#keep(bytes.subarray(offset));
  }

  #keepPartial(bytes: Buffer, offset: number, isComplete: boolean): void {
    if (isComplete || bytes.length - offset > this.#config.maxHttpHeadBytes) {
      throw new HttpError(
        'head_too_large',
        `response head larger than ${this.#config.maxHttpHeadBytes} bytes`,
      );
    }
    this.#keep(bytes.subarray(offset));
  }

  /** Keeps bytes of a head that goes on, or of what follows a 101 until the next reader takes the wire. */
  #keep(bytes: Buffer): void {
    this.#partial ??= new Accumulator(this.wire.budget);
    this.#partial.push(bytes);
    if (this.#state === 'upgraded') this.wire.pause();
  }

  #takePartial(): Buffer | undefined {
    const partial = this.#partial;
    this.#partial = undefined;
    return partial?.take();
  }

  #begin(head: ResponseHead, hasMore: boolean): void {
    const receiver = this.#receiver;
    const request = this.#request;
    if (receiver === undefined || request === undefined) return;
    if (head.status < 200 && head.status !== 101) {
      receiver.informational(head);
      return;
    }
    const { handedTo } = request;
    if (head.status === 407 && handedTo !== undefined) {
      // Credentials between us and the next proxy are no business of the client's.
      const fault = credentialsFault(handedTo.proxy, challengeOf(head));
      this.#fail(proxyFailure(handedTo.proxy, request.authority, fault));
      return;
    }
    const framing = responseFraming(head, request.head.method);
    if (!isPersistent(head) || framing.kind === 'until-close' || head.status === 101)
      this.#isReusable = false;
    if (!this.#isPinned && asksForConnectionAuth(head)) this.#pin();
    if (head.status === 101) {
      // Set first: a receiver that does not want the switch gives the connection up.
      this.#state = 'upgraded';
      receiver.responseHead(head, framing);
      return;
    }
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)) {
      receiver.responseHead(head, framing);
      this.#finishResponse(hasMore);
      return;
    }
    this.#framer = new BodyFramer(framing, {
      maxTrailerBytes: this.#config.maxHttpHeadBytes,
      // An origin that says too much there must not cost the client its answer.
      dropsForbiddenTrailers: true,
    });
    this.#state = 'body';
    // What is of a known length comes to its end by itself.
    if (framing.kind !== 'length' && isStreamType(head.headers.get('content-type')))
      this.#owner.streams(this);
    receiver.responseHead(head, framing);
  }

  #pin(): void {
    this.#isPinned = true;
    this.#owner.pinned(this);
  }

  #finishResponse(hasMore: boolean): void {
    const receiver = this.#receiver;
    // Bytes behind a complete answer would be taken for the next one's.
    if (hasMore) this.#isReusable = false;
    this.#state = 'idle';
    const trailers = this.#framer?.trailers;
    this.#framer = undefined;
    receiver?.responseEnd(trailers);
  }

  #fail(failure: Failure): void {
    const receiver = this.#receiver;
    const isUntouched = !this.#hasAnswer;
    this.abort();
    receiver?.responseFailed(failure, isUntouched);
  }
}

function malformed(error: HttpError): Failure {
  return new Failure('mitm_http_error', {
    side: 'upstream',
    detail: `response parse error: ${error.code}: ${error.message}`,
    reply: { status: 502, body: 'the origin sent an answer that is not valid HTTP\n' },
    cause: error,
  });
}

function cutShort(detail: string, cause?: Error): Failure {
  return new Failure('mitm_http_error', {
    side: 'upstream',
    detail,
    reply: { status: 502, body: 'the origin closed the connection without an answer\n' },
    cause,
  });
}
