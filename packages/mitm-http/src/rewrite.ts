// Heads as they are sent on: what belongs to one connection only is taken out, every other line stays byte for byte as received.
import { withoutQuicAlternatives } from './alt-svc.ts';
import { fieldKind, offsetsPerField, trimSpace } from './field-lines.ts';
import type { HttpVersion, MessageHead, RequestHead, ResponseHead } from './head.ts';

/**
 * Fields that concern one connection and are never sent on, besides those that Connection names (RFC 9110 §7.6.1, §11.7).
 * Transfer-Encoding and Trailer are not among them: chunked bodies are sent on as such, trailers included.
 */
export const hopByHopFields = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'proxy-authentication-info',
  'te',
  'upgrade',
  'http2-settings',
] as const;

const oneHopFields: ReadonlySet<string> = new Set<string>([
  ...hopByHopFields,
  'trailer',
  'trailers',
  'transfer-encoding',
]);

/**
 * Whether a field, named in lower case, is about this hop alone and says nothing to whoever reads the whole message: the
 * {@link hopByHopFields} and what frames a chunked body.
 */
export function isHopByHop(lowerName: string): boolean {
  return oneHopFields.has(lowerName);
}

/** What to change in a request head on its way upstream. */
export interface WriteRequestOptions {
  /** Replaces the request target. */
  readonly target?: string | undefined;
  /** Replaces the value of Host in place, or is added as the first field when there is none. */
  readonly host?: string | undefined;
  /**
   * Sends Upgrade on, without `h2c` and `TLS/*`, together with `Connection: Upgrade`. Without effect in HTTP/1.0, or where
   * Connection does not name it (RFC 9110 §7.8).
   */
  readonly keepUpgrade?: boolean;
  readonly dropExpect?: boolean;
  readonly dropTransferEncoding?: boolean;
  /** Sets Content-Length, in place where there is one. */
  readonly contentLength?: number;
  /** Replaces the value of Max-Forwards (RFC 9110 §7.6.2), where there is one. */
  readonly maxForwards?: number | undefined;
  /** Whole lines, each with its CRLF, added at the end. The caller vouches for them. */
  readonly fields?: string | undefined;
}

/** What to change in a response head on its way to the client. */
export interface WriteResponseOptions {
  /** The version to write, HTTP/1.1 unless given. */
  readonly version?: HttpVersion;
  /** Sends Upgrade on, without `h2c` and `TLS/*`, together with `Connection: Upgrade`. */
  readonly keepUpgrade?: boolean;
  readonly dropTransferEncoding?: boolean;
  readonly dropContentLength?: boolean;
  /** Takes the alternatives over QUIC out of Alt-Svc (RFC 7838). */
  readonly dropQuicAlternatives?: boolean | undefined;
  /** Whole lines, each with its CRLF, added at the end. The caller vouches for them. */
  readonly fields?: string | undefined;
}

const altSvcBit = 1 << fieldKind.altSvc;
const contentLengthBit = 1 << fieldKind.contentLength;
const expectBit = 1 << fieldKind.expect;
const hostBit = 1 << fieldKind.host;
const maxForwardsBit = 1 << fieldKind.maxForwards;
const transferEncodingBit = 1 << fieldKind.transferEncoding;
const upgradeBit = 1 << fieldKind.upgrade;
const hopByHopBits =
  (1 << fieldKind.connection) |
  (1 << fieldKind.http2Settings) |
  (1 << fieldKind.keepAlive) |
  (1 << fieldKind.proxyAuthenticate) |
  (1 << fieldKind.proxyAuthenticationInfo) |
  (1 << fieldKind.proxyAuthorization) |
  (1 << fieldKind.proxyConnection) |
  (1 << fieldKind.te) |
  upgradeBit;

// Options of Connection that name no field, or one that goes anyway: no line has to be compared for these.
const ownOptions: ReadonlySet<string> = new Set<string>(['close', ...hopByHopFields]);

interface LinePlan {
  /** Kinds of fields to leave out, as bits. */
  readonly droppedKinds: number;
  readonly host: string | undefined;
  /** -1 leaves the length as it is. */
  readonly contentLength: number;
  /** -1 leaves the field as it is. */
  readonly maxForwards: number;
  readonly keepsUpgrade: boolean;
  readonly dropsQuic: boolean;
  readonly fields: string;
}

/**
 * The request head as sent upstream: HTTP/1.1, without fields of the client's connection and without credentials for us, equal
 * Content-Length values made one, all other lines as received. Expect from HTTP/1.0 is dropped, since such a client can't
 * be sent a 100 (RFC 9110 §10.1.1). Nothing to change returns the received text itself.
 */
export function writeRequestHead(head: RequestHead, options: WriteRequestOptions = {}): string {
  const isHttp11 = head.minorVersion === 1;
  const keepsUpgrade =
    options.keepUpgrade === true && isHttp11 && head.upgrade !== '' && head.hasConnectionOption('upgrade');
  let droppedKinds = hopByHopBits;
  if (options.dropExpect === true || !isHttp11) droppedKinds |= expectBit;
  if (options.dropTransferEncoding === true) droppedKinds |= transferEncodingBit;
  if (keepsUpgrade) droppedKinds &= ~upgradeBit;
  const { target = head.target, host } = options;
  const isLineKept = isHttp11 && target === head.target;
  const line = isLineKept ? undefined : `${head.method} ${target} HTTP/1.1\r\n`;
  return writeHead(head, line, {
    droppedKinds,
    host: host === head.host ? undefined : host,
    contentLength: options.contentLength ?? -1,
    maxForwards: options.maxForwards ?? -1,
    keepsUpgrade,
    dropsQuic: false,
    fields: options.fields ?? '',
  });
}

/**
 * The response head as sent to the client: HTTP/1.1 unless asked otherwise, without fields of the origin's connection, equal
 * Content-Length values made one, all other lines as received. 1xx and 204 lose Content-Length and Transfer-Encoding,
 * which they may not have (RFC 9110 §8.6, RFC 9112 §6.1). Nothing to change returns the received text itself.
 */
export function writeResponseHead(head: ResponseHead, options: WriteResponseOptions = {}): string {
  const { status, reason } = head;
  const { version = 'HTTP/1.1' } = options;
  const hasNoBody = status < 200 || status === 204;
  const keepsUpgrade = options.keepUpgrade === true && head.upgrade !== '';
  let droppedKinds = hopByHopBits;
  if (options.dropTransferEncoding === true || hasNoBody) droppedKinds |= transferEncodingBit;
  if (options.dropContentLength === true || hasNoBody) droppedKinds |= contentLengthBit;
  if (keepsUpgrade) droppedKinds &= ~upgradeBit;
  const isLineKept = version === head.version && head.text.charCodeAt(12) === 0x20;
  return writeHead(head, isLineKept ? undefined : `${version} ${status} ${reason}\r\n`, {
    droppedKinds,
    host: undefined,
    contentLength: -1,
    maxForwards: -1,
    keepsUpgrade,
    dropsQuic: options.dropQuicAlternatives === true,
    fields: options.fields ?? '',
  });
}

function writeHead(head: MessageHead, newLine: string | undefined, plan: LinePlan): string {
  const { text, seenKinds } = head;
  const isHostAdded = plan.host !== undefined && (seenKinds & hostBit) === 0;
  const isLengthAdded = plan.contentLength >= 0 && (seenKinds & contentLengthBit) === 0;
  const areLinesKept =
    (seenKinds & plan.droppedKinds) === 0 &&
    !head.isContentLengthRepeated &&
    !plan.keepsUpgrade &&
    (plan.host === undefined || isHostAdded) &&
    (plan.contentLength < 0 || isLengthAdded) &&
    (plan.maxForwards < 0 || (seenKinds & maxForwardsBit) === 0) &&
    (!plan.dropsQuic || (seenKinds & altSvcBit) === 0);
  const hasAdditions = isHostAdded || isLengthAdded || plan.fields !== '';
  if (areLinesKept && !hasAdditions) {
    return newLine === undefined ? text : newLine + text.slice(head.fieldsStart);
  }
  let out = newLine ?? text.slice(0, head.fieldsStart);
  if (isHostAdded) out += `Host: ${plan.host}\r\n`;
  out += areLinesKept ? text.slice(head.fieldsStart, -2) : writeLines(head, plan);
  if (isLengthAdded) out += `Content-Length: ${plan.contentLength}\r\n`;
  return `${out}${plan.fields}\r\n`;
}

// Lines that stay are cut out in runs, so that a head with one line less costs two slices.
function writeLines(head: MessageHead, plan: LinePlan): string {
  const { text, offsets } = head;
  const nominated = nominatedFields(head);
  let out = '';
  let runStart = head.fieldsStart;
  let isLengthWritten = false;
  let isUpgradeWritten = false;
  for (let i = 0; i < offsets.length; i += offsetsPerField) {
    const lineStart = offsets[i] ?? 0;
    const lineEnd = offsets[i + offsetsPerField] ?? text.length - 2;
    const kind = offsets[i + 4] ?? 0;
    let line: string | undefined;
    if (((plan.droppedKinds >> kind) & 1) === 1) line = '';
    else if (nominated !== undefined && nominated.has(fieldName(head, i).toLowerCase())) line = '';
    else if (kind === fieldKind.contentLength) {
      line = isLengthWritten ? '' : lengthLine(head, i, plan.contentLength);
      isLengthWritten = true;
    } else if (kind === fieldKind.host && plan.host !== undefined) line = lineWith(head, i, plan.host);
    else if (kind === fieldKind.altSvc && plan.dropsQuic) line = altSvcLine(head, i);
    else if (kind === fieldKind.maxForwards && plan.maxForwards >= 0)
      line = lineWith(head, i, String(plan.maxForwards));
    else if (kind === fieldKind.upgrade) {
      line = upgradeLine(head, i);
      isUpgradeWritten ||= line !== '';
    }
    if (line === undefined) continue;
    out += text.slice(runStart, lineStart) + line;
    runStart = lineEnd;
  }
  out += text.slice(runStart, -2);
  return isUpgradeWritten ? `${out}Connection: Upgrade\r\n` : out;
}

function nominatedFields(head: MessageHead): ReadonlySet<string> | undefined {
  if (head.connection === '' || ownOptions.has(head.connection)) return undefined;
  const names = head.connection.split(',').filter((option) => !ownOptions.has(option));
  return names.length === 0 ? undefined : new Set(names);
}

function fieldName(head: MessageHead, index: number): string {
  return head.text.slice(head.offsets[index], head.offsets[index + 1]);
}

function fieldValue(head: MessageHead, index: number): string {
  return head.text.slice(head.offsets[index + 2], head.offsets[index + 3]);
}

// Name, colon and space stay as they came.
function lineWith(head: MessageHead, index: number, value: string): string {
  return `${head.text.slice(head.offsets[index], head.offsets[index + 2])}${value}\r\n`;
}

function lengthLine(head: MessageHead, index: number, newLength: number): string | undefined {
  const length = newLength >= 0 ? newLength : head.contentLength;
  const value = fieldValue(head, index);
  const isKept = !value.includes(',') && length === head.contentLength;
  return isKept ? undefined : lineWith(head, index, String(length));
}

function altSvcLine(head: MessageHead, index: number): string | undefined {
  const value = fieldValue(head, index);
  const kept = withoutQuicAlternatives(value);
  if (kept === undefined) return '';
  return kept === value ? undefined : lineWith(head, index, kept);
}

// We end TLS and HTTP/2 ourselves: an upgrade to them in passing would take the conversation out of our sight.
function upgradeLine(head: MessageHead, index: number): string | undefined {
  const value = fieldValue(head, index);
  const offered = value.split(',').map(trimSpace).filter(Boolean);
  const kept = offered.filter((protocol) => !/^(?:h2c$|tls(?:\/|$))/i.test(protocol));
  if (kept.length === 0) return '';
  return kept.length === offered.length ? undefined : lineWith(head, index, kept.join(', '));
}
