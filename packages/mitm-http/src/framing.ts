// Which body follows a head, and the guard against request smuggling: whatever two readers could frame differently is refused.
// A host to send it to and the life of the connection are read off the same heads here.
import { AuthorityError, formatAuthority, parseAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { HttpError, quoted } from './errors.ts';
import { ResponseHead } from './head.ts';
import type { MessageHead, RequestHead } from './head.ts';
import type { RequestTarget } from './target.ts';

/** How the end of a body is found. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** No body follows the head. */
export const noBody: BodyFraming = Object.freeze({ kind: 'none' });
/** The body comes in chunks (RFC 9112 §7.1). */
export const chunkedBody: BodyFraming = Object.freeze({ kind: 'chunked' });
/** The body ends with the connection; responses only. */
export const untilCloseBody: BodyFraming = Object.freeze({ kind: 'until-close' });

/**
 * The body of a request (RFC 9112 §6.3). A length of 0 is no body.
 * @throws {HttpError} `conflicting_framing`, `transfer_encoding_in_http_1_0`, `invalid_transfer_encoding`,
 * `unknown_transfer_coding`.
 */
export function requestFraming(head: RequestHead): BodyFraming {
  return declaredFraming(head) ?? noBody;
}

/**
 * The body of a response to a request of that method (RFC 9112 §6.3): none after HEAD, in 1xx, 204 and 304, and in a 2xx to
 * CONNECT, whatever its fields say.
 * @throws {HttpError} as {@link requestFraming}; the client's answer is then 502.
 */
export function responseFraming(head: ResponseHead, requestMethod: string): BodyFraming {
  const { status } = head;
  if (requestMethod === 'HEAD' || status < 200 || status === 204 || status === 304) return noBody;
  if (requestMethod === 'CONNECT' && status < 300) return noBody;
  return declaredFraming(head) ?? untilCloseBody;
}

function declaredFraming(head: MessageHead): BodyFraming | undefined {
  const { contentLength } = head;
  if (head.transferEncoding !== '') {
    checkTransferEncoding(head);
    return chunkedBody;
  }
  if (contentLength > 0) return { kind: 'length', length: contentLength };
  return contentLength === 0 ? noBody : undefined;
}

function checkTransferEncoding(head: MessageHead): void {
  const { transferEncoding } = head;
  if (head.contentLength >= 0) {
    throw new HttpError(
      'conflicting_framing',
      'both Transfer-Encoding and Content-Length frame the body: send one',
    );
  }
  if (head.minorVersion === 0) {
    const message = 'HTTP/1.0 has no Transfer-Encoding: send HTTP/1.1 or a Content-Length';
    throw new HttpError('transfer_encoding_in_http_1_0', message);
  }
  if (transferEncoding === 'chunked') return;
  for (const coding of transferEncoding.split(',')) {
    if (coding === '') {
      throw new HttpError('invalid_transfer_encoding', 'Transfer-Encoding has an empty list member');
    }
    if (coding !== 'chunked') {
      const message = `transfer coding ${quoted(coding)} is not known: only "chunked" is`;
      throw new HttpError('unknown_transfer_coding', message);
    }
  }
  throw new HttpError('invalid_transfer_encoding', 'Transfer-Encoding names "chunked" more than once');
}

/**
 * Requires exactly one valid Host in HTTP/1.1; HTTP/1.0 may lack it (RFC 9112 §3.2). A second one is refused by the head parser.
 * @throws {HttpError} `missing_host`, `invalid_host`.
 */
export function checkHost(head: RequestHead): void {
  const { host } = head;
  if (host === undefined) {
    if (head.minorVersion === 0) return;
    throw new HttpError('missing_host', 'the request has no Host field: HTTP/1.1 needs one');
  }
  parseHost(host, 80);
}

/**
 * Requires that a target in absolute form names the authority that Host names, where a Host is given; a port left out of Host is
 * that of the target's scheme. A proxy that is asked by name ignores Host then (RFC 9112 §3.2.2); inside an intercepted
 * connection there is one origin, and whoever names two wants two readers to choose differently.
 * @throws {HttpError} `host_mismatch`, `invalid_host`.
 */
export function checkTargetHost(head: RequestHead, target: RequestTarget): void {
  const { host } = head;
  const { authority } = target;
  if (host === undefined || authority === undefined || target.form !== 'absolute') return;
  const named = parseHost(host, target.scheme === 'https' ? 443 : 80);
  if (named.host === authority.host && named.port === authority.port) return;
  const asked = formatAuthority(authority.host, authority.port);
  const message = `the target names ${asked} and Host names ${quoted(host)}: send the same in both`;
  throw new HttpError('host_mismatch', message);
}

function parseHost(host: string, defaultPort: number): Authority {
  // Latin1 stands for bytes here: a letter beyond ASCII is half a character of unknown encoding, no name to map.
  if (!/^[\u0021-\u007e]+$/.test(host)) throw invalidHost(host);
  try {
    return parseAuthority(host, { defaultPort });
  } catch (error) {
    if (error instanceof AuthorityError) throw invalidHost(host);
    throw error;
  }
}

function invalidHost(host: string): HttpError {
  return new HttpError('invalid_host', `Host ${quoted(host)} is not a host with an optional port`);
}

/**
 * Whether the connection may carry another message after this one (RFC 9112 §9.3): HTTP/1.1 unless it says close. HTTP/1.0 only
 * as a response that says keep-alive; from a client it is not honoured, since a proxy can't know who asked for it.
 */
export function isPersistent(head: MessageHead): boolean {
  if (head.connection === '') return head.minorVersion === 1;
  if (head.hasConnectionOption('close')) return false;
  return head.minorVersion === 1 || (head instanceof ResponseHead && head.hasConnectionOption('keep-alive'));
}

/**
 * The rule of the compatibility override `strict_header_mode`: HTTP/1.1 only, on both sides.
 * @throws {HttpError} `http_1_0_refused`.
 */
export function checkStrictHeaderMode(head: MessageHead): void {
  if (head.minorVersion === 0) {
    throw new HttpError('http_1_0_refused', 'strict_header_mode takes HTTP/1.1 only, and this is HTTP/1.0');
  }
}
