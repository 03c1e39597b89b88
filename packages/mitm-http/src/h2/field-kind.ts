// Which fields of an HTTP/2 message have a meaning for whoever relays it. One comparison of lengths settles it for nearly every
// field, since this runs for each field of each message.
import { contentLengthOf } from '../content-length.ts';
import { HttpError, quoted } from '../errors.ts';
import { H2MessageError } from './message-error.ts';

/** What a field is, as a small number; 0 for all that are just sent on. */
export const h2FieldKind = {
  other: 0,
  /** The name begins with a colon. */
  pseudo: 1,
  /** Makes a message malformed (RFC 9113 §8.2.2). */
  connectionSpecific: 2,
  /** Concerns this hop alone and is never sent on (RFC 9110 §11.7; RFC 7540 §3.2.1). */
  oneHop: 3,
  te: 4,
  host: 5,
  expect: 6,
  contentLength: 7,
  cookie: 8,
} as const;

const COLON = 0x3a;

/** The kind of the field with that name, given in lower case. */
export function kindOfH2Field(name: string): number {
  if (name.charCodeAt(0) === COLON) return h2FieldKind.pseudo;
  switch (name.length) {
    case 2:
      return name === 'te' ? h2FieldKind.te : h2FieldKind.other;
    case 4:
      return name === 'host' ? h2FieldKind.host : h2FieldKind.other;
    case 6:
      if (name === 'cookie') return h2FieldKind.cookie;
      return name === 'expect' ? h2FieldKind.expect : h2FieldKind.other;
    case 7:
      return name === 'upgrade' ? h2FieldKind.connectionSpecific : h2FieldKind.other;
    case 10:
      if (name === 'connection' || name === 'keep-alive') return h2FieldKind.connectionSpecific;
      return h2FieldKind.other;
    case 14:
      if (name === 'content-length') return h2FieldKind.contentLength;
      return name === 'http2-settings' ? h2FieldKind.oneHop : h2FieldKind.other;
    case 16:
      return name === 'proxy-connection' ? h2FieldKind.connectionSpecific : h2FieldKind.other;
    case 17:
      return name === 'transfer-encoding' ? h2FieldKind.connectionSpecific : h2FieldKind.other;
    case 18:
      return name === 'proxy-authenticate' ? h2FieldKind.oneHop : h2FieldKind.other;
    case 19:
      return name === 'proxy-authorization' ? h2FieldKind.oneHop : h2FieldKind.other;
    case 25:
      return name === 'proxy-authentication-info' ? h2FieldKind.oneHop : h2FieldKind.other;
    default:
      return h2FieldKind.other;
  }
}

/**
 * The length that a `content-length` declares; a repeated equal one counts once, as in HTTP/1.
 * @param known the length of an earlier one in the same message, or -1.
 * @throws {H2MessageError} `invalid_content_length`, `conflicting_content_length`.
 */
export function h2ContentLengthOf(value: string, known: number): number {
  try {
    return contentLengthOf(value, known);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    const isConflict = error.code === 'conflicting_content_length';
    throw new H2MessageError(
      isConflict ? 'conflicting_content_length' : 'invalid_content_length',
      error.message,
    );
  }
}

/** @throws {H2MessageError} `invalid_te` for anything but `trailers` (RFC 9113 §8.2.2). */
export function checkTe(value: string): void {
  if (value === 'trailers' || value.toLowerCase() === 'trailers') return;
  throw new H2MessageError(
    'invalid_te',
    `te ${quoted(value)} says more than "trailers", which HTTP/2 forbids`,
  );
}

/** The error for a field of kind `connectionSpecific`. */
export function connectionSpecificError(name: string): H2MessageError {
  const message = `${quoted(name)} concerns an HTTP/1 connection: leave it out of HTTP/2`;
  return new H2MessageError('connection_specific_field', message);
}

/** The value of a pseudo field that may come once, given what was known of it. @throws {H2MessageError} */
export function pseudoValue(known: string, name: string, value: string): string {
  if (value === '') throw new H2MessageError('empty_pseudo_field', `${name} is empty`);
  if (known !== '') throw new H2MessageError('repeated_pseudo_field', `${name} is given twice`);
  return value;
}

/** The error for a pseudo field that is behind a regular one. */
export function misplacedPseudoError(name: string): H2MessageError {
  const message = `${quoted(name)} comes behind a regular field: pseudo fields come first`;
  return new H2MessageError('misplaced_pseudo_field', message);
}
