// What is planned and found out for a target before it is judged, and what the policy is told.
import type { LookupAddress } from 'node:dns';

import { Failure, type InterceptHandler, isPromise, type MitmConfigInput } from 'mitm-core';
import type { PolicyEngine, PolicyInput } from 'mitm-policy';
import { describe, expect, test } from 'vitest';

import { decideTarget } from '../../src/lanes/decide-target.ts';
import type { Resolver } from '../../src/upstream/address-guard.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';

interface Given {
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
  readonly wants?: PolicyEngine['wants'];
  readonly action?: 'intercept' | 'block';
  readonly addresses?: readonly LookupAddress[] | Error;
  readonly listeners?: readonly { host: string; port: number }[];
}

interface Prepared {
  readonly fixture: RuntimeFixture;
  readonly inputs: readonly PolicyInput[];
  readonly lookups: readonly string[];
}

async function prepare(given: Given): Promise<Prepared> {
  const inputs: PolicyInput[] = [];
  const lookups: string[] = [];
  const resolver: Resolver = (host, _options, found) => {
    lookups.push(host);
    if (given.addresses instanceof Error) found(given.addresses, []);
    else found(null, given.addresses ?? []);
  };
  const policy: PolicyEngine = {
    ...(given.wants === undefined ? {} : { wants: given.wants }),
    decide: (input) => {
      inputs.push(input);
      return { action: given.action ?? 'intercept', reason: 'mine' };
    },
  };
  const { config, handler, listeners } = given;
  return { fixture: await createRuntime({ config, handler, listeners, policy, resolver }), inputs, lookups };
}

const target = { host: 'name.test', port: 443 };
const private4: LookupAddress = { address: '10.0.0.1', family: 4 };

test('with nobody to wait for it answers at once, with route and decision in place', async () => {
  const { fixture, inputs, lookups } = await prepare({});
  const flow = fixture.openFlow();
  const decision = decideTarget(flow, fixture.runtime, target, { connectHost: 'name.test' });
  expect(isPromise(decision)).toBe(false);
  expect(decision).toMatchObject({ action: 'intercept', reason: 'mine' });
  expect([flow.decision, flow.route.mode]).toEqual([decision, 'direct']);
  expect(inputs).toEqual([{ host: 'name.test', port: 443, connectHost: 'name.test' }]);
  expect(lookups).toEqual([]);
});

describe('a policy that wants the address', () => {
  const wants = ['address'] as const;

  test('is told it, and only it will be dialled', async () => {
    const { fixture, inputs, lookups } = await prepare({ wants, addresses: [private4] });
    const flow = fixture.openFlow();
    await decideTarget(flow, fixture.runtime, target, {});
    expect(inputs).toEqual([{ ...target, address: '10.0.0.1', addressClass: 'private' }]);
    expect(flow.route.resolved?.addresses).toEqual([private4]);
    expect(lookups).toEqual(['name.test']);
  });

  test('is told an address that was asked for without a lookup', async () => {
    const { fixture, inputs, lookups } = await prepare({ wants });
    await decideTarget(fixture.openFlow(), fixture.runtime, { host: '::1', port: 1 }, {});
    expect(inputs).toEqual([{ host: '::1', port: 1, address: '::1', addressClass: 'loopback' }]);
    expect(lookups).toEqual([]);
  });

  test('is not told one that another proxy looks up', async () => {
    const config: Partial<MitmConfigInput> = {
      routeMode: 'upstream_socks5',
      upstreamSocks5Proxy: { host: 'socks.test', port: 1080 },
    };
    const { fixture, inputs, lookups } = await prepare({ wants, config });
    await decideTarget(fixture.openFlow(), fixture.runtime, target, {});
    expect(inputs).toEqual([target]);
    expect(lookups).toEqual([]);
  });

  const unknown = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });

  test('refuses a name without an address as it would any other', async () => {
    const { fixture } = await prepare({ wants, addresses: unknown, action: 'block' });
    expect(await decideTarget(fixture.openFlow(), fixture.runtime, target, {})).toMatchObject({
      action: 'block',
    });
  });

  test('never lets one pass that has none: it could have one a moment later', async () => {
    const { fixture } = await prepare({ wants, addresses: unknown });
    const judged = Promise.resolve(decideTarget(fixture.openFlow(), fixture.runtime, target, {}));
    await expect(judged).rejects.toMatchObject({ reason: 'upstream_connect_failed', reply: { status: 502 } });
  });
});

describe('the handler’s way', () => {
  test('is taken, and told in the route', async () => {
    const handler: InterceptHandler = {
      resolveRoute: ({ host }) => ({ type: 'http', host: `proxy.${host}`, port: 1 }),
    };
    const { fixture } = await prepare({ handler });
    const flow = fixture.openFlow();
    await decideTarget(flow, fixture.runtime, target, {});
    expect(flow.route).toMatchObject({
      mode: 'upstream_http',
      nextHop: { host: 'proxy.name.test', port: 1 },
      reason: 'handler',
    });
  });
});

test.each([
  ['the next proxy', { routeMode: 'upstream_http', upstreamHttpProxy: { host: 'localhost', port: 8_080 } }],
  ['the one origin', { routeMode: 'reverse', reverseUpstream: { host: '::ffff:127.0.0.1', port: 8_080 } }],
] as const)('%s must not be the proxy itself: 508', async (_what, config) => {
  const { fixture, inputs } = await prepare({ config, listeners: [{ host: '127.0.0.1', port: 8_080 }] });
  const judge = (): unknown => decideTarget(fixture.openFlow(), fixture.runtime, target, {});
  expect(judge).toThrow(Failure);
  expect(judge).toThrow(expect.objectContaining({ reply: expect.objectContaining({ status: 508 }) }));
  expect(inputs).toEqual([]);
});
