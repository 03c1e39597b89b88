// Two proxies in one process, with different configurations, handlers, policies and authorities: what one does, the other never notices.
import { randomInt } from 'node:crypto';

import { allow, block, type HandlerDecision } from 'soth-mitm';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { KeepAliveClient } from '../lab/keep-alive-client.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const clientCount = 12;
const requestCount = 60;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Seen {
  readonly paths: string[];
  readonly ended: Set<string>;
}

function watching(seen: Seen, verdict: () => HandlerDecision) {
  return {
    onRequest: ({ path }: { readonly path: string }) => {
      seen.paths.push(path);
      return verdict();
    },
    onStreamEnd: (connectionId: string, flowId: number) => {
      seen.ended.add(`${connectionId} ${flowId}`);
    },
  };
}

async function work(
  proxy: LabProxy,
  name: string,
  origin: string,
  index: number,
): Promise<readonly string[]> {
  const statuses: string[] = [];
  const target = { ...proxy.forClients, authority: origin };
  let client = await KeepAliveClient.dial(target);
  for (let sent = 0; sent < requestCount; sent += 1) {
    if (!client.isOpen || randomInt(10) === 0) {
      await client.close();
      client = await KeepAliveClient.dial(target);
    }
    const answer = await client.ask(`/${name}/${index}/${sent}`);
    statuses.push(answer?.head.slice(9, 12) ?? 'none');
  }
  await client.close();
  return statuses;
}

test('each has its own everything, under load', { timeout: 30_000 }, async () => {
  await using origin = await startHttpsOrigin({ authority });
  const seen: Record<'one' | 'two', Seen> = {
    one: { paths: [], ended: new Set() },
    two: { paths: [], ended: new Set() },
  };
  await using one = await startProxy({
    trusts: authority,
    config: { maxConcurrentFlows: 20 * clientCount, altSvc: 'keep' },
    handler: watching(seen.one, () => allow),
  });
  await using two = await startProxy({
    trusts: authority,
    config: { interceptMode: 'enforce', maxFlowEventBacklog: 20 },
    handler: watching(seen.two, () => block(418, 'two says no')),
  });
  const clients = Array.from({ length: clientCount }, (_, index) => index);
  const [ofOne, ofTwo] = await Promise.all([
    Promise.all(clients.map((index) => work(one, 'one', origin.authority, index))),
    Promise.all(clients.map((index) => work(two, 'two', origin.authority, index))),
    // What happens to one in the middle is nothing to the other.
    one.handle.reload({ ...one.handle.currentConfig(), maxHttpHeadBytes: 20_000 }),
  ]);
  expect(new Set(ofOne.flat())).toEqual(new Set(['200']));
  expect(new Set(ofTwo.flat())).toEqual(new Set(['418']));
  expect(two.handle.currentConfig().maxHttpHeadBytes).toBe(65_536);
  // The end of one leaves the other at work.
  await two.finish();
  const { certificatePem: ca } = one.ca;
  const url = `https://${origin.authority}/one/after`;
  expect((await httpsThroughProxy({ proxyPort: one.port, url, ca })).status).toBe(200);
  await one.finish();
  const total = clientCount * requestCount;
  expect([seen.one.paths.length, seen.two.paths.length]).toEqual([total + 1, total]);
  expect(seen.one.paths.every((path) => path.startsWith('/one/'))).toBe(true);
  expect(seen.two.paths.every((path) => path.startsWith('/two/'))).toBe(true);
  expect(origin.requests.every(({ url: path }) => path.startsWith('/one/'))).toBe(true);
  for (const [proxy, { ended }] of [
    [one, seen.one],
    [two, seen.two],
  ] as const)
    expect(ended.size).toBe(proxy.handle.metrics().flowCount);
  const [first, second] = [one, two].map((proxy) => proxy.events.events());
  expect(first?.[0]?.sequenceId).toBe(1);
  expect(second?.[0]?.sequenceId).toBe(1);
});

test('the authority of one is worth nothing at the other', async () => {
  await using origin = await startHttpsOrigin({ authority });
  await using one = await startProxy({ trusts: authority });
  await using two = await startProxy({ trusts: authority });
  const url = `${origin.url}/`;
  const ask = (proxy: LabProxy, ca: string) => httpsThroughProxy({ proxyPort: proxy.port, url, ca });
  expect((await ask(one, one.ca.certificatePem)).status).toBe(200);
  await expect(ask(two, one.ca.certificatePem)).rejects.toThrow('certificate');
  expect((await ask(two, two.ca.certificatePem)).status).toBe(200);
  expect(one.handle.metrics().tlsFailureCount).toBe(0);
  expect(two.handle.metrics().tlsFailureCount).toBe(1);
});
