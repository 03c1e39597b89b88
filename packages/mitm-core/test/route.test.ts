import { describe, expect, test } from 'vitest';

import { Failure } from '../src/failure.ts';
import { planRoute } from '../src/route.ts';
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
