// A configuration that changes fifty times a second while requests come as fast as they can: none fails, and each is judged, routed
// and rewritten by one configuration from beginning to end.
import type { MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { KeepAliveClient, type KeptAnswer } from '../lab/keep-alive-client.ts';
import { type OriginHandler, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const clientCount = 24;
const loadMs = 2_000;
const reloadEveryMs = 20;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** An origin that says which one it is, and what it was told of the way. */
function namedOrigin(name: string): OriginHandler {
  return (seen, response) => {
    const via = seen.rawHeaders[seen.rawHeaders.indexOf('Via') + 1];
    const body = `${name} via ${seen.rawHeaders.includes('Via') ? via : 'nobody'}`;
    response.writeHead(200, { 'Content-Length': body.length, 'Alt-Svc': 'h3=":443"' }).end(body);
  };
}

/** What one request shows of the configurations that it met. */
type Traces = (answer: KeptAnswer) => string;

/** The origin that was reached, and the name in `Via` on both ways. */
const plainTraces: Traces = ({ body, head }) => {
  const told = /^(?<origin>\w+) via 1\.1 (?<via>\w+)$/.exec(body)?.groups;
  const answered = /\r\nvia: 1\.1 (?<via>\w+)/i.exec(head)?.groups?.['via'];
  return [...new Set([told?.['origin'], told?.['via'], answered])].join(' and ');
};

/** The origin that was reached, and whether `Alt-Svc` was kept. */
const interceptedTraces: Traces = ({ body, head }) => {
  const kept = /\r\nalt-svc: /i.test(head) ? 'one' : 'two';
  return [...new Set([body.split(' ')[0], kept])].join(' and ');
};

interface Load {
  readonly proxy: LabProxy;
  readonly dial: () => Promise<KeepAliveClient>;
  readonly traces: Traces;
}

interface Tally {
  readonly byTraces: Map<string, number>;
  failedCount: number;
}

/** Asks on one connection after the other, some of them kept for long. */
async function work(load: Load, index: number, until: number, tally: Tally): Promise<void> {
  for (let turn = 0; performance.now() < until; turn += 1) {
    const client = await load.dial();
    const requestCount = (index + turn) % 3 === 0 ? 3 : 200;
    for (let sent = 0; sent < requestCount && performance.now() < until; sent += 1) {
      const answer = await client.ask('/');
      if (answer?.head.startsWith('HTTP/1.1 200 ') !== true) tally.failedCount += 1;
      if (answer === undefined) break;
      const seen = load.traces(answer);
      tally.byTraces.set(seen, (tally.byTraces.get(seen) ?? 0) + 1);
    }
    await client.close();
  }
}

async function reloadAllTheTime(
  proxy: LabProxy,
  configs: readonly MitmConfigInput[],
  until: number,
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
    await new Promise((resolve) => setTimeout(resolve, reloadEveryMs));
  }
  return count;
}

async function expectOneConfiguration(
  load: Load,
  others: readonly Partial<MitmConfigInput>[],
): Promise<string> {
  const { proxy } = load;
  const until = performance.now() + loadMs;
  const tally: Tally = { byTraces: new Map(), failedCount: 0 };
  const first = proxy.handle.currentConfig();
  const configs = others.map((other) => ({ ...first, ...other }));
  const working = Promise.all(
    Array.from({ length: clientCount }, (_, index) => work(load, index, until, tally)),
  );
  const reloadCount = await reloadAllTheTime(proxy, configs, until);
  await working;
  expect(tally.failedCount).toBe(0);
  expect([...tally.byTraces.keys()].toSorted()).toEqual(['one', 'two']);
  await proxy.finish();
  const count = [...tally.byTraces.values()].reduce((sum, value) => sum + value, 0);
  const { requestCount } = proxy.handle.metrics();
  expect(requestCount).toBe(count);
  return `${Math.round(count / (loadMs / 1_000))} requests a second over ${reloadCount} reloads: ${JSON.stringify([...tally.byTraces])}`;
}

test('plain requests on kept connections', { timeout: 30_000 }, async ({ annotate }) => {
  await using one = await startHttpOrigin(namedOrigin('one'));
  await using two = await startHttpOrigin(namedOrigin('two'));
  const routes = [one, two].map(({ port }) => ({ host: '127.0.0.1', port }));
  const wayOf = (index: number): Partial<MitmConfigInput> => ({
    routeMode: 'reverse',
    reverseUpstream: routes[index],
    via: index === 0 ? 'one' : 'two',
    upstream: { trust: 'bundled', sniMode: index === 0 ? 'required' : 'auto' },
  });
  await using proxy = await startProxy({ config: wayOf(0) });
  const dial = (): Promise<KeepAliveClient> =>
    KeepAliveClient.dialPlain({ proxyPort: proxy.port, authority: 'somewhere.test' });
  await annotate(await expectOneConfiguration({ proxy, dial, traces: plainTraces }, [wayOf(1), wayOf(0)]));
});

test(
  'intercepted connections, each under the configuration that it came under',
  { timeout: 30_000 },
  async ({ annotate }) => {
    await using one = await startHttpsOrigin({ authority, handler: namedOrigin('one') });
    await using two = await startHttpsOrigin({ authority, handler: namedOrigin('two') });
    const routes = [one, two].map(({ port }) => ({ host: '127.0.0.1', port }));
    const caPaths = [await authority.caFile()];
    const wayOf = (index: number): Partial<MitmConfigInput> => ({
      routeMode: 'reverse',
      reverseUpstream: routes[index],
      altSvc: index === 0 ? 'keep' : 'strip',
      upstream: { caPaths, trust: 'bundled', sniMode: index === 0 ? 'required' : 'auto' },
    });
    await using proxy = await startProxy({ config: wayOf(0) });
    const dial = (): Promise<KeepAliveClient> =>
      KeepAliveClient.dial({
        ...proxy.forClients,
        authority: `localhost:${one.port}`,
      });
    await annotate(
      await expectOneConfiguration({ proxy, dial, traces: interceptedTraces }, [wayOf(1), wayOf(0)]),
    );
  },
);
