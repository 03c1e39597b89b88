// Field lines, the part that heads, trailers and CONNECT share: one pass over the bytes that checks every character and notes
// where names and values are. No string is cut here.
import { HttpError, quoted } from './errors.ts';

/** The fields whose meaning concerns this hop, as small numbers: a head remembers one per line and a set of all it saw. */
export const fieldKind = {
  other: 0,
  connection: 1,
  contentLength: 2,
  expect: 3,
  host: 4,
  http2Settings: 5,
  keepAlive: 6,
  proxyAuthenticate: 7,
  proxyAuthenticationInfo: 8,
  proxyAuthorization: 9,
  proxyConnection: 10,
  te: 11,
  trailer: 12,
  transferEncoding: 13,
  upgrade: 14,
  maxForwards: 15,
  altSvc: 16,
} as const;

const kindOfName: Readonly<Record<string, number>> = {
  'alt-svc': fieldKind.altSvc,
  connection: fieldKind.connection,
  'content-length': fieldKind.contentLength,
  expect: fieldKind.expect,
  host: fieldKind.host,
  'http2-settings': fieldKind.http2Settings,
  'keep-alive': fieldKind.keepAlive,
  'max-forwards': fieldKind.maxForwards,
  'proxy-authenticate': fieldKind.proxyAuthenticate,
  'proxy-authentication-info': fieldKind.proxyAuthenticationInfo,
  'proxy-authorization': fieldKind.proxyAuthorization,
  'proxy-connection': fieldKind.proxyConnection,
  te: fieldKind.te,
  trailer: fieldKind.trailer,
  'transfer-encoding': fieldKind.transferEncoding,
  upgrade: fieldKind.upgrade,
};

interface KnownName {
  readonly name: string;
  readonly kind: number;
}
const knownNamesByLength: readonly (readonly KnownName[])[] = Array.from({ length: 26 }, (_, length) =>
  Object.entries(kindOfName)
    .filter(([name]) => name.length === length)
    .map(([name, kind]) => ({ name, kind })),
);

/** Numbers per field in an offsets list: start and end of the name, start and end of the value, kind. */
export const offsetsPerField = 5;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;

/** 1 for each byte that may stand in a token (RFC 9110 §5.6.2). */
export const tokenBytes: Uint8Array = byteTable((byte) =>
  /[!#$%&'*+\-.^_`|~\dA-Za-z]/.test(String.fromCharCode(byte)),
);
/** 1 for each byte that may stand in a field value: visible, space, tab, obs-text (RFC 9110 §5.5). */
export const valueBytes: Uint8Array = byteTable((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f));
/** 1 for each byte that may stand in a request target: visible ASCII. */
export const targetBytes: Uint8Array = byteTable((byte) => byte > SP && byte < 0x7f);

function byteTable(isAllowed: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isAllowed(byte) ? 1 : 0));
}

/**
 * Checks the field lines of `bytes` from `from` up to the empty line that ends at `end`, and appends {@link offsetsPerField}
 * numbers per field, relative to `base`, to `offsets` (RFC 9112 §5: no folding, no space before the colon). Bytes `end - 4`
 * to `end` must be CRLF CRLF, or `from` be `end - 2`.
 * @returns a bit set of the kinds seen: bit `n` for kind `n`.
 * @throws {HttpError} naming the rule and the field, never its value, which may be a secret.
 */
export function scanFieldLines(
  bytes: Uint8Array,
  from: number,
  end: number,
  base: number,
  offsets: number[],
): number {
  let seenKinds = 0;
  let at = from;
  while (at < end - 2) {
    const nameStart = at;
    while (tokenBytes[bytes[at] ?? 0] === 1) at++;
    const nameEnd = at;
    if (bytes[at] !== COLON || nameEnd === nameStart) throw nameError(bytes, nameStart, at, end);
    at++;
    while (bytes[at] === SP || bytes[at] === HTAB) at++;
    const valueStart = at;
    while (valueBytes[bytes[at] ?? 0] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw valueError(bytes, nameStart, nameEnd, at);
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    at += 2;
    const kind = kindOfField(bytes, nameStart, nameEnd);
    seenKinds |= 1 << kind;
    offsets.push(nameStart - base, nameEnd - base, valueStart - base, valueEnd - base, kind);
  }
  return seenKinds;
}

// Setting bit 5 lower-cases letters and leaves every other character of the known names as it is.
function kindOfField(bytes: Uint8Array, start: number, end: number): number {
  const candidates = knownNamesByLength[end - start];
  if (candidates === undefined) return fieldKind.other;
  for (const { name, kind } of candidates) {
    let k = 0;
    while (k < name.length && ((bytes[start + k] ?? 0) | 0x20) === name.charCodeAt(k)) k++;
    if (k === name.length) return kind;
  }
  return fieldKind.other;
}

function nameError(bytes: Uint8Array, start: number, at: number, end: number): HttpError {
  const byte = bytes[at] ?? 0;
  if (at === start && (byte === SP || byte === HTAB)) {
    return new HttpError(
      'obsolete_line_folding',
      'a header line begins with a space: folded lines are not accepted',
    );
  }
  const lineError = bareLineEnd(bytes, at);
  if (lineError !== undefined) return lineError;
  let lineEnd = at;
  while (lineEnd < end && bytes[lineEnd] !== COLON && bytes[lineEnd] !== CR) lineEnd++;
  const name = quoted(latin1(bytes, start, lineEnd));
  if (bytes[lineEnd] !== COLON)
    return new HttpError('invalid_header_name', `header line ${name} has no colon`);
  return new HttpError('invalid_header_name', `header name ${name} is not a token directly before its colon`);
}

function valueError(bytes: Uint8Array, nameStart: number, nameEnd: number, at: number): HttpError {
  const lineError = bareLineEnd(bytes, at);
  if (lineError !== undefined) return lineError;
  const code = (bytes[at] ?? 0).toString(16).padStart(2, '0');
  const name = quoted(latin1(bytes, nameStart, nameEnd));
  return new HttpError('invalid_header_value', `the value of header ${name} has the control byte 0x${code}`);
}

/** The error for a line feed, or a carriage return without one, at that place; `undefined` where neither is. */
export function bareLineEnd(bytes: Uint8Array, at: number): HttpError | undefined {
  if (bytes[at] === LF) return new HttpError('bare_line_feed', 'a line ends in LF alone: lines end in CR LF');
  if (bytes[at] === CR && bytes[at + 1] !== LF) {
    return new HttpError('bare_carriage_return', 'a CR stands without its LF: lines end in CR LF');
  }
  return undefined;
}

/** Bytes as text, one character each. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** Cuts the names and values that `offsets` points at out of `text` into a flat list. */
export function cutFields(text: string, offsets: readonly number[]): string[] {
  const list: string[] = [];
  for (let i = 0; i < offsets.length; i += offsetsPerField) {
    list.push(text.slice(offsets[i], offsets[i + 1]), text.slice(offsets[i + 2], offsets[i + 3]));
  }
  return list;
}

/** Whether the text is a token: a method or a field name may be nothing else. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (tokenBytes[text.charCodeAt(i)] !== 1) return false;
  return text !== '';
}

/**
 * A flat list of fields as lines, each with its CR LF.
 * @throws {HttpError} `invalid_header_name` or `invalid_header_value` for what would not read back as one field.
 */
export function formatFieldLines(list: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] ?? '';
    const value = list[i + 1] ?? '';
    if (!isToken(name))
      throw new HttpError('invalid_header_name', `header name ${quoted(name)} is not a token`);
    if (!isFieldText(value)) {
      const message = `the value of header ${quoted(name)} has a line end, a control character or one beyond latin1`;
      throw new HttpError('invalid_header_value', message);
    }
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

/** Whether the text may stand in a field value or a reason phrase: latin1 without control characters, tabs allowed. */
export function isFieldText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (valueBytes[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** The text without the spaces and tabs around it. `trim` would also remove what is no white space in HTTP (NBSP, VT). */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(c: number): boolean {
  return c === SP || c === HTAB;
}
