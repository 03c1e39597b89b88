// Whether `:authority` and `host` name one destination, and the same. Names as nearly every client writes them are judged in
// one loop without a string being made; everything else is judged where all authorities are.
import { AuthorityError, parseAuthority } from '../authority.ts';
import type { Authority } from '../authority.ts';
import { quoted } from '../errors.ts';
import { H2MessageError } from './message-error.ts';

const maxNameLength = 253;
const maxLabelLength = 63;
const DOT = 0x2e;
const COLON = 0x3a;

/**
 * Requires a host with an optional port, and the port too where there is no default (RFC 9113 §8.3.1: no user information).
 * @throws {H2MessageError} `invalid_authority`.
 */
export function checkH2Authority(text: string, defaultPort: number | undefined): void {
  if (isPlainAuthority(text, defaultPort === undefined)) return;
  parsedAuthority(text, defaultPort);
}

/**
 * Whether the two name one destination; a port left out is the default.
 * @throws {H2MessageError} `invalid_authority`.
 */
export function isSameAuthority(one: string, other: string, defaultPort: number): boolean {
  const a = parsedAuthority(one, defaultPort);
  const b = parsedAuthority(other, defaultPort);
  return a.host === b.host && a.port === b.port;
}

// Lower-case name, last label no number, port of at most four digits: what parseAuthority surely accepts. False decides nothing.
function isPlainAuthority(text: string, isPortNeeded: boolean): boolean {
  let labelStart = 0;
  let i = 0;
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x5f) continue;
    if (c !== DOT) break;
    if (i === labelStart || i - labelStart > maxLabelLength) return false;
    labelStart = i + 1;
  }
  if (i === labelStart || i - labelStart > maxLabelLength || i > maxNameLength) return false;
  const first = text.charCodeAt(labelStart);
  if (first >= 0x30 && first <= 0x39) return false;
  if (i === text.length) return !isPortNeeded;
  return text.charCodeAt(i) === COLON && isPlainPort(text, i + 1);
}

function isPlainPort(text: string, from: number): boolean {
  const first = text.charCodeAt(from);
  if (!(first >= 0x31 && first <= 0x39) || text.length - from > 4) return false;
  for (let i = from + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return false;
  }
  return true;
}

function parsedAuthority(text: string, defaultPort: number | undefined): Authority {
  // Latin1 stands for bytes here: a letter beyond ASCII is half a character of unknown encoding, no name to map.
  if (!/^[\u0021-\u007e]+$/.test(text)) throw invalidAuthority(text);
  try {
    return parseAuthority(text, defaultPort === undefined ? {} : { defaultPort });
  } catch (error) {
    if (error instanceof AuthorityError) throw invalidAuthority(text);
    throw error;
  }
}

function invalidAuthority(text: string): H2MessageError {
  return new H2MessageError('invalid_authority', `authority ${quoted(text)} is not a host with a valid port`);
}
