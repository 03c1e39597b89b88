// What kind an address is, in every form in which it can be written or carried.
import { describe, expect, test } from 'vitest';

import { addressClasses, addressClassOf } from '../src/address-class.ts';

const rows = [
  ['public', ['1.1.1.1', '172.15.0.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '223.255.255.255']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0']],
  ['loopback', ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1']],
  ['link_local', ['169.254.0.1', 'fe80::1', 'fe80::1%eth0', '::ffff:169.254.1.1']],
  [
    'private',
    ['10.0.0.1', '172.16.0.1', '172.31.9.9', '192.168.1.1', 'fc00::1', 'fdff::1', 'fec0::1', '64:ff9b:1::1'],
  ],
  ['shared', ['100.64.0.1', '100.127.255.255']],
  [
    'metadata',
    ['169.254.169.254', '169.254.170.2', 'fd00:ec2::254', '100.100.100.200', '::ffff:169.254.169.254'],
  ],
  ['multicast', ['224.0.0.1', '239.255.255.255', 'ff02::1']],
  ['reserved', ['192.0.2.1', '198.18.0.1', '203.0.113.1', '255.255.255.255', '2001:db8::1', '100::1']],
] as const;

describe.each(rows)('%s', (expected, addresses) => {
  test.each(addresses)('%s', (address) => {
    expect(addressClassOf(address)).toBe(expected);
  });
});

test('every kind has an example here', () => {
  expect(rows.map(([name]) => name)).toEqual([...addressClasses]);
});

describe('an address that carries an IPv4 address is what it carries', () => {
  test.each([
    ['NAT64 (RFC 6052)', '64:ff9b::7f00:1', 'loopback'],
    ['NAT64 to somebody', '64:ff9b::101:101', 'public'],
    ['6to4 (RFC 3056)', '2002:a9fe:a9fe::1', 'metadata'],
    ['6to4 to a private network', '2002:a00:1::', 'private'],
    ['Teredo (RFC 4380), bits turned over', '2001:0:4136:e378:8000:63bf:3fff:fdd2', 'reserved'],
    ['Teredo to loopback', '2001:0:1:1:1:1:80ff:fffe', 'loopback'],
    ['IPv4-compatible (RFC 4291)', '::a00:1', 'private'],
    ['translated (RFC 2765)', '::ffff:0:7f00:1', 'loopback'],
  ])('%s: %s is %s', (_form, address, expected) => {
    expect(addressClassOf(address)).toBe(expected);
  });
});

test('a name is of no kind', () => {
  expect(addressClassOf('localhost')).toBeUndefined();
});
