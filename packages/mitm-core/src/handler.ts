// The contract with the embedding program: every hook it may implement, and the decisions it may return.
// A hook that is absent changes nothing and costs nothing.
import type { Authority, HeaderList } from 'mitm-http';
import type { ConnectionId, FlowId } from 'mitm-observe';

import type { ConnectionMeta, ProcessInfo } from './connection.ts';
import type { RawRequest, RawResponse, StreamChunk } from './messages.ts';
import type { RouteAnswer } from './route-answer.ts';

export type Awaitable<T> = T | Promise<T>;

/** What a call with a deadline gets as its last argument. `signal` aborts when the deadline passes or the flow ends. */
export interface HandlerContext {
  readonly signal: AbortSignal;
}

/** The answer of `onRequest`. The union grows: treat an unknown `action` as an error. */
export type HandlerDecision = AllowDecision | BlockDecision;

export interface AllowDecision {
  readonly action: 'allow';
}

export interface BlockDecision {
  readonly action: 'block';
  /** 200 to 599. */
  readonly status: number;
  /** Flat name and value pairs. Framing fields are refused; `Content-Type` is `text/plain` unless given. */
  readonly headers?: HeaderList;
  readonly body: Uint8Array;
  /** A word of the caller's own that is added to the close detail. */
  readonly reasonCode?: string;
}

/**
 * What an embedding program may implement. Hooks may return promises. Those with a deadline get a context whose signal
 * aborts when it passes. A hook that throws, rejects or times out is counted and never breaks traffic, except as
 * `handler.failureMode` and `handler.recoverFromPanics` say.
 */
export interface InterceptHandler {
  /** Asked once for each CONNECT that policy would intercept; false tunnels it unread. */
  shouldInterceptTls?(host: string, process: ProcessInfo | undefined): Awaitable<boolean>;
  /**
   * Which way traffic to this target goes on; asked once for each CONNECT and each plain proxy request, before it is judged.
   * Undefined leaves it to the configuration. The target is judged, verified and reported as itself on every way.
   */
  resolveRoute?(
    target: Authority,
    process: ProcessInfo | undefined,
    context: HandlerContext,
  ): Awaitable<RouteAnswer>;
  /** A TLS handshake failed, on either side; `error` says which and why. */
  onTlsFailure?(host: string, error: string): Awaitable<void>;
  /** Once per accepted client connection, before every other hook of it. */
  onConnectionOpen?(meta: ConnectionMeta): Awaitable<void>;
  /** Each request, before any byte of it goes to the origin (`interceptMode: "enforce"`). */
  onRequest?(request: RawRequest, context: HandlerContext): Awaitable<HandlerDecision>;
  /** Each final response: after its body, or at its head with `streaming: true` where chunks follow. */
  onResponse?(response: RawResponse, context: HandlerContext): Awaitable<void>;
  /** The head of an accepted WebSocket upgrade, before its first chunk. */
  onWebSocketStart?(response: RawResponse, context: HandlerContext): Awaitable<void>;
  /** Each frame of a stream (an SSE event, an NDJSON line, a gRPC or WebSocket message), in order. */
  onStreamChunk?(chunk: StreamChunk, context: HandlerContext): Awaitable<void>;
  /** Once per flow, after its last chunk, whether it had any or not. */
  onStreamEnd?(connectionId: ConnectionId, flowId: FlowId): Awaitable<void>;
  /** Once per accepted client connection, after every other hook of it. */
  onConnectionClose?(connectionId: ConnectionId): Awaitable<void>;
}

/** Lets a request pass unchanged. */
export const allow: AllowDecision = Object.freeze({ action: 'allow' });

/**
 * Answers a request in the origin's place.
 *
 * @param status 200 to 599; the reason phrase follows from it.
 * @param body text (sent as UTF-8) or bytes; none by default.
 * @throws RangeError when the status is out of range.
 */
export function block(
  status: number,
  body: string | Uint8Array = '',
  options: { readonly headers?: HeaderList; readonly reasonCode?: string } = {},
): BlockDecision {
  if (!isBlockStatus(status)) {
    throw new RangeError(`block() needs a status from 200 to 599, received ${String(status)}`);
  }
  return Object.freeze({
    action: 'block',
    status,
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
    ...options,
  });
}

/** True for a status that a block may carry: 200 to 599. */
export function isBlockStatus(status: unknown): status is number {
  return typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599;
}
