// A set of IP addresses, given as ranges.
import { BlockList, isIPv6 } from 'node:net';

export class AddressRanges {
  readonly #list: BlockList;

  /** @param ranges an address and its prefix length each, such as `10.0.0.0/8` */
  constructor(ranges: readonly string[]) {
    this.#list = new BlockList();
    for (const range of ranges) {
      const slash = range.lastIndexOf('/');
      const address = range.slice(0, slash);
      this.#list.addSubnet(address, Number(range.slice(slash + 1)), familyOf(address));
    }
  }

  /** Whether one of the ranges holds an address. IPv4-mapped IPv6 addresses are to be given as IPv4. */
  has(address: string): boolean {
    const zone = address.indexOf('%');
    const bare = zone < 0 ? address : address.slice(0, zone);
    return this.#list.check(bare, familyOf(bare));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
