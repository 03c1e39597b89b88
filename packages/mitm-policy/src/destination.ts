// Reads the entries by which users name hosts: `HOST:PORT` for destinations, the same with an optional port for the
// ignore and block lists. Hosts come out in the canonical form that the authority parser gives to the hosts we dial.
import { AuthorityError, canonicalHost, hostKind } from 'mitm-http';

/** Why an entry was refused. */
export const destinationErrorCodes = [
  'empty_entry',
  'empty_list',
  'url_given',
  'missing_port',
  'invalid_port',
  'zero_port',
  'empty_host',
  'invalid_host',
  'unbracketed_ipv6',
  'malformed_ipv6',
  'loose_wildcard',
] as const;
export type DestinationErrorCode = (typeof destinationErrorCodes)[number];

/** A refused entry. The message quotes the entry and says how to write it instead. */
export class DestinationError extends Error {
  readonly code: DestinationErrorCode;
  /** The entry as the user wrote it. */
  readonly text: string;

  constructor(code: DestinationErrorCode, text: string, explanation: string, options?: ErrorOptions) {
    super(`${JSON.stringify(text)}: ${explanation}`, options);
    this.name = 'DestinationError';
    this.code = code;
    this.text = text;
  }
}

/** One rule of a host list. */
export interface Destination {
  /** `exact` compares the host as it is; `pattern` has at least one `*`, which stands for any run of characters. */
  readonly kind: 'exact' | 'pattern';
  /** The canonical host without brackets, or the lower-cased pattern. */
  readonly host: string;
  /** 1–65535, or `*` for every port. */
  readonly port: number | '*';
  /** The entry as the user wrote it. */
  readonly text: string;
}

/**
 * Reads a destination `HOST:PORT`. HOST is a name, an IPv4 address, an IPv6 address in brackets, or a pattern with `*`
 * (any run of characters, dots included); `*` alone is every host, addresses too. PORT is 1–65535 or `*`.
 * Throws {@link DestinationError}.
 */
export function parseDestination(text: string): Destination {
  const entry = splitEntry(text);
  if (entry.port === undefined) {
    throw new DestinationError(
      'missing_port',
      text,
      `has no port; write "${entry.written}:443", or ":*" for every port`,
    );
  }
  return destinationOf(text, entry, parsePort(text, entry.port));
}

/**
 * Reads an entry of an ignore or block list: like {@link parseDestination}, but without a port it holds for every port.
 * Throws {@link DestinationError}.
 */
export function parseHostRule(text: string): Destination {
  const entry = splitEntry(text);
  return destinationOf(text, entry, entry.port === undefined ? '*' : parsePort(text, entry.port));
}

interface SplitEntry {
  /** The host as written, brackets included. */
  readonly written: string;
  readonly host: string;
  readonly isBracketed: boolean;
  readonly port: string | undefined;
}

function splitEntry(text: string): SplitEntry {
  const entry = text.trim();
  if (entry === '') throw new DestinationError('empty_entry', text, 'is empty; write "HOST:PORT"');
  if (entry.includes('://')) {
    throw new DestinationError(
      'url_given',
      text,
      'is a URL; write only its host and port, as in "example.org:443"',
    );
  }
  return entry.startsWith('[') ? splitBracketed(text, entry) : splitPlain(text, entry);
}

function splitBracketed(text: string, entry: string): SplitEntry {
  const close = entry.indexOf(']');
  if (close === -1) {
    throw new DestinationError(
      'malformed_ipv6',
      text,
      'opens a bracket and never closes it; write "[IPv6]:PORT"',
    );
  }
  const written = entry.slice(0, close + 1);
  const rest = entry.slice(close + 1);
  if (rest !== '' && !rest.startsWith(':')) {
    throw new DestinationError(
      'missing_port',
      text,
      `needs a colon and a port after the bracket; write "${written}:443"`,
    );
  }
  const port = rest === '' ? undefined : rest.slice(1);
  return { written, host: entry.slice(1, close), isBracketed: true, port };
}

function splitPlain(text: string, entry: string): SplitEntry {
  const colon = entry.indexOf(':');
  if (colon === -1) return { written: entry, host: entry, isBracketed: false, port: undefined };
  if (entry.includes(':', colon + 1)) {
    const fix = 'has several colons; an IPv6 address goes in brackets, as in "[2001:db8::1]:443"';
    throw new DestinationError('unbracketed_ipv6', text, fix);
  }
  const host = entry.slice(0, colon);
  return { written: host, host, isBracketed: false, port: entry.slice(colon + 1) };
}

function parsePort(text: string, port: string): number | '*' {
  if (port === '*') return '*';
  if (port === '') {
    throw new DestinationError(
      'missing_port',
      text,
      'has nothing after the colon; give a port, or "*" for every port',
    );
  }
  const value = /^[0-9]{1,5}$/.test(port) ? Number(port) : Number.NaN;
  if (value === 0) {
    throw new DestinationError(
      'zero_port',
      text,
      'has port 0; give a port from 1 to 65535, or "*" for every port',
    );
  }
  if (!(value <= 65_535)) {
    const fix = `has the port ${JSON.stringify(port)}; give a number from 1 to 65535, or "*" for every port`;
    throw new DestinationError('invalid_port', text, fix);
  }
  return value;
}

function destinationOf(text: string, entry: SplitEntry, port: number | '*'): Destination {
  const { host } = entry;
  if (host.trim() === '')
    throw new DestinationError('empty_host', text, 'has no host; "*" stands for every host');
  if (entry.isBracketed) return { kind: 'exact', host: canonicalIpv6(text, host), port, text };
  if (host.includes('*')) return { kind: 'pattern', host: canonicalPattern(text, host), port, text };
  return { kind: 'exact', host: canonicalName(text, host), port, text };
}

function canonicalIpv6(text: string, host: string): string {
  const fix =
    'has something else than an IPv6 address in brackets; write names, IPv4 addresses and patterns without';
  if (!host.includes(':')) throw new DestinationError('malformed_ipv6', text, fix);
  const canonical = canonicalOr('malformed_ipv6', text, host, fix);
  if (hostKind(canonical) !== 'ipv6') throw new DestinationError('malformed_ipv6', text, fix);
  return canonical;
}

function canonicalName(text: string, host: string): string {
  return canonicalOr('invalid_host', text, host, 'has no valid host; write a host name or an IP address');
}

function canonicalOr(code: DestinationErrorCode, text: string, host: string, explanation: string): string {
  try {
    return canonicalHost(host);
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    throw new DestinationError(code, text, `${explanation} (${error.message})`, { cause: error });
  }
}

function canonicalPattern(text: string, written: string): string {
  const pattern = written.toLowerCase().replaceAll(/\*+/g, '*');
  if (pattern === '*') return pattern;
  const glued = /^\*[-_]*([^.].*)$/.exec(pattern)?.[1];
  if (glued !== undefined) {
    const fix = `would also take hosts of other owners, such as "bad${pattern.slice(1)}"; write "*.${glued}" for what lies below`;
    throw new DestinationError('loose_wildcard', text, `${fix}, and "${glued}" for the host itself`);
  }
  // The final dot of a fully qualified name means nothing here, but "*." must not become every host.
  const labels = (/[^*]\.$/.test(pattern) ? pattern.slice(0, -1) : pattern).split('.');
  return labels.map((label) => canonicalLabel(text, label)).join('.');
}

function canonicalLabel(text: string, label: string): string {
  if (/^[a-z0-9_*-]+$/.test(label)) return label;
  if (label === '')
    throw new DestinationError('invalid_host', text, 'has an empty label; write one dot between labels');
  if (!/[^ -~]/.test(label)) {
    const fix = 'has a character that no host name has; use letters, digits, "-", "_", dots and "*"';
    throw new DestinationError('invalid_host', text, fix);
  }
  if (label.includes('*')) {
    throw new DestinationError(
      'invalid_host',
      text,
      'mixes "*" with letters outside ASCII; write that label as "xn--…"',
    );
  }
  return canonicalName(text, label);
}
