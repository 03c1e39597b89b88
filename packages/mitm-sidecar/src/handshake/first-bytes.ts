// How a connection begins: the first bytes of either side tell whether it carries TLS, HTTP, or something that is not
// ours to read. Pure rules here; `peek.ts` applies them to sockets.
import { clientPreface } from 'mitm-http';
import { type ClientHello, ClientHelloReader, looksLikeTls } from 'mitm-tls';

/** What the client's first bytes are. */
export type ClientBeginning =
  | { readonly kind: 'tls'; readonly hello: ClientHello }
  | { readonly kind: 'http1' }
  | { readonly kind: 'http2' }
  | { readonly kind: 'unknown' };

const HTTP2_PREFACE = Buffer.from(clientPreface, 'latin1');
/** No request line that we would accept is longer than this before its first space. */
const METHOD_LIMIT = 64;
const requestLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ ]+ HTTP\/\d/;

export interface BeginningLimits {
  readonly maxHelloBytes: number;
  /** A first line longer than this is not read as HTTP. */
  readonly maxLineBytes: number;
}

/**
 * A rule for `gather`: recognises how a client begins. Stateful for TLS, so that a hello that comes in many pieces is
 * read once.
 *
 * @returns a function of all bytes so far; undefined asks for more; it throws ClientHelloError for bytes that begin
 *   like TLS and can't be read
 */
export function beginningRecogniser(limits: BeginningLimits): (bytes: Buffer) => ClientBeginning | undefined {
  const reader = new ClientHelloReader({ maxBytes: limits.maxHelloBytes });
  let fed = 0;
  return (bytes) => {
    const isTls = looksLikeTls(bytes);
    if (isTls === undefined) return undefined;
    if (!isTls) return plainBeginning(bytes, limits.maxLineBytes);
    const hello = reader.push(bytes.subarray(fed));
    fed = bytes.length;
    return hello === undefined ? undefined : { kind: 'tls', hello };
  };
}

/** Whether bytes begin with the HTTP/2 preface (RFC 9113 §3.4), or with a part of it that is all there is so far. */
export function prefaceIn(bytes: Buffer): 'no' | 'part' | 'whole' {
  const common = Math.min(bytes.length, HTTP2_PREFACE.length);
  if (bytes.compare(HTTP2_PREFACE, 0, common, 0, common) !== 0) return 'no';
  return common === HTTP2_PREFACE.length ? 'whole' : 'part';
}

/** Whether bytes begin with a SETTINGS frame, as an HTTP/2 server does, or with a part of one's head (RFC 9113 §4.1, §6.5). */
export function settingsIn(bytes: Buffer): 'no' | 'part' | 'whole' {
  const head = bytes.subarray(0, 9);
  // Settings are six bytes each, and nobody sends thousands.
  const hasLength = head.length < 3 || (head.readUIntBE(0, 3) % 6 === 0 && head.readUIntBE(0, 3) <= 16_384);
  const hasRest = head.subarray(3).every((byte, index) => byte === (index === 0 ? 4 : 0));
  if (!hasLength || !hasRest || (head.length < 3 && head[0] !== 0)) return 'no';
  return head.length === 9 ? 'whole' : 'part';
}

/** Recognises bytes that are not TLS: an HTTP/1 request line, the HTTP/2 preface (RFC 9113 §3.4), or neither. */
export function plainBeginning(bytes: Buffer, maxLineBytes: number): ClientBeginning | undefined {
  const preface = prefaceIn(bytes);
  if (preface !== 'no') return preface === 'whole' ? { kind: 'http2' } : undefined;
  // Empty lines before a request line are allowed (RFC 9112 §2.2).
  let start = 0;
  while (start < bytes.length && (bytes[start] === 13 || bytes[start] === 10)) start += 1;
  if (start > 8) return { kind: 'unknown' };
  const lineEnd = bytes.indexOf(10, start);
  const line = bytes.toString('latin1', start, lineEnd === -1 ? bytes.length : lineEnd);
  if (lineEnd !== -1) return { kind: requestLine.test(line) ? 'http1' : 'unknown' };
  if (line.length > maxLineBytes || !couldBeRequestLine(line)) return { kind: 'unknown' };
  return undefined;
}

/** True while an unfinished line may still become a request line. */
function couldBeRequestLine(line: string): boolean {
  const space = line.indexOf(' ');
  const method = space === -1 ? line : line.slice(0, space);
  return space !== 0 && method.length <= METHOD_LIMIT && /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/.test(method);
}

/** True for a hello that offers protocols and none of them is HTTP: `mqtt`, `acme-tls/1` and the like. */
export function offersOnlyOtherProtocols(hello: ClientHello): boolean {
  return hello.alpn.length > 0 && !hello.alpn.some((name) => name === 'h2' || name.startsWith('http/'));
}
