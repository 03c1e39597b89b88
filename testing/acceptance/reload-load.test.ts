// A configuration that changes several times a second, and fails to thrice as often, while two thousand requests a second come from another
// process: none fails, and each is judged, routed and rewritten by one configuration from beginning to end.
import type { MitmConfigInput } from 'soth-mitm';
import { expect, test } from 'vitest';

import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { leastRate, type OutsideLoad, rateFrom, startOutsideLoad, warmUpMs } from '../load/load.ts';

const clientCount = 24;
const loadMs = 4_000;

async function reloadAllTheTime(
  proxy: LabProxy,
  configs: readonly MitmConfigInput[],
  { until, everyMs }: { readonly until: number; readonly everyMs: number },
): Promise<number> {
  let count = 0;
  for (; performance.now() < until; count += 1) {
    await proxy.handle.reload(configs[count % configs.length] ?? proxy.handle.currentConfig());
    const before = proxy.handle.currentConfig();
    await expect(proxy.handle.reload({ ...before, bind: '127.0.0.1:1', via: 'never' })).rejects.toThrow(
      'bind',
    );
    await expect(proxy.handle.reload({ ...before, via: 'not a token' })).rejects.toThrow('via');
    await expect(
      proxy.handle.reload({ ...before, upstream: { ...before.upstream, caPaths: ['/nowhere.pem'] } }),
    ).rejects.toThrow('/nowhere.pem');
    expect(proxy.handle.currentConfig()).toBe(before);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return count;
}

interface Case {
  /** Between two reloads; each empties the pool, and inside TLS every client then needs another handshake with the origin. */
  readonly everyMs: number;
  readonly proxy: LabProxy;
  readonly load: OutsideLoad;
  readonly others: readonly Partial<MitmConfigInput>[];
}

async function expectOneConfiguration({ proxy, load, others, everyMs }: Case): Promise<string> {
  const first = proxy.handle.currentConfig();
  const configs = others.map((other) => ({ ...first, ...other }));
  const until = performance.now() + loadMs;
  const loading = load.run({
    proxyPort: proxy.port,
    proxyCa: proxy.ca.certificatePem,
    clientCount,
    forMs: loadMs,
  });
  const requestCount = (): number => proxy.handle.metrics().requestCount;
  await reloadAllTheTime(proxy, configs, { until: performance.now() + warmUpMs, everyMs });
  const rate = rateFrom(requestCount);
  const reloadCount = await reloadAllTheTime(proxy, configs, { until, everyMs });
  const reached = rate();
  const { failedCount, unanswered, traces, answeredCount } = await loading;
  expect({ failedCount, unanswered }).toEqual({ failedCount: 0, unanswered: [] });
  expect(Object.keys(traces).toSorted()).toEqual(['one', 'two']);
  await proxy.finish();
  expect(requestCount()).toBe(answeredCount);
  expect(reached).toBeGreaterThan(leastRate);
  return `${reached} requests a second over ${reloadCount} reloads: ${JSON.stringify(traces)}`;
}

test('plain requests on kept connections', { timeout: 30_000 }, async ({ annotate }) => {
  await using load = await startOutsideLoad({ lane: 'plain', origins: 'named' });
  const routes = load.ports.map((port) => ({ host: '127.0.0.1', port }));
  const wayOf = (index: number): Partial<MitmConfigInput> => ({
    routeMode: 'reverse',
    reverseUpstream: routes[index],
    via: index === 0 ? 'one' : 'two',
    upstream: { trust: 'bundled', sniMode: index === 0 ? 'required' : 'auto' },
  });
  await using proxy = await startProxy({ config: wayOf(0) });
  await annotate(await expectOneConfiguration({ proxy, load, everyMs: 80, others: [wayOf(1), wayOf(0)] }));
});

test(
  'intercepted connections, each under the configuration that it came under',
  { timeout: 30_000 },
  async ({ annotate }) => {
    await using load = await startOutsideLoad({ lane: 'tls', origins: 'named' });
    const routes = load.ports.map((port) => ({ host: '127.0.0.1', port }));
    const caPaths = [load.caFile];
    const wayOf = (index: number): Partial<MitmConfigInput> => ({
      routeMode: 'reverse',
      reverseUpstream: routes[index],
      altSvc: index === 0 ? 'keep' : 'strip',
      upstream: { caPaths, trust: 'bundled', sniMode: index === 0 ? 'required' : 'auto' },
    });
    await using proxy = await startProxy({ config: wayOf(0) });
    await annotate(await expectOneConfiguration({ proxy, load, everyMs: 250, others: [wayOf(1), wayOf(0)] }));
  },
);
