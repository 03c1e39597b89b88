// Which requests may go out a second time, after which failures, and how often: whatever is sent twice was not done by the first, or
// may be done twice.
import { errorCode, type Exchange, Failure } from 'mitm-core';
import { classifyTlsError } from 'mitm-tls';

import type { Outbound } from './sides.ts';

const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Whether a request may be sent twice (RFC 9110 §9.2.2), and whether all of it is still there to send. */
export function isRepeatable(exchange: Exchange, isRequestEnded: boolean): boolean {
  return repeatable.has(exchange.request.method) && isReplayable(exchange, isRequestEnded);
}

/** Whether all of a request is still there to send again. */
function isReplayable(exchange: Exchange, isRequestEnded: boolean): boolean {
  if (!isRequestEnded) return false;
  const captured = exchange.bufferedRequest;
  return captured === undefined ? exchange.flow.bytesFromClient === 0 : !captured.isTruncated;
}

/** Whether an exchange failed with its connection, and not by anything that the origin said. */
function isConnectionLoss(failure: Failure): boolean {
  return failure.reason === 'mitm_http_error' && failure.resetCode === undefined;
}

/** A time-out is not among them: whoever waited that long is not made to wait as long again. */
const passingCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
]);

/**
 * Whether connecting failed in a way that may be over in a moment: the next hop refused, was not there, or hung up, also
 * during the TLS handshake. A certificate does not become valid, nor a name exist, by asking again.
 */
export function isPassing(failure: Failure): boolean {
  if (failure.reason === 'tls_handshake_failed') return classifyTlsError(failure.cause) === 'eof_or_reset';
  return failure.reason === 'upstream_connect_failed' && passingCodes.has(errorCode(failure.cause) ?? '');
}

/** What to do about an exchange that failed before its answer began. */
export type NextAttempt = 'repeat' | 'retry' | 'hang_up' | 'answer';

/** How often one exchange has been tried. */
export class Attempts {
  readonly #exchange: Exchange;
  readonly #retries: boolean;
  #hasRepeated: boolean;
  #hasRetried: boolean;

  /** @param retries `upstream.retryOnFailure` grants one further attempt */
  constructor(exchange: Exchange, retries: boolean) {
    this.#exchange = exchange;
    this.#retries = retries;
    this.#hasRepeated = false;
    this.#hasRetried = false;
  }

  /**
   * Says what is next: `repeat` at once on another connection, `retry` after the pause, `hang_up` as the origin did, or `answer`.
   *
   * @param isUntouched no byte of an answer had come
   */
  after(
    failure: Failure,
    outbound: Outbound | undefined,
    isUntouched: boolean,
    isRequestEnded: boolean,
  ): NextAttempt {
    // What the origin has surely not begun may be sent again whatever it is (RFC 9113 §8.7).
    if (failure.isUnprocessed && isReplayable(this.#exchange, isRequestEnded) && this.#repeatOnce())
      return 'repeat';
    if (!isUntouched || !isConnectionLoss(failure)) return 'answer';
    const isStale = outbound?.isReused === true;
    if (outbound?.isBound !== true && isRepeatable(this.#exchange, isRequestEnded)) {
      if (isStale && this.#repeatOnce()) return 'repeat';
      if (!isStale && this.#retryOnce()) return 'retry';
    }
    // The origin closed an idle connection just as the request went out.
    return isStale ? 'hang_up' : 'answer';
  }

  /** Whether one more connection may be tried after this error: nothing was sent, so that any request may. */
  mayConnectAgain(error: unknown): boolean {
    return error instanceof Failure && isPassing(error) && this.#retryOnce();
  }

  #repeatOnce(): boolean {
    const isFirst = !this.#hasRepeated;
    this.#hasRepeated = true;
    return isFirst;
  }

  #retryOnce(): boolean {
    const isGranted = this.#retries && !this.#hasRetried;
    this.#hasRetried = true;
    return isGranted;
  }
}
