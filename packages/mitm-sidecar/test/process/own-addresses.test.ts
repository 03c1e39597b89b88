// Clients of this machine are told from clients of others.
import { networkInterfaces } from 'node:os';

import { describe, expect, test, vi } from 'vitest';

import { OwnAddresses } from '../../src/process/own-addresses.ts';
import { clientOf } from './fake-proc.ts';

const machine = (): readonly string[] => ['127.0.0.1', '192.0.2.7', 'fe80::7', '2001:db8::7'];

describe('a client is of this machine', () => {
  test.each([
    ['on loopback', '127.0.0.1 40000', '127.0.0.1 8080', true],
    ['on any loopback address', '127.3.2.1 40000', '127.0.0.1 8080', true],
    ['with the address that it dialled', '198.51.100.1 40000', '198.51.100.1 8080', true],
    ['with another address of an interface', '192.0.2.7 40000', '198.51.100.1 8080', true],
    ['with a mapped address of an interface', '::ffff:192.0.2.7 40000', '198.51.100.1 8080', true],
    ['with a zone', 'fe80::7%eth0 40000', 'fe80::1%eth0 8080', true],
    ['IPv6 in another spelling', '2001:db8:0::7 40000', '2001:db8::1 8080', true],
    ['unless no interface has its address', '192.0.2.8 40000', '192.0.2.7 8080', false],
    ['unless its address is none', 'nonsense 1', '192.0.2.7 8080', false],
  ])('%s', (_, client, proxy, expected) => {
    expect(new OwnAddresses(machine).isClientOf(clientOf(client, proxy))).toBe(expected);
  });
});

test('interfaces are listed at most once a second', () => {
  const read = vi.fn<() => readonly string[]>(machine);
  const own = new OwnAddresses(read);
  for (let i = 0; i < 10; i++) own.isClientOf(clientOf('192.0.2.9 1'));
  expect(read).toHaveBeenCalledTimes(1);
});

test("the machine's own interfaces are known", () => {
  const own = new OwnAddresses();
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  expect(addresses.length).toBeGreaterThan(0);
  for (const { address } of addresses) {
    expect(own.isClientOf(clientOf(`${address} 40000`, '192.0.2.1 8080'))).toBe(true);
  }
});
