// One stream of an HTTP/2 connection to an origin as the relay's origin side.
import { Failure, type MitmConfig } from 'mitm-core';
import {
  h2Code,
  h2CodeName,
  H2RequestHead,
  type H2ResponseHead,
  h2ResponseFraming,
  type H2Stream,
  type HeaderList,
  sanitizedTrailers,
  type StreamListener,
  type StreamResetBy,
} from 'mitm-http';

import { asksForConnectionAuth } from '../relay/connection-auth.ts';
import type { Outbound, OutboundRequest, ResponseReceiver } from '../relay/sides.ts';
import { silentOrigin } from '../relay/silent-origin.ts';
import { requestFields } from './request-fields.ts';

/** The connection that a stream is one of. */
export interface OutboundSession {
  /** A stream has come to its end, or was given up by a reset of ours. */
  streamOver(stream: Http2Outbound, isReset: boolean): void;
  /** Something was told that its receiver may want to write before the turn is over. */
  touched(stream: Http2Outbound): void;
  /** The origin takes extended CONNECT (RFC 8441). */
  readonly allowsConnectProtocol: boolean;
  /** NTLM or Negotiate appeared: the connection is this client's alone. */
  authenticated(client: object): void;
  /** What the connection itself ended of, if it has. */
  readonly fault: string | undefined;
  /** The error of its stream, where that ended it. */
  readonly lossError: Error | undefined;
}

type State = 'new' | 'head' | 'body' | 'over';

export class Http2Outbound implements Outbound, StreamListener {
  readonly isReused: boolean;
  readonly isBound: boolean;
  readonly #client: object;
  readonly #session: OutboundSession;
  readonly #config: MitmConfig;
  #stream: H2Stream | undefined;
  #state: State;
  #receiver: ResponseReceiver | undefined;
  #method: string;
  #isRequestSent: boolean;
  #owedBytes: number;
  #quietTicks: number;
  /** Why it ended before it was used. */
  #failure: Failure | undefined;

  /**
   * @param use for whom it is, whether the connection has carried another exchange before, and whether it is one client's alone
   */
  constructor(
    session: OutboundSession,
    config: MitmConfig,
    use: { readonly client: object; readonly isReused: boolean; readonly isBound: boolean },
  ) {
    this.isReused = use.isReused;
    this.isBound = use.isBound;
    this.#client = use.client;
    this.#session = session;
    this.#config = config;
    this.#stream = undefined;
    this.#state = 'new';
    this.#receiver = undefined;
    this.#method = '';
    this.#isRequestSent = false;
    this.#owedBytes = 0;
    this.#quietTicks = 0;
    this.#failure = undefined;
  }

  /** Gives it the stream that was opened for it. */
  attach(stream: H2Stream): void {
    this.#stream = stream;
  }

  send(request: OutboundRequest, receiver: ResponseReceiver): void {
    const { head } = request;
    const failure = this.#failure;
    if (failure !== undefined) {
      // Told later, as of any stream: whoever sends is not done with it yet.
      queueMicrotask(() => receiver.responseFailed(failure, true));
      return;
    }
    if (head.method === 'CONNECT' && !this.#session.allowsConnectProtocol) throw noWebSocket();
    this.#receiver = receiver;
    this.#method = head.method;
    this.#state = 'head';
    const sensitive = head instanceof H2RequestHead ? head.sensitiveNames : undefined;
    this.#stream?.sendHead(requestFields(request), false, sensitive);
  }

  sendData(piece: Buffer): boolean {
    this.#quietTicks = 0;
    return this.#stream?.sendData(piece) ?? true;
  }

  sendEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void {
    this.#isRequestSent = true;
    this.#quietTicks = 0;
    this.#stream?.sendEnd(trailers === undefined ? undefined : sanitizedTrailers(trailers), sensitive);
  }

  flush(): void {
    // The frames of a turn leave together.
  }

  pause(): void {
    // The origin has credit for what the relay took, and for no more.
  }

  resume(): void {
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (owed > 0) this.#stream?.consume(owed);
  }

  release(): void {
    // An answer that came before its request was complete makes the rest of that useless.
    this.#over(this.#state === 'new' || !this.#isRequestSent ? h2Code.noError : undefined);
  }

  abort(code: number = h2Code.cancel): void {
    this.#over(code);
  }

  /** A second has passed; gives the stream up when the origin was silent on it for too long. */
  tick(): void {
    const { h2HeaderStageTimeoutMs, h2BodyIdleTimeoutMs } = this.#config.upstream;
    this.#quietTicks += 1;
    // The tick that was under way when traffic stopped does not count.
    const quietMs = (this.#quietTicks - 1) * 1_000;
    if (this.#state === 'head' && this.#isRequestSent && quietMs >= h2HeaderStageTimeoutMs)
      this.#fail(
        silentOrigin('stream_stage_timeout', 'http2_response_head', h2HeaderStageTimeoutMs),
        h2Code.cancel,
      );
    else if (this.#state === 'body' && this.#owedBytes === 0 && quietMs >= h2BodyIdleTimeoutMs)
      this.#fail(
        silentOrigin('idle_watchdog_timeout', 'http2_response_body', h2BodyIdleTimeoutMs),
        h2Code.cancel,
      );
  }

  /** What was told together may be written. */
  flushReceiver(): void {
    this.#receiver?.responseFlush();
  }

  informational(head: H2ResponseHead): void {
    this.#quietTicks = 0;
    this.#receiver?.informational(head);
  }

  response(head: H2ResponseHead, isEnded: boolean): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#quietTicks = 0;
    this.#state = 'body';
    if (head.status === 401 && asksForConnectionAuth(head)) this.#session.authenticated(this.#client);
    this.#session.touched(this);
    receiver.responseHead(head, h2ResponseFraming(head, { requestMethod: this.#method, isEnded }));
    if (isEnded) receiver.responseEnd(undefined);
  }

  responseTooLarge(): void {
    const limit = this.#config.http2MaxHeaderListSize;
    this.#fail(
      new Failure('mitm_http_error', {
        side: 'upstream',
        detail: `response header list larger than ${limit} bytes`,
        reply: { status: 502, body: 'the header fields of the answer are too large\n' },
      }),
      undefined,
    );
  }

  data(view: Buffer, isEnded: boolean): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#quietTicks = 0;
    this.#session.touched(this);
    if (view.length > 0) {
      if (receiver.responseData(view)) this.#stream?.consume(view.length);
      else this.#owedBytes += view.length;
    }
    if (isEnded) receiver.responseEnd(undefined);
  }

  trailers(fields: HeaderList, sensitive?: ReadonlySet<string>): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#session.touched(this);
    receiver.responseEnd(fields, sensitive);
  }

  reset(code: number, by: StreamResetBy, isUnprocessed: boolean): void {
    const { fault, lossError } = this.#session;
    const failure = upstreamReset(code, by, { isUnprocessed, fault, lossError });
    if (this.#state === 'new') this.#failure = failure;
    this.#fail(failure, undefined);
  }

  writable(): void {
    this.#receiver?.upstreamDrained();
  }

  #fail(failure: Failure, code: number | undefined): void {
    const receiver = this.#receiver;
    const isUntouched = this.#state === 'head';
    this.#over(code);
    receiver?.responseFailed(failure, isUntouched);
  }

  #over(code: number | undefined): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#receiver = undefined;
    if (code !== undefined) this.#stream?.reset(code);
    this.#stream = undefined;
    this.#session.streamOver(this, code !== undefined && code !== h2Code.noError);
  }
}

function upstreamReset(
  code: number,
  by: StreamResetBy,
  how: {
    readonly isUnprocessed: boolean;
    readonly fault: string | undefined;
    readonly lossError: Error | undefined;
  },
): Failure {
  const name = h2CodeName(code);
  if (by === 'session') {
    return new Failure('mitm_http_error', {
      side: 'upstream',
      detail: how.fault ?? 'upstream connection closed',
      reply: { status: 502, body: 'the origin closed the connection without an answer\n' },
      cause: how.lossError,
    });
  }
  if (by === 'local') {
    return new Failure('mitm_http_error', {
      side: 'upstream',
      detail: `malformed HTTP/2 response: the stream was reset with ${name}`,
      reply: { status: 502, body: 'the origin sent an answer that is not valid HTTP\n' },
    });
  }
  return new Failure('mitm_http_error', {
    side: 'upstream',
    detail: `upstream reset the stream: ${name}`,
    reply: { status: 502, body: `the origin gave the request up: ${name}\n` },
    resetCode: code,
    isUnprocessed: how.isUnprocessed || code === h2Code.refusedStream,
  });
}

function noWebSocket(): Failure {
  return new Failure('mitm_http_error', {
    side: 'upstream',
    detail: 'the origin takes no WebSocket over HTTP/2',
    reply: { status: 501, body: 'the origin takes no WebSocket over HTTP/2\n' },
  });
}
