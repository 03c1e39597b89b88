// Host and port: the only place that parses them, so that the host we judge is the host we dial.
// A host that left this file is canonical: two spellings of one destination are equal strings.
import { domainToASCII } from 'node:url';

import { quoted } from './errors.ts';
import { formatIpv6, parseIpv6 } from './ipv6.ts';

/** What can be wrong with an authority. */
export const authorityErrorCodes = ['invalid_authority', 'missing_port', 'invalid_port'] as const;
/** See {@link authorityErrorCodes}. */
export type AuthorityErrorCode = (typeof authorityErrorCodes)[number];

/** Thrown for text that is no host, no port, or lacks one; the message quotes the text. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
  readonly code: AuthorityErrorCode;

  constructor(code: AuthorityErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A destination: a canonical host (IPv6 without brackets) and a port from 1 to 65535. */
export interface Authority {
  readonly host: string;
  readonly port: number;
}

/** What a canonical host is. */
export const hostKinds = ['name', 'ipv4', 'ipv6'] as const;
/** See {@link hostKinds}. */
export type HostKind = (typeof hostKinds)[number];

const maxNameLength = 253;
const maxLabelLength = 63;

/**
 * Parses `host:port`, `[v6]:port` and, where `defaultPort` is given, a host alone (RFC 3986 §3.2; no user information).
 * An unbracketed IPv6 literal is refused, since its last group could be meant as a port.
 * @throws {AuthorityError} `invalid_authority`, `missing_port` or `invalid_port`.
 */
export function parseAuthority(text: string, options?: { readonly defaultPort?: number }): Authority {
  const hostEnd = text.startsWith('[') ? bracketedEnd(text) : plainEnd(text);
  const host = canonicalHost(text.slice(0, hostEnd));
  const defaultPort = options?.defaultPort;
  if (hostEnd < text.length && text.charCodeAt(hostEnd) !== 0x3a) {
    throw new AuthorityError('missing_port', `${quoted(text)} has no port: write "[address]:port"`);
  }
  if (hostEnd + 1 >= text.length) {
    if (defaultPort !== undefined) return { host, port: defaultPort };
    throw new AuthorityError('missing_port', `${quoted(text)} has no port: write "host:port"`);
  }
  return { host, port: parsePort(text, hostEnd + 1) };
}

function bracketedEnd(text: string): number {
  const end = text.indexOf(']');
  if (end < 0) throw invalid(text, 'the bracket is not closed');
  return end + 1;
}

function plainEnd(text: string): number {
  const colon = text.indexOf(':');
  if (colon < 0) return text.length;
  if (text.includes(':', colon + 1))
    throw invalid(text, 'an IPv6 address needs brackets, and there is one port');
  return colon;
}

function parsePort(text: string, from: number): number {
  let port = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9 || i - from >= 5) {
      port = 0;
      break;
    }
    port = port * 10 + digit;
  }
  if (port < 1 || port > 65_535) {
    throw new AuthorityError(
      'invalid_port',
      `${quoted(text)} has no valid port: write digits from 1 to 65535`,
    );
  }
  return port;
}

/**
 * The one spelling of a host: lower case without a final dot; IPv4 as dotted quad; IPv6, given bare or in brackets, as in
 * RFC 5952 without brackets and with its zone; names beyond ASCII as A-labels. Names hold letters, digits, `-` and `_` in
 * labels of 1 to 63 characters, 253 in all. Text that some resolver would read as an IPv4 address but is none
 * (`127.1`, `0x7f.1`, `010.0.0.1`) is refused. Idempotent.
 * @throws {AuthorityError} `invalid_authority`.
 */
export function canonicalHost(text: string): string {
  if (text.startsWith('[')) {
    if (!text.endsWith(']')) throw invalid(text, 'the bracket is not closed');
    return canonicalIpv6(text, text.slice(1, -1));
  }
  if (text.includes(':')) return canonicalIpv6(text, text);
  return isAscii(text) ? canonicalName(text, text) : canonicalForeignName(text);
}

function canonicalIpv6(text: string, literal: string): string {
  const percent = literal.indexOf('%');
  const groups = parseIpv6(percent < 0 ? literal : literal.slice(0, percent));
  if (groups === undefined) throw invalid(text, 'it is no IPv6 address');
  if (percent < 0) return formatIpv6(groups);
  const zone = literal.slice(percent + 1);
  if (!/^[\w.~-]{1,64}$/.test(zone)) throw invalid(text, 'the zone is no interface name');
  return `${formatIpv6(groups)}%${zone}`;
}

// What looks like a name in another script must stay one: the mapping of IDNA turns full-width digits into an address.
function canonicalForeignName(text: string): string {
  for (const character of text) {
    if (character <= '\u007f' && !/[\w.-]/.test(character)) {
      throw invalid(text, `${quoted(character)} may not stand in a host`);
    }
  }
  const ascii = domainToASCII(text);
  if (ascii === '') throw invalid(text, 'it is no internationalised name');
  const host = canonicalName(text, ascii);
  if (hostKind(host) !== 'name') throw invalid(text, 'an address is written in ASCII');
  return host;
}

function canonicalName(text: string, ascii: string): string {
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  if (name.length > maxNameLength) throw invalid(text, `it is longer than ${maxNameLength} characters`);
  let labelStart = 0;
  let hasUpper = false;
  for (let i = 0; i <= name.length; i++) {
    const c = i === name.length ? 0x2e : name.charCodeAt(i);
    if (c === 0x2e) {
      if (i === labelStart) throw invalid(text, i === 0 ? 'it is empty' : 'a label is empty');
      if (i - labelStart > maxLabelLength) throw invalid(text, `a label is longer than ${maxLabelLength}`);
      labelStart = i + 1;
    } else if (c >= 0x41 && c <= 0x5a) hasUpper = true;
    else if (!isLabelCharacter(c)) throw invalid(text, `${quoted(name.charAt(i))} may not stand in a host`);
  }
  const lower = hasUpper ? name.toLowerCase() : name;
  if (endsInNumber(lower) && !isIpv4(lower)) throw invalid(text, 'it looks like an IPv4 address and is none');
  return lower;
}

function isLabelCharacter(c: number): boolean {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x5f;
}

// A last label that is a number makes resolvers read the whole as an address (WHATWG URL §3.5 "ends in a number").
function endsInNumber(name: string): boolean {
  const label = name.slice(name.lastIndexOf('.') + 1);
  const first = label.charCodeAt(0);
  return first >= 0x30 && first <= 0x39 && /^(?:\d+|0x[\da-f]*)$/.test(label);
}

function isIpv4(name: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(name);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** What a host from {@link canonicalHost} is. Any other text has no defined answer. */
export function hostKind(host: string): HostKind {
  if (host.includes(':')) return 'ipv6';
  const last = host.charCodeAt(host.length - 1);
  return last >= 0x30 && last <= 0x39 && isIpv4(host) ? 'ipv4' : 'name';
}

/** A canonical host as it stands in a URI: IPv6 in brackets. */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** `host:port`, with brackets around IPv6. */
export function formatAuthority(host: string, port: number): string {
  return `${formatHost(host)}:${port}`;
}

function invalid(text: string, why: string): AuthorityError {
  return new AuthorityError('invalid_authority', `${quoted(text)} is no valid host: ${why}`);
}
