import { describe, expect, test } from 'vitest';

import { Failure } from '../src/failure.ts';
import { nextProxy } from '../src/next-proxy.ts';
import { planRoute, RoutePlanner } from '../src/route.ts';
import { testConfig } from './engine-fixture.ts';

const target = { host: 'api.example.test', port: 443 };
const proxy = { host: 'proxy.example.test', port: 3128 };

describe('the next hop and how the target is written to it', () => {
  test.each([
    ['direct: the target itself', {}, target, 'origin'],
    [
      'reverse: the fixed upstream, whatever was asked for',
      { routeMode: 'reverse', reverseUpstream: { ...proxy } },
      proxy,
      'origin',
    ],
    [
      'upstream_http: the proxy, which needs the whole target',
      { routeMode: 'upstream_http', upstreamHttpProxy: proxy },
      proxy,
      'absolute',
    ],
    [
      'upstream_socks5: the proxy, which is told the target in its greeting',
      { routeMode: 'upstream_socks5', upstreamSocks5Proxy: proxy },
      proxy,
      'origin',
    ],
  ])('%s', (_rule, fields, nextHop, requestTargetForm) => {
    const config = testConfig(fields);
    const route = planRoute(config, target);
    expect(route).toMatchObject({ mode: config.routeMode, target, nextHop, requestTargetForm });
    expect(route.target).toBe(target);
    expect(Object.isFrozen(route)).toBe(true);
  });
});

test.each(['reverse', 'upstream_http', 'upstream_socks5'] as const)(
  'a mode %s without its endpoint is a fault of ours, answered 502',
  (routeMode) => {
    // Such a configuration does not parse; a caller can still put one together.
    const broken = { ...testConfig(), routeMode };
    const failure: unknown = expect.objectContaining({
      reason: 'route_planner_failed',
      side: 'internal',
      detail: `route mode ${routeMode} has no endpoint`,
      reply: { status: 502, body: 'the proxy has no route to this target\n' },
    });
    expect(() => planRoute(broken, target)).toThrow(Failure);
    expect(() => planRoute(broken, target)).toThrow(failure);
  },
);

describe('another way than routeMode says', () => {
  const office = { name: 'office', type: 'socks5', host: 'socks.test', port: 1080 };
  const config = testConfig({
    routeMode: 'upstream_http',
    upstreamHttpProxy: proxy,
    upstreamProxies: [office, { ...office, name: 'lab', type: 'http', tls: true }],
    routes: [
      { hosts: ['*.corp.test:8443'], via: 'direct' },
      { hosts: ['*.corp.test', '10.1.2.3'], via: 'office' },
    ],
    noProxy: ['10.0.0.0/8', 'near.corp.test'],
  });
  const planner = new RoutePlanner(config);
  const usual = { mode: 'upstream_http', nextHop: proxy, reason: undefined, via: undefined };
  const direct = { mode: 'direct', proxy: undefined };
  const viaOffice = {
    mode: 'upstream_socks5',
    nextHop: { host: 'socks.test', port: 1080 },
    requestTargetForm: 'origin',
    reason: 'route_rule',
    via: 'office',
  };

  test.each([
    ['no rule', 'example.org', 443, usual],
    [
      'the first rule that has the target',
      'a.corp.test',
      8_443,
      { ...direct, reason: 'route_rule', via: 'direct' },
    ],
    ['a later rule', 'a.corp.test', 443, viaOffice],
    [
      'an exception goes before the rules',
      'near.corp.test',
      443,
      { ...direct, reason: 'no_proxy', via: undefined },
    ],
    ['an exception for an address', '10.1.2.3', 443, { ...direct, reason: 'no_proxy', via: undefined }],
  ])('%s', (_rule, host, port, expected) => {
    const route = planner.plan({ host, port });
    expect(route).toMatchObject({ ...expected, target: { host, port } });
    // Where nothing is on the way, the next hop is the target itself.
    expect(route.nextHop === route.target).toBe(route.mode === 'direct');
  });

  test.each([
    ['direct', { ...direct, reason: 'handler', via: 'direct' }],
    ['lab', { mode: 'upstream_http', requestTargetForm: 'absolute', reason: 'handler', via: 'lab' }],
  ])('the handler chooses %s, whatever rules and exceptions say', (choice, expected) => {
    expect(planner.plan({ host: '10.1.2.3', port: 443 }, choice)).toMatchObject(expected);
  });

  test('the handler describes a proxy of its own', () => {
    const own = nextProxy('http', { host: 'own.test', port: 1 }, 'resolveRoute');
    const route = planner.plan(target, own);
    expect(route).toMatchObject({
      mode: 'upstream_http',
      nextHop: { host: 'own.test', port: 1 },
      reason: 'handler',
    });
    expect(route.proxy).toBe(own);
  });

  test('names are known, or are not', () => {
    expect(['direct', 'office', 'lab', 'home'].map((name) => planner.hasWay(name))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(() => planner.plan(target, 'home')).toThrow('no way is called home');
  });
});
