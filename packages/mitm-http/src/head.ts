// Request and response heads: bytes to facts, or one HttpError. Strict by the grammar of RFC 9112; obs-text is kept as latin1.
// A head keeps its text and where its fields are in it, so that an untouched line can be sent on exactly as it came.
import { contentLengthOf } from './content-length.ts';
import { HttpError, quoted } from './errors.ts';
import {
  bareLineEnd,
  cutFields,
  fieldKind,
  latin1,
  offsetsPerField,
  scanFieldLines,
  targetBytes,
  tokenBytes,
  trimSpace,
  valueBytes,
} from './field-lines.ts';
import { looseHeadEnd, repairedHead } from './head-leniency.ts';
import type { HeadLeniency } from './head-leniency.ts';
import { HeaderMap } from './header-map.ts';

/** The versions of HTTP that a head here can have. */
export type HttpVersion = 'HTTP/1.0' | 'HTTP/1.1';

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const headEnd = Buffer.from('\r\n\r\n');
const versionPrefix = 'HTTP/1.';
const maxEmptyLines = 4;

// Fields meant for whoever receives the message in the end: naming one in Connection would make a proxy remove it
// (RFC 9110 §7.6.1), which changes framing, routing or identity behind the sender's back.
const endToEndFields: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'origin',
  'set-cookie',
  'transfer-encoding',
  'www-authenticate',
]);

/**
 * Offset just behind the CRLF CRLF that ends a head, searching from `from`, or -1 while it is not there. With `bare_lf` among the
 * leniencies, which are for origins only, an empty line that ends in LF alone ends it too.
 */
export function findHeadEnd(bytes: Buffer, from: number, leniencies?: readonly HeadLeniency[]): number {
  if (leniencies?.includes('bare_lf') === true) return looseHeadEnd(bytes, from);
  const at = bytes.indexOf(headEnd, from);
  return at < 0 ? -1 : at + 4;
}

/**
 * Offset of the first byte that is not an empty line (CRLF) at `from`: old clients send one behind a body (RFC 9112 §2.2).
 * At most 4 are skipped, so that a stream of them is an invalid request line and not an endless wait.
 */
export function skipEmptyLines(bytes: Buffer, from: number): number {
  let at = from;
  const last = from + 2 * maxEmptyLines;
  while (at < last && at + 1 < bytes.length && bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

/** What requests and responses have in common. Immutable; strings are cut when first asked for, framing fields excepted. */
export abstract class MessageHead {
  /** The head as received, latin1, up to and including its empty line. */
  readonly text: string;
  /** 1 for HTTP/1.1. */
  readonly minorVersion: 0 | 1;
  /** Where the first field line begins in {@link text}. */
  readonly fieldsStart: number;
  /** Five numbers per field, into {@link text}: name start and end, value start and end, kind. For `rewrite.ts`. */
  readonly offsets: readonly number[];
  /** Bit `n` is set when a field of kind `n` is present. For `rewrite.ts`. */
  readonly seenKinds: number;
  /** The declared length in bytes, -1 without one. Repeated equal values count as one (RFC 9112 §6.3). */
  readonly contentLength: number;
  /** Whether the length was given more than once, in lines or as a list. */
  readonly isContentLengthRepeated: boolean;
  /** All transfer codings in lower case, joined by commas; '' without any. */
  readonly transferEncoding: string;
  /** All connection options in lower case, joined by commas; '' without any. */
  readonly connection: string;
  /** All protocols offered in Upgrade in lower case, joined by commas; '' without any. */
  readonly upgrade: string;
  #headers: HeaderMap | undefined;

  constructor(bytes: Buffer, start: number, end: number, fieldsFrom: number, minorVersion: 0 | 1) {
    const offsets: number[] = [];
    this.seenKinds = scanFieldLines(bytes, fieldsFrom, end, start, offsets);
    this.text = bytes.toString('latin1', start, end);
    this.minorVersion = minorVersion;
    this.fieldsStart = fieldsFrom - start;
    this.offsets = offsets;
    let length = -1;
    let isRepeated = false;
    let transferEncoding = '';
    let connection = '';
    let upgrade = '';
    for (let i = offsetsPerField - 1; i < offsets.length; i += offsetsPerField) {
      const kind = offsets[i];
      if (kind === fieldKind.other || kind === fieldKind.host) continue;
      const value = this.text.slice(offsets[i - 2], offsets[i - 1]);
      if (kind === fieldKind.contentLength) {
        isRepeated ||= length >= 0 || value.includes(',');
        length = contentLengthOf(value, length);
      } else if (kind === fieldKind.transferEncoding) transferEncoding = addCodings(transferEncoding, value);
      else if (kind === fieldKind.connection) connection = addTokens(connection, value);
      else if (kind === fieldKind.upgrade) upgrade = addTokens(upgrade, value);
    }
    if (connection !== '') refuseEndToEndOptions(connection);
    this.contentLength = length;
    this.isContentLengthRepeated = isRepeated;
    this.transferEncoding = transferEncoding;
    this.connection = connection;
    this.upgrade = upgrade;
    this.#headers = undefined;
  }

  /** The version as it was on the wire. */
  get version(): HttpVersion {
    return this.minorVersion === 1 ? 'HTTP/1.1' : 'HTTP/1.0';
  }

  /** Number of field lines. */
  get headerCount(): number {
    return this.offsets.length / offsetsPerField;
  }

  /** All fields in wire order and case; made on first use. */
  get headers(): HeaderMap {
    return (this.#headers ??= new HeaderMap(cutFields(this.text, this.offsets)));
  }

  /** Whether Connection lists the option, in any case. */
  hasConnectionOption(option: string): boolean {
    return this.connection !== '' && hasMember(this.connection, option.toLowerCase());
  }
}

/** A parsed request head. */
export class RequestHead extends MessageHead {
  readonly method: string;
  /** The request target as received; `parseTarget` tells its form. */
  readonly target: string;
  /** The value of Host as received; `checkHost` judges it. */
  readonly host: string | undefined;
  /** Whether the client waits for 100 Continue; never in HTTP/1.0 (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;

  constructor(bytes: Buffer, start: number, end: number, line: RequestLine) {
    super(bytes, start, end, line.end, line.minorVersion);
    this.method = this.text.slice(0, line.methodEnd - start);
    this.target = this.text.slice(line.methodEnd + 1 - start, line.targetEnd - start);
    this.host = hostOf(this);
    this.expectsContinue =
      line.minorVersion === 1 && (this.seenKinds & (1 << fieldKind.expect)) !== 0 && isContinueExpected(this);
  }
}

/** A parsed response head. */
export class ResponseHead extends MessageHead {
  /** 100 to 999. */
  readonly status: number;
  /** The reason phrase, often empty. */
  readonly reason: string;

  constructor(bytes: Buffer, start: number, end: number, line: StatusLine) {
    super(bytes, start, end, line.end, line.minorVersion);
    this.status = line.status;
    this.reason = this.text.slice(13, line.end - 2 - start);
  }
}

interface RequestLine {
  readonly methodEnd: number;
  readonly targetEnd: number;
  readonly end: number;
  readonly minorVersion: 0 | 1;
}

interface StatusLine {
  readonly status: number;
  readonly end: number;
  readonly minorVersion: 0 | 1;
}

/**
 * Parses the request head in `bytes` from `start` to `end`, as {@link findHeadEnd} found it (RFC 9112 §3, §5).
 * Which body follows is for `requestFraming`, which host it means for `checkHost` and `parseTarget`.
 * @throws {HttpError} for anything but exact grammar: one SP between the parts, HTTP/1.0 or 1.1, no folding, no bare line ends.
 */
export function parseRequestHead(bytes: Buffer, start: number, end: number): RequestHead {
  requireHeadEnd(bytes, start, end);
  let at = start;
  while (tokenBytes[bytes[at] ?? 0] === 1) at++;
  const methodEnd = at;
  if (methodEnd === start || bytes[at] !== SP) throw requestLineError(bytes, start, end);
  at++;
  while (targetBytes[bytes[at] ?? 0] === 1) at++;
  const targetEnd = at;
  if (targetEnd === methodEnd + 1 || bytes[at] !== SP) throw requestLineError(bytes, start, end);
  const minorVersion = minorVersionAt(bytes, at + 1);
  at += 9;
  if (minorVersion === undefined || bytes[at] !== CR || bytes[at + 1] !== LF) {
    throw requestLineError(bytes, start, end);
  }
  return new RequestHead(bytes, start, end, { methodEnd, targetEnd, end: at + 2, minorVersion });
}

/**
 * Parses the response head in `bytes` from `start` to `end` (RFC 9112 §4, §5). The space before an empty reason may be missing.
 * With leniencies the named faults are repaired first, so that the head's text is strict whatever came.
 * @throws {HttpError} as for requests; the status is three digits from 100.
 */
export function parseResponseHead(
  bytes: Buffer,
  start: number,
  end: number,
  leniencies?: readonly HeadLeniency[],
): ResponseHead {
  if (leniencies === undefined || leniencies.length === 0) return parseStrictResponseHead(bytes, start, end);
  const strict = repairedHead(bytes, start, end, leniencies);
  return parseStrictResponseHead(strict, 0, strict.length);
}

function parseStrictResponseHead(bytes: Buffer, start: number, end: number): ResponseHead {
  requireHeadEnd(bytes, start, end);
  const minorVersion = minorVersionAt(bytes, start);
  if (minorVersion === undefined || bytes[start + 8] !== SP) throw statusLineError(bytes, start, end);
  let status = 0;
  for (let i = start + 9; i < start + 12; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) throw statusLineError(bytes, start, end);
    status = status * 10 + digit;
  }
  let at = start + 12;
  if (bytes[at] === SP) while (valueBytes[bytes[at] ?? 0] === 1) at++;
  if (status < 100 || bytes[at] !== CR || bytes[at + 1] !== LF) throw statusLineError(bytes, start, end);
  return new ResponseHead(bytes, start, end, { status, end: at + 2, minorVersion });
}

// Every loop over a head ends at a CR, so this one check bounds them all.
function requireHeadEnd(bytes: Buffer, start: number, end: number): void {
  const isComplete =
    start >= 0 &&
    end - start >= 4 &&
    end <= bytes.length &&
    bytes[end - 4] === CR &&
    bytes[end - 3] === LF &&
    bytes[end - 2] === CR &&
    bytes[end - 1] === LF;
  if (!isComplete)
    throw new HttpError('incomplete_head', 'a head ends in CR LF CR LF, and this one does not');
}

function minorVersionAt(bytes: Buffer, at: number): 0 | 1 | undefined {
  for (let k = 0; k < versionPrefix.length; k++) {
    if (bytes[at + k] !== versionPrefix.charCodeAt(k)) return undefined;
  }
  const minor = (bytes[at + versionPrefix.length] ?? 0) - 0x30;
  return minor === 0 || minor === 1 ? minor : undefined;
}

function requestLineError(bytes: Buffer, start: number, end: number): HttpError {
  const lineEnd = lineEndFrom(bytes, start, end);
  const lineError = bareLineEnd(bytes, lineEnd);
  if (lineError !== undefined) return lineError;
  const line = latin1(bytes, start, lineEnd);
  if (/^\S+ \S+ HTTP\/\d\.\d$/.test(line)) {
    const version = line.slice(-8);
    if (version !== 'HTTP/1.0' && version !== 'HTTP/1.1') {
      const message = `version ${quoted(version)} is not spoken here: send HTTP/1.1`;
      return new HttpError('unsupported_http_version', message);
    }
  }
  return new HttpError(
    'invalid_request_line',
    `${quoted(line)} is not "METHOD target HTTP/1.1" with single spaces`,
  );
}

function statusLineError(bytes: Buffer, start: number, end: number): HttpError {
  const lineEnd = lineEndFrom(bytes, start, end);
  const lineError = bareLineEnd(bytes, lineEnd);
  if (lineError !== undefined) return lineError;
  const line = quoted(latin1(bytes, start, lineEnd));
  return new HttpError(
    'invalid_status_line',
    `${line} is not "HTTP/1.1 200 reason" with three digits from 100`,
  );
}

function lineEndFrom(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== CR && bytes[at] !== LF) at++;
  return at;
}

function hostOf(head: MessageHead): string | undefined {
  if ((head.seenKinds & (1 << fieldKind.host)) === 0) return undefined;
  const { offsets } = head;
  let host: string | undefined;
  for (let i = offsetsPerField - 1; i < offsets.length; i += offsetsPerField) {
    if (offsets[i] !== fieldKind.host) continue;
    if (host !== undefined) throw new HttpError('duplicate_host', 'the request has more than one Host field');
    host = head.text.slice(offsets[i - 2], offsets[i - 1]);
  }
  return host;
}

// Anything but 100-continue may be answered with 417 (RFC 9110 §10.1.1); what it asks for can't be promised for the origin.
function isContinueExpected(head: MessageHead): boolean {
  const { offsets } = head;
  let isExpected = false;
  for (let i = offsetsPerField - 1; i < offsets.length; i += offsetsPerField) {
    if (offsets[i] !== fieldKind.expect) continue;
    for (const member of head.text.slice(offsets[i - 2], offsets[i - 1]).split(',')) {
      const expectation = trimSpace(member).toLowerCase();
      if (expectation === '') continue;
      if (expectation !== '100-continue') {
        throw new HttpError(
          'unknown_expectation',
          `expectation ${quoted(expectation)} is not "100-continue"`,
        );
      }
      isExpected = true;
    }
  }
  return isExpected;
}

// An empty member may hide a coding from one reader and not from another, so it is kept for framing to refuse.
function addCodings(list: string, value: string): string {
  if (value === '') throw new HttpError('invalid_transfer_encoding', 'Transfer-Encoding is empty');
  const lower = value.toLowerCase();
  const codings = lower.includes(',') ? lower.split(',').map(trimSpace).join(',') : lower;
  return list === '' ? codings : `${list},${codings}`;
}

function addTokens(list: string, value: string): string {
  const lower = value.toLowerCase();
  const tokens = lower.includes(',') ? lower.split(',').map(trimSpace).filter(Boolean).join(',') : lower;
  if (list === '' || tokens === '') return list + tokens;
  return `${list},${tokens}`;
}

function hasMember(list: string, member: string): boolean {
  return list === member || (list.includes(',') && list.split(',').includes(member));
}

function refuseEndToEndOptions(connection: string): void {
  if (connection === 'keep-alive' || connection === 'close' || connection === 'upgrade') return;
  for (const option of connection.split(',')) {
    if (endToEndFields.has(option)) {
      const message = `Connection names ${quoted(option)}, a field that no hop may remove`;
      throw new HttpError('forbidden_connection_option', message);
    }
  }
}
