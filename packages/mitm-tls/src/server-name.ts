// Names a server can be reached by: host names, wildcards and addresses, and their one canonical spelling.
// Whatever goes into a certificate, out as SNI or in from a ClientHello passes through here.
import { domainToASCII } from 'node:url';

import { ServerNameError } from './errors.ts';

/**
 * A name in canonical spelling. `address` holds the 4 or 16 octets of an IP address and is undefined for a
 * host name.
 */
export interface ServerName {
  readonly text: string;
  readonly address: Buffer | undefined;
}

const hostName = /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;
const endsInNumber = /(?:^|\.)\d+$/;
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
// RFC 1035 §2.3.4 without the length octets of the wire form.
const maxHostNameLength = 253;

/**
 * The canonical form of a host name (lower case, A-labels, no trailing dot), a wildcard (`*.` and a host
 * name), an IPv4 address or an IPv6 address (compressed, brackets and zone removed). Throws {@link
 * ServerNameError} `invalid_name`.
 */
export function parseServerName(name: string): ServerName {
  if (name.includes(':')) return parseIpv6(name);
  if (ipv4.test(name)) return { text: name, address: Buffer.from(name.split('.').map(Number)) };
  const isWildcard = name.startsWith('*.');
  const host = canonicalHostName(isWildcard ? name.slice(2) : name);
  if (host === undefined) throw invalidName(name);
  return { text: isWildcard ? `*.${host}` : host, address: undefined };
}

/**
 * The canonical forms of a list of names, each once, in order. Throws {@link ServerNameError} `no_names` when
 * the list is empty, `invalid_name` when an entry is none.
 */
export function parseServerNames(names: readonly string[]): readonly ServerName[] {
  if (names.length === 0) {
    throw new ServerNameError('no_names', 'a leaf certificate needs at least one name: the list is empty');
  }
  const parsed: ServerName[] = [];
  for (const name of names) {
    const next = parseServerName(name);
    if (!parsed.some((known) => known.text === next.text)) parsed.push(next);
  }
  return parsed;
}

/**
 * The canonical form of a host name: lower case, A-labels, no trailing dot; undefined when it is none.
 * Addresses and what looks like one (a last label of digits only) are no host names. An underscore is let
 * through, since such hosts exist.
 */
export function canonicalHostName(name: string): string | undefined {
  let host = name.endsWith('.') ? name.slice(0, -1) : name;
  host = isAscii(host) ? host.toLowerCase() : domainToASCII(host);
  if (host.length > maxHostNameLength || !hostName.test(host) || endsInNumber.test(host)) return undefined;
  return host;
}

/**
 * Whether the text is an IPv4 or IPv6 address; brackets and a zone are allowed around and behind the latter.
 */
export function isIpAddress(text: string): boolean {
  return ipv4.test(text) || (text.includes(':') && canonicalIpv6(text) !== undefined);
}

function parseIpv6(name: string): ServerName {
  const text = canonicalIpv6(name);
  if (text === undefined) throw invalidName(name);
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const address = Buffer.alloc(16);
  for (const [index, group] of left.entries()) address.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  for (const [index, group] of right.entries()) {
    address.writeUInt16BE(Number.parseInt(group, 16), 16 - (right.length - index) * 2);
  }
  return { text, address };
}

// The URL parser checks and compresses IPv6 literals, and writes embedded IPv4 as hexadecimal groups.
function canonicalIpv6(name: string): string | undefined {
  const unbracketed = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  const zone = unbracketed.indexOf('%');
  const bare = zone === -1 ? unbracketed : unbracketed.slice(0, zone);
  if (!/^[0-9a-fA-F:.]+$/.test(bare)) return undefined;
  return URL.parse(`http://[${bare}]/`)?.hostname.slice(1, -1);
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

function invalidName(name: string): ServerNameError {
  return new ServerNameError(
    'invalid_name',
    `${JSON.stringify(name)} is no name for a certificate: give a host name, "*." and a host name, or an IP address`,
  );
}
