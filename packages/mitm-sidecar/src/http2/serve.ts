// Serves HTTP/2 on a client connection: every stream is an exchange with a flow of its own, planned, judged and relayed like any
// other, and what happens to one never touches its neighbours.
import { type ByteBudget, Failure, type Flow, isPromise } from 'mitm-core';
import {
  h2Code,
  h2CodeName,
  type H2RequestHead,
  H2Session,
  type H2SessionError,
  type H2Stream,
  HttpError,
  AuthorityError,
  type SessionListener,
} from 'mitm-http';
import { type CloseReason, closeReasons } from 'mitm-observe';

import { badRequest } from '../http1/bad-request.ts';
import { beginExchange, type ExchangePlan, type ExchangePlanner } from '../relay/plan.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { Http2Inbound } from './inbound.ts';
import { type PumpOwner, SessionPump } from './pump.ts';
import { sessionOptions } from './session-options.ts';
import type { Http2UpstreamSession } from './upstream-session.ts';

/** How long a client has to learn of the coming end before streams are refused (RFC 9113 §6.8). */
const NOTICE_MS = 100;

export interface ServeHttp2Options {
  readonly plan: ExchangePlanner;
  /** The connection to the origin that this client's streams will use, where there is one. */
  readonly upstream?: Http2UpstreamSession | undefined;
}

/**
 * Serves streams until the connection ends.
 *
 * @returns `mitm_http_completed` when either side ended it in good order
 * @throws Failure when the client broke the protocol or was stopped
 */
export function serveHttp2(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  options: ServeHttp2Options,
): Promise<CloseReason> {
  return new Promise((resolve, reject) => {
    new Http2Server(flow, session, runtime, options).start(resolve, reject);
  });
}

class Http2Server implements SessionListener, PumpOwner {
  readonly #flow: Flow;
  readonly #client: Session;
  readonly #runtime: Runtime;
  readonly #options: ServeHttp2Options;
  readonly #session: H2Session;
  readonly #pump: SessionPump;
  readonly #streams: Set<Http2Inbound>;
  #resolve: ((reason: CloseReason) => void) | undefined;
  #reject: ((failure: Failure) => void) | undefined;
  #failure: Failure | undefined;
  #isGone: boolean;
  #stopWatching: (() => void) | undefined;
  #noticeTimer: NodeJS.Timeout | undefined;

  constructor(flow: Flow, client: Session, runtime: Runtime, options: ServeHttp2Options) {
    this.#flow = flow;
    this.#client = client;
    this.#runtime = runtime;
    this.#options = options;
    const allowsConnect = options.upstream?.allowsConnectProtocol ?? false;
    this.#session = new H2Session(sessionOptions(flow.config, 'server', allowsConnect), this);
    this.#pump = new SessionPump(client.wire, this.#session, this);
    this.#streams = new Set();
    this.#resolve = undefined;
    this.#reject = undefined;
    this.#failure = undefined;
    this.#isGone = false;
    this.#stopWatching = undefined;
    this.#noticeTimer = undefined;
  }

  start(resolve: (reason: CloseReason) => void, reject: (failure: Failure) => void): void {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#client.server = this;
    this.#stopWatching = this.#options.upstream?.onGoaway((code) => this.#originLeaves(code));
    this.#pump.start(this.#flow.config.connectionPool.idleTimeoutMs);
    if (this.#runtime.isDraining()) this.drain();
  }

  get budget(): ByteBudget {
    return this.#flow.engine.budget;
  }

  /** The code of the client's GOAWAY, where it announced an error. */
  get leavingCode(): number | undefined {
    return this.#failure?.resetCode;
  }

  /** The proxy is shutting down: no new streams; the connection ends with the last one. */
  drain(): void {
    if (this.#session.isDraining) return;
    this.#session.goawayNotice();
    this.#noticeTimer = setTimeout(() => {
      this.#noticeTimer = undefined;
      this.#leave(h2Code.noError);
    }, NOTICE_MS);
  }

  request(stream: H2Stream, head: H2RequestHead, isEnded: boolean): void {
    const inbound = new Http2Inbound(stream, head, isEnded, this);
    stream.listener = inbound;
    this.#streams.add(inbound);
    try {
      const plan = this.#options.plan(head);
      if (isPromise(plan))
        plan.then(
          (planned) => this.#begin(inbound, planned),
          (error: unknown) => this.#refuse(inbound, error),
        );
      else this.#begin(inbound, plan);
    } catch (error) {
      this.#refuse(inbound, error);
    }
    this.#pump.wake();
  }

  headTooLarge(stream: H2Stream): void {
    const limit = this.#flow.config.http2MaxHeaderListSize;
    this.#closeChild('mitm_http_error', `request header list larger than ${limit} bytes`);
    stream.sendHead([':status', '431', 'content-length', '0'], true);
    stream.reset(h2Code.noError);
  }

  settings(): void {
    // The session itself goes by them.
  }

  goaway(_lastStreamId: number, code: number): void {
    if (code !== h2Code.noError) {
      this.#failure ??= new Failure('client_aborted', {
        side: 'client',
        detail: `client sent GOAWAY ${h2CodeName(code)}`,
        resetCode: code,
      });
    }
    this.#endIfIdle();
  }

  failed(error: H2SessionError): void {
    this.#failure ??= new Failure(closeReasonOf(error), {
      side: 'client',
      detail: `HTTP/2 ${h2CodeName(error.code)}: ${error.message}`,
      cause: error,
    });
    this.#pump.flushSoon();
  }

  outputReady(): void {
    this.#pump.flushSoon();
  }

  received(): void {
    // Frames leave at the end of the turn by themselves.
  }

  ticked(): void {
    const limitMs = this.#flow.config.upstream.h2BodyIdleTimeoutMs;
    for (const inbound of this.#streams) inbound.tick(limitMs);
  }

  quiet(quietMs: number): void {
    if (this.#streams.size === 0 && quietMs >= this.#flow.config.connectionPool.idleTimeoutMs)
      this.#leave(h2Code.noError);
  }

  faulted(error: unknown): void {
    this.#failure ??= Failure.from(error);
    this.#flow.engine.logger.error({ err: error }, 'connection failed unexpectedly');
  }

  lost(): void {
    // What each stream has to say of it, it says itself.
  }

  gone(): void {
    this.#isGone = true;
    clearTimeout(this.#noticeTimer);
    this.#stopWatching?.();
    if (this.leavingCode !== undefined)
      this.#options.upstream?.leftBy(this.#flow.connection, this.leavingCode);
    this.#settle();
  }

  #begin(inbound: Http2Inbound, plan: ExchangePlan): void {
    plan.flow.http2StreamId = inbound.stream.id;
    const { exchange, ending } = beginExchange(inbound, plan, this.#runtime);
    void ending.then((end) => {
      // What broke when both sides were cut is no fault of either.
      if (this.#client.isKilled) exchange.close('shutdown');
      else exchange.close(end.reason, end.detail);
      this.#over(inbound);
    });
  }

  /** Answers a request that no exchange can be made of. */
  #refuse(inbound: Http2Inbound, error: unknown): void {
    const failure =
      error instanceof HttpError
        ? badRequest(error)
        : error instanceof AuthorityError
          ? new Failure('mitm_http_error', {
              side: 'client',
              detail: error.message,
              reply: { status: 400, body: `${error.message}\n` },
            })
          : Failure.from(error);
    if (failure.isUnexpected)
      this.#flow.engine.logger.error({ err: failure.cause }, 'exchange failed unexpectedly');
    this.#closeChild(failure.reason, failure.detail);
    inbound.reply(failure.reply ?? { status: 502 });
    this.#over(inbound);
  }

  /** The flow of a stream that never became an exchange. */
  #closeChild(reason: CloseReason, detail: string | undefined): void {
    const child = this.#flow.openChild({ state: 'tls_ready', protocol: 'http2' });
    child.close(reason, detail);
    const told = this.#flow.engine.handler.streamEnded(child);
    if (isPromise(told)) child.connection.track(told);
  }

  #over(inbound: Http2Inbound): void {
    this.#streams.delete(inbound);
    this.#endIfIdle();
    this.#settle();
  }

  /** The origin announced the end of its connection: this client's ends too, so that it finds the same on its side. */
  #originLeaves(code: number): void {
    this.#leave(code);
  }

  #leave(code: number): void {
    this.#session.goaway(code);
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (
      this.#session.isDraining &&
      this.#streams.size === 0 &&
      !this.#isGone &&
      this.#noticeTimer === undefined
    )
      this.#pump.end();
  }

  #settle(): void {
    if (!this.#isGone || this.#streams.size > 0 || this.#resolve === undefined) return;
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#client.server = undefined;
    this.#runtime.pool.clientGone(this.#flow.connection);
    if (this.#failure === undefined) resolve('mitm_http_completed');
    else this.#reject?.(this.#failure);
  }
}

/** A flood has a close reason of its own; every other broken rule is an HTTP error. */
function closeReasonOf({ reason }: H2SessionError): CloseReason {
  return closeReasons.find((known) => known === reason) ?? 'mitm_http_error';
}
