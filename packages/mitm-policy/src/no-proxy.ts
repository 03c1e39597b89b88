// The list of targets that are reached directly although a proxy stands on the way, written as NO_PROXY is: names, domains,
// addresses and ranges, each with a port where it matters.
import { canonicalHost, hostKind } from 'mitm-http';

import { addressGroups, type AddressRange, isInRange, parseAddressRange } from './address-range.ts';
import { DestinationError, parseHostRule } from './destination.ts';

/** One entry of such a list. */
export type NoProxyEntry =
  | { readonly kind: 'all' }
  /** The host itself and everything below it. */
  | { readonly kind: 'domain'; readonly host: string; readonly port: number | '*' }
  | { readonly kind: 'range'; readonly range: AddressRange; readonly port: number | '*' };

/**
 * Reads one entry: `*`, `example.org` (the host and all below it; `.example.org` and `*.example.org` mean the same),
 * `10.0.0.0/8`, `fd00::/8`, an address, and all but the first and the ranges with `:PORT`, IPv6 in brackets then.
 *
 * @throws {DestinationError} for anything else
 */
export function parseNoProxyEntry(text: string): NoProxyEntry {
  const entry = text.trim();
  if (entry === '*') return { kind: 'all' };
  if (entry.includes('/') && !entry.includes('://'))
    return { kind: 'range', range: parseAddressRange(entry), port: '*' };
  const bare = entry.includes(':') && !entry.startsWith('[') && isIpv6(entry) ? `[${entry}]` : entry;
  const { host, port } = parseHostRule(bare.replace(/^\*?\./u, ''));
  if (host.includes('*')) {
    throw new DestinationError(
      'loose_wildcard',
      text,
      'has a "*" inside; write the domain alone, which stands for all below it',
    );
  }
  return addressGroups(host) === undefined
    ? { kind: 'domain', host, port }
    : { kind: 'range', range: parseAddressRange(host), port };
}

function isIpv6(text: string): boolean {
  try {
    return hostKind(canonicalHost(text)) === 'ipv6';
  } catch {
    // Then it is something else, and its reader says what is wrong with it.
    return false;
  }
}

/** A compiled list. */
export class NoProxyList {
  readonly #entries: readonly NoProxyEntry[];

  /** Throws {@link DestinationError} for the first entry that cannot be read. */
  constructor(entries: readonly string[]) {
    this.#entries = entries.map(parseNoProxyEntry);
  }

  /** Whether this canonical host and port are reached directly. Names are never looked up for it. */
  covers(host: string, port: number): boolean {
    if (this.#entries.length === 0) return false;
    const groups = addressGroups(host);
    return this.#entries.some((entry) => {
      if (entry.kind === 'all') return true;
      if (entry.port !== '*' && entry.port !== port) return false;
      if (entry.kind === 'range') return groups !== undefined && isInRange(groups, entry.range);
      return host === entry.host || host.endsWith(`.${entry.host}`);
    });
  }
}
