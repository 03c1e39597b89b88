// Listen addresses and hosts of next hops: what is accepted, in which form it comes out, and why the rest is refused.
import { describe, expect, test } from 'vitest';

import { parseBindAddress, parseEndpointHost } from '../../src/config/address.ts';

describe('parseBindAddress', () => {
  test.each([
    ['an IPv4 address', '127.0.0.1:8080', '127.0.0.1', 8080],
    ['a name', 'localhost:1', 'localhost', 1],
    ['port 0, which the system replaces', '0.0.0.0:0', '0.0.0.0', 0],
    ['IPv6 loses its brackets', '[::1]:8080', '::1', 8080],
    ['IPv6 becomes canonical', '[0:0:0:0:0:0:0:0]:65535', '::', 65_535],
    ['space around it is dropped', ' LocalHost:80 ', 'localhost', 80],
  ])('%s', (_rule, address, host, port) => {
    expect(parseBindAddress(address)).toEqual({ host, port });
  });

  test.each([
    ['the port is needed', '127.0.0.1', 'is not an address to listen on'],
    ['the port is a number', 'localhost:http', 'is not an address to listen on'],
    ['the port has no sign', 'localhost:+80', 'is not an address to listen on'],
    ['the port ends at 65535', 'localhost:65536', 'write a port from 0 to 65535'],
    ['IPv6 needs brackets', '::1:8080', 'with IPv6 in brackets'],
    ['brackets hold IPv6', '[localhost]:8080', 'with IPv6 in brackets'],
    ['all interfaces are written out', ':8080', 'write 0.0.0.0:8080 or [::]:8080'],
    ['a star is no interface', '*:8080', 'write 0.0.0.0:8080 or [::]:8080'],
    ['a host with a space is none', 'local host:8080', 'does not name a host'],
    ['it is not empty', '', 'is not an address to listen on'],
  ])('%s', (_rule, address, message) => {
    expect(() => parseBindAddress(address)).toThrow(message);
  });
});

describe('parseEndpointHost', () => {
  test.each([
    ['Proxy.Example.org', 'proxy.example.org'],
    ['10.0.0.1', '10.0.0.1'],
    ['[2001:DB8::1]', '2001:db8::1'],
    ['2001:db8:0:0::1', '2001:db8::1'],
  ])('%s is %s', (given, host) => {
    expect(parseEndpointHost(given)).toBe(host);
  });

  test.each(['', 'http://proxy', 'proxy:3128', 'a/b', '[proxy]', '300.1.1.1'])('%j is no host', (given) => {
    expect(() => parseEndpointHost(given)).toThrow('does not name a host');
  });
});
