// IP addresses as sockets and headers give them, in the one spelling that rules and events use.
import { canonicalHost } from 'mitm-http';

/** An IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2) as what it is; any other address unchanged. */
export function plainAddress(address: string): string {
  return /^::ffff:\d/i.test(address) && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

/** The address in these bytes in network order: 4 of IPv4, or 16 of IPv6. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return plainAddress(canonicalHost(groups.join(':')));
}
