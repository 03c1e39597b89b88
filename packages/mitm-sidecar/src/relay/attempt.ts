// Which requests may go out a second time, and which failures may be over a moment later. When that is tried, and how
// often, is the exchange's to decide.
import { errorCode, type Exchange, type Failure } from 'mitm-core';
import { classifyTlsError } from 'mitm-tls';

const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Whether a request may be sent twice (RFC 9110 §9.2.2), and whether all of it is still there to send. */
export function isRepeatable(exchange: Exchange, isRequestEnded: boolean): boolean {
  if (!repeatable.has(exchange.request.method) || !isRequestEnded) return false;
  const captured = exchange.bufferedRequest;
  return captured === undefined ? exchange.flow.bytesFromClient === 0 : !captured.isTruncated;
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
