// Ranges of IP addresses, and which addresses are in them. IPv4 is compared in its IPv6-mapped form, so that one address
// written in two ways is one address.
import { AuthorityError, canonicalHost, hostKind, parseIpv6 } from 'mitm-http';

import { DestinationError } from './destination.ts';

/** The eight groups of an address; IPv4 as `::ffff:0:0/96` (RFC 4291 §2.5.5.2). */
export type AddressGroups = readonly number[];

/** A run of addresses that share their first bits. */
export interface AddressRange {
  readonly groups: AddressGroups;
  /** 0–128, also for IPv4. */
  readonly bits: number;
  /** The range as it was written. */
  readonly text: string;
}

const mappedBits = 96;

/** The groups of a canonical address, a zone left aside; undefined for a name. */
export function addressGroups(host: string): AddressGroups | undefined {
  switch (hostKind(host)) {
    case 'name':
      return undefined;
    case 'ipv4':
      return parseIpv6(`::ffff:${host}`);
    case 'ipv6':
      return parseIpv6(host.split('%', 1)[0] ?? host);
  }
}

/**
 * Reads `ADDRESS/BITS`, such as `10.0.0.0/8` or `fd00::/8`, or one address.
 *
 * @throws {DestinationError} `invalid_host` for what is neither
 */
export function parseAddressRange(text: string): AddressRange {
  const [address = '', suffix, ...rest] = text.trim().split('/');
  const groups = groupsOf(text, address);
  const isIpv4 = !address.includes(':');
  const most = isIpv4 ? 32 : 128;
  const bits = suffix === undefined ? most : /^\d{1,3}$/.test(suffix) ? Number(suffix) : Number.NaN;
  if (rest.length > 0 || !(bits <= most)) {
    throw new DestinationError('invalid_host', text, `has no valid length; write 0 to ${most} after the "/"`);
  }
  return { groups, bits: isIpv4 ? bits + mappedBits : bits, text };
}

function groupsOf(text: string, address: string): AddressGroups {
  const fix = 'is no range of addresses; write "10.0.0.0/8" or "fd00::/8"';
  try {
    const groups = addressGroups(canonicalHost(address));
    if (groups !== undefined) return groups;
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    throw new DestinationError('invalid_host', text, fix, { cause: error });
  }
  throw new DestinationError('invalid_host', text, fix);
}

/** Whether an address is in a range. */
export function isInRange(address: AddressGroups, { groups, bits }: AddressRange): boolean {
  const whole = bits >> 4;
  for (let i = 0; i < whole; i += 1) if (address[i] !== groups[i]) return false;
  const rest = bits & 15;
  if (rest === 0) return true;
  const mask = (0xff_ff << (16 - rest)) & 0xff_ff;
  return ((address[whole] ?? 0) & mask) === ((groups[whole] ?? 0) & mask);
}
