// Which targets are the proxy itself.
import { networkInterfaces } from 'node:os';

import { Failure } from 'mitm-core';
import { parseAuthority } from 'mitm-http';
import { describe, expect, test, vi } from 'vitest';

import { LoopGuard, reaches } from '../../src/upstream/loop-guard.ts';

describe('dialling a host reaches the listener', () => {
  test.each([
    ['the same address', '192.0.2.7', '192.0.2.7', true],
    ['the same name', 'proxy.example', 'proxy.example', true],
    ['another address', '192.0.2.8', '192.0.2.7', false],
    ['loopback and loopback', '127.0.0.1', '127.0.0.1', true],
    ['any loopback address', '127.8.8.8', '127.0.0.1', true],
    ['loopback by name', 'localhost', '127.0.0.1', true],
    ['loopback by a name below localhost (RFC 6761 §6.3)', 'app.localhost', '127.0.0.1', true],
    ['loopback of the other family', '::1', '127.0.0.1', true],
    ['loopback, listening everywhere', '127.0.0.1', '0.0.0.0', true],
    ['localhost, listening everywhere over IPv6', 'localhost', '::', true],
    ['loopback, listening elsewhere', '127.0.0.1', '192.0.2.7', false],
    ['the unspecified address', '0.0.0.0', '127.0.0.1', true],
    ['the unspecified address of IPv6', '::', '127.0.0.1', true],
    ['loopback written as IPv6 (RFC 4291 §2.5.5.2)', '::ffff:127.0.0.1', '127.0.0.1', true],
    ['the unspecified address written as IPv6', '::ffff:0.0.0.0', '127.0.0.1', true],
    ['an address written as IPv6', '::ffff:192.0.2.7', '192.0.2.7', true],
    ['a listener written as IPv6', '192.0.2.7', '::ffff:192.0.2.7', true],
    ['another address, listening everywhere', '192.0.2.8', '0.0.0.0', false],
    ['a name, listening everywhere', 'example.org', '0.0.0.0', false],
    ['a name that only resembles loopback', '127.0.0.1.example.org', '127.0.0.1', false],
    ['a name that only ends alike', 'notlocalhost', '127.0.0.1', false],
  ])('%s: %s at %s is %s', (_rule, host, bound, expected) => {
    expect(reaches(host, bound)).toBe(expected);
  });

  test('an address of this machine, listening everywhere', () => {
    const own = Object.values(networkInterfaces()).flatMap(
      (list) => list?.map(({ address }) => address) ?? [],
    );
    expect(own.length).toBeGreaterThan(0);
    for (const address of own) expect(reaches(address, '::')).toBe(true);
  });
});

describe('LoopGuard', () => {
  const listeners = [
    { host: '127.0.0.1', port: 8_080 },
    { host: '192.0.2.7', port: 9_090 },
  ];

  test.each([
    ['localhost:8080', true],
    ['[::ffff:7f00:1]:8080', true],
    ['localhost:8081', false],
    ['localhost:9090', false],
    ['192.0.2.7:9090', true],
    ['192.0.2.7:8080', false],
  ])('with two listeners, %s is its own: %s', (authority, isOwn) => {
    const guard = new LoopGuard(() => listeners);
    expect(guard.isOwn(parseAuthority(authority))).toBe(isOwn);
  });

  test('refuses what is its own with a 508, and nothing else', () => {
    const guard = new LoopGuard(() => listeners);
    expect(() => guard.refuse({ host: 'example.org', port: 8_080 })).not.toThrow();
    let failure: unknown;
    try {
      guard.refuse({ host: 'localhost', port: 8_080 });
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({ reason: 'route_planner_failed', side: 'client', reply: { status: 508 } });
  });

  test('asks anew each time where the proxy listens', () => {
    let current: typeof listeners = [];
    const guard = new LoopGuard(() => current);
    expect(guard.isOwn({ host: 'localhost', port: 8_080 })).toBe(false);
    current = listeners;
    expect(guard.isOwn({ host: 'localhost', port: 8_080 })).toBe(true);
  });
});

describe('the mark on what is given to another proxy', () => {
  test('is a Via field of nobody else', () => {
    const marks = [new LoopGuard(() => []), new LoopGuard(() => [])].map((guard) => guard.mark());
    for (const mark of marks) expect(mark).toMatch(/^Via: 1\.1 soth-mitm-[0-9a-f]{16}\r\n$/);
    expect(marks[0]).not.toBe(marks[1]);
  });

  test('comes behind what others have said', () => {
    expect(new LoopGuard(() => []).mark('1.0 a, 1.1 b')).toMatch(/^Via: 1\.0 a, 1\.1 b, 1\.1 soth-mitm-/);
  });

  test('is known again among others, and refused with a 508', () => {
    const guard = new LoopGuard(() => []);
    const own = guard.mark().slice('Via: '.length).trim();
    const refuse = (via: string | undefined) => (): void => guard.refuseMarked(() => via);
    expect(refuse(`1.1 a, ${own}, 1.0 b`)).toThrow(
      expect.objectContaining({
        reason: 'route_planner_failed',
        reply: expect.objectContaining({ status: 508 }),
      }),
    );
    expect(refuse('1.1 a')).not.toThrow();
    expect(refuse(undefined)).not.toThrow();
  });

  test('is not looked for by a proxy that never marked anything', () => {
    const read = vi.fn<() => string>(() => '1.1 a');
    const guard = new LoopGuard(() => []);
    guard.refuseMarked(read);
    expect(read).not.toHaveBeenCalled();
    guard.mark();
    guard.refuseMarked(read);
    expect(read).toHaveBeenCalledOnce();
  });
});

test('a port of its own is known without a name', () => {
  const guard = new LoopGuard(() => [{ host: '::', port: 8_080 }]);
  expect([guard.hasPort(8_080), guard.hasPort(443)]).toEqual([true, false]);
});

test('a zone is no part of an address', () => {
  expect(reaches('fe80::1%eth0', 'fe80::1')).toBe(true);
});
