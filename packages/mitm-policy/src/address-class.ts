// What kind of address a target has: whether anybody on the Internet is behind it, or somebody nearer than a client should
// reach. The kinds are data; forms of IPv6 that carry an IPv4 address count as what they carry.
import {
  type AddressGroups,
  addressGroups,
  type AddressRange,
  isInRange,
  parseAddressRange,
} from './address-range.ts';

/** Every kind of address. */
export const addressClasses = [
  'public',
  'unspecified',
  'loopback',
  'link_local',
  'private',
  'shared',
  'metadata',
  'multicast',
  'reserved',
] as const;
/** See {@link addressClasses}. */
export type AddressClass = (typeof addressClasses)[number];

/** The ranges of each kind; the first that has an address names it. */
const rangesByClass: readonly (readonly [AddressClass, readonly AddressRange[]])[] = (
  [
    // Where clouds tell machines their credentials; first, since all of these are also something else.
    [
      'metadata',
      [
        '169.254.169.254',
        '169.254.170.2',
        '169.254.170.23',
        '100.100.100.200',
        '168.63.129.16',
        '192.0.0.192',
        'fd00:ec2::254',
        'fd00:ec2::23',
        'fd20:ce::254',
      ],
    ],
    // "This network" (RFC 1122 §3.2.1.3): systems take all of it for the host itself.
    ['unspecified', ['0.0.0.0/8', '::']],
    ['loopback', ['127.0.0.0/8', '::1']],
    ['link_local', ['169.254.0.0/16', 'fe80::/10']],
    // RFC 1918, RFC 4193, the site-local addresses of RFC 3879, and translation inside one network (RFC 8215).
    ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10', '64:ff9b:1::/48']],
    // RFC 6598: between a provider and its customers.
    ['shared', ['100.64.0.0/10']],
    ['multicast', ['224.0.0.0/4', 'ff00::/8']],
    // RFC 6890 and its registry: documentation, benchmarks, discard, and what nobody has been given.
    [
      'reserved',
      [
        '192.0.0.0/24',
        '192.0.2.0/24',
        '192.88.99.0/24',
        '198.18.0.0/15',
        '198.51.100.0/24',
        '203.0.113.0/24',
        '240.0.0.0/4',
        '100::/64',
        '2001:2::/48',
        '2001:db8::/32',
        '3fff::/20',
        '5f00::/16',
      ],
    ],
  ] as const
).map(([name, texts]) => [name, texts.map(parseAddressRange)]);

/** Where in an address its IPv4 address begins, in groups: the ranges that carry one. */
const carriers: readonly (readonly [AddressRange, number])[] = (
  [
    ['64:ff9b::/96', 6],
    ['2002::/16', 1],
    ['::/96', 6],
    ['::ffff:0:0:0/96', 6],
  ] as const
).map(([text, at]) => [parseAddressRange(text), at]);

const teredo = parseAddressRange('2001::/32');

/** The kind of a canonical address; undefined for a name. */
export function addressClassOf(host: string): AddressClass | undefined {
  const groups = addressGroups(host);
  return groups === undefined ? undefined : classOf(groups);
}

function classOf(groups: AddressGroups): AddressClass {
  const own = rangesByClass.find(([, ranges]) => ranges.some((range) => isInRange(groups, range)));
  if (own !== undefined) return own[0];
  for (const [range, at] of carriers) {
    if (isInRange(groups, range)) return classOf(mapped(groups[at] ?? 0, groups[at + 1] ?? 0));
  }
  // RFC 4380 §4: the client's address is written with every bit turned over.
  if (isInRange(groups, teredo))
    return classOf(mapped((groups[6] ?? 0) ^ 0xff_ff, (groups[7] ?? 0) ^ 0xff_ff));
  return 'public';
}

function mapped(high: number, low: number): AddressGroups {
  return [0, 0, 0, 0, 0, 0xff_ff, high, low];
}
