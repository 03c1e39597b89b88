// What was begun under a configuration is finished under it, and what does not differ is not made anew.
import { type MitmConfig, type MitmConfigInput, parseConfig, planRoute } from 'mitm-core';
import { expect, test } from 'vitest';

import { ConfiguredTargets } from '../../src/upstream/configured-targets.ts';

function configOf(given: Partial<MitmConfigInput> = {}): MitmConfig {
  return parseConfig({
    interception: { destinations: ['*:*'] },
    ...given,
    upstream: { trust: 'bundled', ...given.upstream },
  });
}

const route = planRoute(configOf(), { host: 'o.test', port: 443 });
const options = { route, isTls: true, skipVerify: false, alpn: [] };

test('each flow gets the targets of its own configuration, before and after a reload', () => {
  const [before, after] = [configOf(), configOf({ upstream: { verifyUpstreamTls: false } })];
  const targets = new ConfiguredTargets(before, () => []);
  const { key } = targets.of(before, options);
  const apply = targets.prepare(after);
  expect(targets.of(before, options).key).toBe(key);
  expect(apply()).toBe(false);
  expect(targets.of(before, options)).toMatchObject({ key, tls: { isVerified: true } });
  expect(targets.of(after, options)).toMatchObject({ tls: { isVerified: false } });
  expect(targets.of(after, options).key).not.toBe(key);
});

test('where nothing about origins differs, connections go on being shared', () => {
  const [before, after] = [configOf(), configOf({ maxConcurrentFlows: 7 })];
  const targets = new ConfiguredTargets(before, () => []);
  expect(targets.prepare(after)()).toBe(true);
  expect(targets.of(after, options).key).toBe(targets.of(before, options).key);
});

test('a file that can not be read is named, and nothing changes', () => {
  const before = configOf();
  const targets = new ConfiguredTargets(before, () => []);
  const { key } = targets.of(before, options);
  expect(() => targets.prepare(configOf({ upstream: { caPaths: ['/nowhere/ca.pem'] } }))).toThrow(
    '/nowhere/ca.pem',
  );
  expect(targets.of(before, options).key).toBe(key);
});
