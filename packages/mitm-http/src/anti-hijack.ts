// Prefixes that keep JSON from running as a script of another site. A reader of the JSON has no use for them: they are taken out of
// a copy, once and by name, where JSON follows. Without one, or before anything else, the bytes stay as they are.
import type { DecoderFrame, StageResult } from './decoder-chain.ts';

/** The prefixes by name, in the order in which they are looked for. */
export const antiHijackPrefixes = [
  ['xssi_angular_prefix_lf', ")]}'\n"],
  ['xssi_angular_prefix_crlf', ")]}'\r\n"],
  ['xssi_angular_comma_prefix_lf', ")]}',\n"],
  ['xssi_angular_comma_prefix_crlf', ")]}',\r\n"],
  ['xssi_angular_comma_prefix', ")]}',"],
  ['xssi_angular_prefix', ")]}'"],
  ['while_1_prefix', 'while(1);'],
  ['for_ever_prefix_compact', 'for(;;);'],
  ['for_ever_prefix_spaced', 'for (;;);'],
  ['start_marker_prefix', '&&&START&&&'],
  ['empty_object_prefix', '{}&&'],
] as const;
/** See {@link antiHijackPrefixes}. */
export type AntiHijackPrefix = (typeof antiHijackPrefixes)[number][0];

/** Where a prefix stands. */
export interface AntiHijackMatch {
  readonly prefix: AntiHijackPrefix;
  readonly start: number;
  readonly end: number;
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const matchers = antiHijackPrefixes.map(([prefix, text]) => ({ prefix, bytes: Buffer.from(text, 'latin1') }));
const firstBytes: ReadonlySet<number> = new Set(matchers.map(({ bytes }) => bytes[0] ?? 0));
const literals = ['true', 'false', 'null'].map((text) => Buffer.from(text, 'latin1'));

/**
 * The prefix at the beginning of a body, behind a byte order mark and ASCII white space; `undefined` unless what follows it, behind
 * white space, begins as JSON does: a script that merely begins so is no JSON.
 */
export function antiHijackPrefixOf(body: Uint8Array): AntiHijackMatch | undefined {
  const start = skipSpace(body, startsWith(body, byteOrderMark, 0) ? byteOrderMark.length : 0);
  if (!firstBytes.has(body[start] ?? -1)) return undefined;
  for (const { prefix, bytes } of matchers) {
    if (!startsWith(body, bytes, start)) continue;
    const end = start + bytes.length;
    return beginsJson(body, skipSpace(body, end)) ? { prefix, start, end } : undefined;
  }
  return undefined;
}

/** The body without what was found in it, and nothing else changed. */
export function withoutPrefix(body: Buffer, { start, end }: AntiHijackMatch): Buffer {
  return start === 0 ? body.subarray(end) : Buffer.concat([body.subarray(0, start), body.subarray(end)]);
}

/**
 * The payload stage: takes a prefix out and says so in the attributes `sanitized`, `sanitized_prefix` and `sanitized_provenance`. Its
 * frame is a whole body, or the beginning of one.
 */
export function antiHijackStage(frame: DecoderFrame): StageResult {
  const { sanitized_prefix: _prefix, sanitized_provenance: _provenance, ...rest } = frame.attributes;
  const match = antiHijackPrefixOf(frame.bytes);
  if (match === undefined)
    return { status: 'applied', frame: { ...frame, attributes: { ...rest, sanitized: 'false' } } };
  const attributes = {
    ...rest,
    sanitized: 'true',
    sanitized_prefix: match.prefix,
    sanitized_provenance: `anti_hijack_prefix:${match.prefix}`,
  };
  return { status: 'applied', frame: { ...frame, bytes: withoutPrefix(frame.bytes, match), attributes } };
}

const scriptTypes: ReadonlySet<string> = new Set([
  'application/json',
  'text/json',
  'text/javascript',
  'application/javascript',
  'application/x-javascript',
  'application/ecmascript',
  'text/ecmascript',
]);

/** Whether a browser may be made to run a body of this media type as a script, so that it may be guarded by a prefix. */
export function isScriptLike(mediaType: string): boolean {
  return scriptTypes.has(mediaType) || mediaType.endsWith('+json');
}

function startsWith(body: Uint8Array, text: Buffer, at: number): boolean {
  if (body.length < at + text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (body[at + i] !== text[i]) return false;
  return true;
}

function skipSpace(body: Uint8Array, from: number): number {
  let at = from;
  while (isSpace(body[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0c || byte === 0x0d;
}

// `t`, `f` and `n` begin words of scripts too, so that the whole literal has to be there.
function beginsJson(body: Uint8Array, at: number): boolean {
  const byte = body[at];
  if (byte === undefined) return false;
  if (byte === 0x7b || byte === 0x5b || byte === 0x22 || byte === 0x2d || isDigit(byte)) return true;
  return literals.some((text) => startsWith(body, text, at) && !isWordByte(body[at + text.length]));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || byte === 0x5f || byte === 0x24 || (lower >= 0x61 && lower <= 0x7a) || byte >= 0x80;
}
