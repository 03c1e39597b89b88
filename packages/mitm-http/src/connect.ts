// The first head of a tunnel: CONNECT in its strict grammar, or as leniently as clients are known to write it.
import { isUtf8 } from 'node:buffer';

import { AuthorityError, parseAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { HttpError, quoted } from './errors.ts';
import { cutFields, isToken, scanFieldLines } from './field-lines.ts';
import { findHeadEnd } from './head.ts';
import { HeaderMap } from './header-map.ts';
import { parseIpv6 } from './ipv6.ts';

/** How much of the grammar is required. */
export const connectParseModes = ['strict', 'lenient'] as const;
/** See {@link connectParseModes}. */
export type ConnectParseMode = (typeof connectParseModes)[number];

/** Why a first head is no CONNECT. The last four are never thrown here: they are what reading the head can end with. */
export const connectParseCodes = [
  'incomplete_headers',
  'invalid_utf8',
  'empty_request_line',
  'invalid_request_line',
  'method_not_connect',
  'invalid_http_version',
  'invalid_authority',
  'missing_port',
  'invalid_port',
  'invalid_header',
  'header_too_large',
  'head_timeout',
  'budget_denied',
  'read_error',
] as const;
/** See {@link connectParseCodes}. */
export type ConnectParseCode = (typeof connectParseCodes)[number];

/** Thrown for a first head that is no CONNECT. */
export class ConnectParseError extends Error {
  override readonly name = 'ConnectParseError';
  readonly code: ConnectParseCode;

  constructor(code: ConnectParseCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A parsed CONNECT. What follows `headLength` bytes belongs to the tunnel. */
export interface ConnectHead extends Authority {
  readonly headLength: number;
  readonly headers: HeaderMap;
}

/**
 * Parses the CONNECT head at the beginning of `bytes` (RFC 9110 §9.3.6). Checked in this order: its end, the request line's
 * UTF-8, tokens and method, the whole head's UTF-8, version, authority, fields. So a request of another method is told
 * as `method_not_connect` although its fields may hold any bytes.
 *
 * `lenient` takes a method in any case, runs of spaces and tabs, any `HTTP/` version, `http://` or `https://` before the
 * host, a path after it, no port (443, after `http://` 80), and bare IPv6 unless its end could be meant as a port.
 * @throws {ConnectParseError}
 */
export function parseConnectHead(bytes: Uint8Array, mode: ConnectParseMode): ConnectHead {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findHeadEnd(buffer, 0);
  if (end < 0) throw new ConnectParseError('incomplete_headers', 'the head has no empty line at its end');
  const lineEnd = buffer.indexOf('\r\n', 0, 'latin1');
  if (!isUtf8(buffer.subarray(0, lineEnd))) throw invalidUtf8();
  const { target, version } = parseRequestLine(buffer.toString('utf8', 0, lineEnd), mode);
  if (!isUtf8(buffer.subarray(0, end))) throw invalidUtf8();
  const isVersion = mode === 'strict' ? /^HTTP\/1\.[01]$/.test(version) : version.startsWith('HTTP/');
  if (!isVersion) {
    throw new ConnectParseError('invalid_http_version', `${quoted(version)} is not HTTP/1.0 or HTTP/1.1`);
  }
  const { host, port } = parseConnectTarget(target, mode);
  return { host, port, headLength: end, headers: parseFields(buffer, lineEnd + 2, end) };
}

function invalidUtf8(): ConnectParseError {
  return new ConnectParseError('invalid_utf8', 'the head is not UTF-8');
}

function parseRequestLine(line: string, mode: ConnectParseMode): { target: string; version: string } {
  const trimmed = line.replaceAll(/^[ \t]+|[ \t]+$/g, '');
  if (trimmed === '') throw new ConnectParseError('empty_request_line', 'the request line is empty');
  const tokens = mode === 'strict' ? line.split(' ') : trimmed.split(/[ \t]+/);
  const [method = '', target = '', version = ''] = tokens;
  if (tokens.length !== 3 || target === '' || version === '' || !isToken(method)) {
    const message = `${quoted(line)} is not "CONNECT host:port HTTP/1.1"`;
    throw new ConnectParseError('invalid_request_line', message);
  }
  if ((mode === 'strict' ? method : method.toUpperCase()) !== 'CONNECT') {
    throw new ConnectParseError('method_not_connect', `the method is ${quoted(method)}, not CONNECT`);
  }
  return { target, version };
}

function parseConnectTarget(target: string, mode: ConnectParseMode): Authority {
  try {
    return mode === 'strict' ? parseStrictTarget(target) : parseLenientTarget(target);
  } catch (error) {
    if (error instanceof AuthorityError) {
      throw new ConnectParseError(error.code, error.message, { cause: error });
    }
    throw error;
  }
}

function parseStrictTarget(target: string): Authority {
  if (!/^[\u0021-\u007e]+$/.test(target)) {
    const message = `${quoted(target)} has characters beyond ASCII: write the name in A-labels`;
    throw new ConnectParseError('invalid_authority', message);
  }
  return parseAuthority(target);
}

function parseLenientTarget(target: string): Authority {
  const scheme = /^https?:\/\//i.exec(target)?.[0] ?? '';
  const rest = target.slice(scheme.length);
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const defaultPort = scheme.length === 'http://'.length ? 80 : 443;
  if (authority.startsWith('[') || parseIpv6(authority) === undefined) {
    return parseAuthority(authority, { defaultPort });
  }
  const lastColon = authority.lastIndexOf(':');
  if (
    /^\d+$/.test(authority.slice(lastColon + 1)) &&
    parseIpv6(authority.slice(0, lastColon)) !== undefined
  ) {
    const message = `${quoted(target)} could end in a port: write "[address]:port"`;
    throw new ConnectParseError('invalid_authority', message);
  }
  return parseAuthority(`[${authority}]`, { defaultPort });
}

function parseFields(buffer: Buffer, from: number, end: number): HeaderMap {
  const offsets: number[] = [];
  try {
    scanFieldLines(buffer, from, end, 0, offsets);
  } catch (error) {
    if (error instanceof HttpError) {
      throw new ConnectParseError('invalid_header', error.message, { cause: error });
    }
    throw error;
  }
  return new HeaderMap(cutFields(buffer.toString('latin1', 0, end), offsets));
}

/**
 * The field by which a client asks to be left alone for HTTP/3, if any: `X-Proxy-Protocol: h3`, or `X-HTTP3-Passthrough` with
 * `1`, `true` or `yes`; names and values in any case. Whether that is granted is for the configuration.
 */
export function http3Hint(headers: HeaderMap): 'x-proxy-protocol' | 'x-http3-passthrough' | undefined {
  for (const [name, value] of headers) {
    const field = name.toLowerCase();
    const asked = value.toLowerCase();
    if (field === 'x-proxy-protocol' && asked === 'h3') return field;
    if (field === 'x-http3-passthrough' && /^(?:1|true|yes)$/.test(asked)) return field;
  }
  return undefined;
}
