// Reads the addresses that a configuration names: where to listen (HOST:PORT), which next hop to use, whom to believe. Hosts come out in
// the canonical form of the authority parser, IPv6 without brackets, so that whoever listens or dials need not look again.
import { AuthorityError, canonicalHost, formatAuthority, hostKind } from 'mitm-http';

/** A host and a port. */
export interface Endpoint {
  /** A name in lower case, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

const bindForm = 'write HOST:PORT, with IPv6 in brackets: 127.0.0.1:8080, [::1]:8080';

/**
 * Reads a listen address. Port 0 means that the system picks one.
 * @throws {Error} that names the broken rule, when the text is not an address.
 */
export function parseBindAddress(address: string): Endpoint {
  const match = /^(?<host>\[[^\]]*:[^\]]*\]|[^:[\]]*):(?<port>\d{1,5})$/u.exec(address.trim());
  const host = match?.groups?.['host'];
  const port = Number(match?.groups?.['port']);
  if (host === undefined) throw new Error(`is not an address to listen on: ${bindForm}`);
  if (host === '' || host === '*') {
    throw new Error(`names no host: write 0.0.0.0:${port} or [::]:${port} to listen on all interfaces`);
  }
  if (port > 65_535) throw new Error('has no valid port: write a port from 0 to 65535');
  return { host: parseEndpointHost(host), port };
}

/** A parsed configuration is valid input again, so the parsed form of a listen address is read like the written one. */
export function readBind(address: string | Endpoint): Endpoint {
  if (typeof address === 'string') return parseBindAddress(address);
  const host = address.host.replace(/^\[(?<inner>.*)\]$/u, '$<inner>');
  return parseBindAddress(formatAuthority(host, address.port));
}

/**
 * Reads a host without a port: a name, an IPv4 address, or an IPv6 address with or without brackets.
 * @throws {Error} that names the broken rule, when the text is not a host.
 */
export function parseEndpointHost(host: string): string {
  const bare = host.trim().replace(/^\[(?<inner>[^[\]]*:[^[\]]*)\]$/u, '$<inner>');
  try {
    return canonicalHost(bare);
  } catch (cause) {
    throw new Error('does not name a host: write a host name or an IP address, without scheme and port', {
      cause,
    });
  }
}

/**
 * Reads a range of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address. It comes out with its prefix length.
 * @throws {Error} that names the broken rule, when the text is no range.
 */
export function parseAddressRange(range: string): string {
  const [, address = '', prefix] = /^(?<address>[^/]*)(?:\/(?<prefix>\d{1,3}))?$/u.exec(range.trim()) ?? [];
  const host = addressOf(address);
  if (host === undefined) {
    throw new Error('is no range of addresses: write an address and a prefix length, such as 10.0.0.0/8');
  }
  const bits = hostKind(host) === 'ipv4' ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  if (length > bits) throw new Error(`has no valid prefix length: write a number from 0 to ${bits}`);
  return `${host}/${length}`;
}

function addressOf(text: string): string | undefined {
  try {
    const host = canonicalHost(text);
    return hostKind(host) === 'name' || host.includes('%') ? undefined : host;
  } catch (error) {
    if (error instanceof AuthorityError) return undefined;
    throw error;
  }
}
