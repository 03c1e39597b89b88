// Which addresses of a name are dialled, and that no other is, however often and whatever the name's server answers.
import type { LookupAddress } from 'node:dns';

import { Failure, type Flow, type MitmConfigInput, planRoute, type Route } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { destroyed } from '../../../../testing/lab/clients.ts';
import { startTcpEcho } from '../../../../testing/lab/origins.ts';
import { AddressGuard, type Resolver } from '../../src/upstream/address-guard.ts';
import { dial } from '../../src/upstream/dial.ts';
import { LoopGuard } from '../../src/upstream/loop-guard.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';

const open = { destinations: ['*:*'] };

/** Answers each question with the next of these lists, the last one for ever. */
function resolverOf(...answers: readonly (readonly string[] | Error)[]): Resolver & { asked: number } {
  const resolver = Object.assign<Resolver, { asked: number }>(
    (_host, _options, found) => {
      const answer = answers[Math.min(resolver.asked, answers.length - 1)] ?? [];
      resolver.asked += 1;
      setImmediate(() => {
        if (answer instanceof Error) found(answer, []);
        else found(null, answer.map(addressOf));
      });
    },
    { asked: 0 },
  );
  return resolver;
}

function addressOf(address: string): LookupAddress {
  return { address, family: address.includes(':') ? 6 : 4 };
}

interface Prepared {
  readonly fixture: RuntimeFixture;
  readonly guard: AddressGuard;
  readonly flow: Flow;
  readonly route: Route;
}

async function prepare(
  port: number,
  resolver: Resolver,
  interception: Partial<MitmConfigInput['interception']> = {},
  given: { host?: string; own?: readonly { host: string; port: number }[] } = {},
): Promise<Prepared> {
  const fixture = await createRuntime({ config: { interception: { ...open, ...interception } } });
  const target = { host: given.host ?? 'name.test', port };
  const flow = fixture.openFlow(target);
  flow.emit('connect_received', {});
  flow.emit('connect_decision', { action: 'tunnel', reason: 'r' });
  const guard = new AddressGuard(new LoopGuard(() => given.own ?? []), resolver);
  return { fixture, guard, flow, route: planRoute(flow.config, target) };
}

async function dialled({ guard, flow, route }: Prepared): Promise<string> {
  try {
    const socket = await dial(route, { timeoutMs: 5_000, guard: guard.of(flow, route) });
    const { remoteAddress } = socket;
    await destroyed(socket);
    return remoteAddress ?? '';
  } catch (error) {
    if (error instanceof Failure) return `${error.reply?.status} ${error.reason} ${error.detail}`;
    throw error;
  }
}

const blocking = { privateTargetCheck: 'block' } as const;

describe('a name with refused addresses', () => {
  test.each([
    ['loopback', ['127.0.0.1']],
    ['loopback in another form', ['::ffff:127.0.0.1']],
    ['several kinds', ['10.0.0.1', 'fd00::1', '169.254.169.254']],
    ['NAT64 of loopback', ['64:ff9b::7f00:1']],
    ['everything and nothing', ['0.0.0.0', '::']],
  ])('%s is refused with 403, and dialled nowhere', async (_what, addresses) => {
    await using origin = await startTcpEcho({ ipv6: true });
    const prepared = await prepare(origin.port, resolverOf(addresses), blocking);
    expect(await dialled(prepared)).toBe('403 blocked private_target');
    expect(origin.connectionCount).toBe(0);
    const told = prepared.fixture.recorder.events().findLast(({ kind }) => kind === 'connect_decision');
    expect(told).toMatchObject({ action: 'block', reason: 'private_target', stage: 'address' });
  });

  test('is reached by those that are not', async () => {
    await using origin = await startTcpEcho({ ipv6: true });
    const prepared = await prepare(origin.port, resolverOf(['127.0.0.1', '::1']), {
      ...blocking,
      privateClasses: ['private', 'link_local'],
    });
    expect(await dialled(prepared)).toBe('127.0.0.1');
    const mixed = await prepare(origin.port, resolverOf(['10.9.9.9', '::1', 'fe80::1']), {
      ...blocking,
      privateClasses: ['private', 'link_local'],
    });
    expect(await dialled(mixed)).toBe('::1');
  });

  test('is reached where it is allowed by name', async () => {
    await using origin = await startTcpEcho();
    const allowed = { ...blocking, allowedPrivateTargets: [`name.test:${origin.port}`] };
    expect(await dialled(await prepare(origin.port, resolverOf(['127.0.0.1']), allowed))).toBe('127.0.0.1');
  });

  test('is only reported where the check warns', async () => {
    await using origin = await startTcpEcho();
    const prepared = await prepare(origin.port, resolverOf(['127.0.0.1']), { privateTargetCheck: 'warn' });
    expect(await dialled(prepared)).toBe('127.0.0.1');
    expect(prepared.fixture.recorder.events().at(-1)).toMatchObject({
      kind: 'connect_decision',
      stage: 'address',
      findings: 'private_target',
      address: '127.0.0.1',
      addressClass: 'loopback',
    });
  });

  test('is not looked at where the check is off', async () => {
    await using origin = await startTcpEcho();
    const prepared = await prepare(origin.port, resolverOf(['127.0.0.1']));
    const before = prepared.fixture.recorder.events().length;
    expect(await dialled(prepared)).toBe('127.0.0.1');
    expect(prepared.fixture.recorder.events()).toHaveLength(before);
  });
});

describe('a name whose answer changes (rebinding)', () => {
  test('is looked up once for a dial, and what was looked at is what is dialled', async () => {
    await using origin = await startTcpEcho({ ipv6: true });
    const resolver = resolverOf(['::1'], ['127.0.0.1']);
    const prepared = await prepare(origin.port, resolver, { ...blocking, privateClasses: ['private'] });
    expect(await dialled(prepared)).toBe('::1');
    expect(resolver.asked).toBe(1);
  });

  test('is judged anew when it is dialled anew', async () => {
    await using origin = await startTcpEcho({ ipv6: true });
    const resolver = resolverOf(['127.0.0.1'], ['::ffff:10.0.0.1']);
    const prepared = await prepare(origin.port, resolver, { ...blocking, privateClasses: ['private'] });
    expect(await dialled(prepared)).toBe('127.0.0.1');
    expect(await dialled(prepared)).toBe('403 blocked private_target');
  });

  test('is dialled where the policy was told, although its answer has changed since', async () => {
    await using origin = await startTcpEcho({ ipv6: true });
    const resolver = resolverOf(['::1'], ['127.0.0.1']);
    const prepared = await prepare(origin.port, resolver);
    const resolved = await prepared.guard.resolve(prepared.route.target, 5_000);
    expect(resolved).toMatchObject({ address: '::1', addressClass: 'loopback' });
    expect(await dialled({ ...prepared, route: { ...prepared.route, resolved } })).toBe('::1');
    expect(resolver.asked).toBe(1);
  });
});

describe('a name that turns out to be the proxy itself', () => {
  test.each([['127.0.0.1'], ['::ffff:127.0.0.1'], ['::1'], ['0.0.0.0']])('at %s: 508', async (address) => {
    await using origin = await startTcpEcho({ ipv6: true });
    const own = [{ host: '127.0.0.1', port: origin.port }];
    const prepared = await prepare(origin.port, resolverOf([address]), {}, { own });
    expect(await dialled(prepared)).toBe('508 route_planner_failed target is the proxy itself');
    expect(origin.connectionCount).toBe(0);
  });

  test('an address in its place is the same', async () => {
    const own = [{ host: '0.0.0.0', port: 8_080 }];
    const prepared = await prepare(8_080, resolverOf(), {}, { own, host: '127.9.9.9' });
    expect(await dialled(prepared)).toMatch(/^508 /);
  });

  test('also where another proxy would look it up', async () => {
    const resolver = resolverOf(['127.0.0.1']);
    const own = [{ host: '::', port: 8_080 }];
    const { guard } = await prepare(8_080, resolver, {}, { own });
    const refused = guard.refuseOwnName({ host: 'me.test', port: 8_080 }, 5_000);
    await expect(refused).rejects.toMatchObject({ reply: { status: 508 } });
    await guard.refuseOwnName({ host: 'me.test', port: 8_081 }, 5_000);
    expect(resolver.asked).toBe(1);
  });

  test('a name that means nothing here is not ours', async () => {
    const own = [{ host: '::', port: 8_080 }];
    const failing = resolverOf(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
    const { guard } = await prepare(8_080, failing, {}, { own });
    await expect(guard.refuseOwnName({ host: 'remote.test', port: 8_080 }, 5_000)).resolves.toBeUndefined();
  });
});

describe('what can not be looked up', () => {
  test('is a dial that failed', async () => {
    const failing = resolverOf(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
    expect(await dialled(await prepare(443, failing))).toBe(
      '502 upstream_connect_failed upstream_connect_failed[direct]: ENOTFOUND: no such name',
    );
    expect(await dialled(await prepare(443, resolverOf([])))).toMatch(/^502 .*ENOTFOUND/);
  });

  test('is told to whoever asks before the dial, also when it takes too long', async () => {
    const { guard } = await prepare(443, () => {});
    await expect(guard.resolve({ host: 'name.test', port: 443 }, 20)).rejects.toThrow(
      'timed out after 20 ms',
    );
  });
});

test('of several addresses the policy is told the least public one', async () => {
  const { guard } = await prepare(443, resolverOf(['1.1.1.1', '10.0.0.1', '127.0.0.1']));
  expect(await guard.resolve({ host: 'name.test', port: 443 }, 1_000)).toMatchObject({
    address: '10.0.0.1',
    addressClass: 'private',
  });
  expect(await guard.resolve({ host: '::ffff:169.254.169.254', port: 80 }, 1_000)).toMatchObject({
    addressClass: 'metadata',
  });
});
