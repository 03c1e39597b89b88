// Who is remembered as refusing our certificate, and when that counts.
import { type Flow, type InterceptMode, type MitmConfigInput, type ProcessInfo } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { isBackoffOn } from '../../src/handshake/tls-memory.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';

const target = { host: 'example.org', port: 443 };

function runtimeWith(
  interceptMode: InterceptMode,
  backoff: NonNullable<MitmConfigInput['tls']>['backoff'] = {},
): Promise<RuntimeFixture> {
  return createRuntime({ config: { interceptMode, tls: { backoff } } });
}

test.each([
  ['enforce', 'auto', false],
  ['monitor', 'auto', true],
  ['enforce', 'on', true],
  ['monitor', 'off', false],
] as const)('in %s with mode %s it is on: %s', async (interceptMode, mode, isOn) => {
  const { engine } = await runtimeWith(interceptMode, { mode });
  expect(isBackoffOn(engine.config)).toBe(isOn);
});

test('the third strike lets the client through, and is told on its flow', async () => {
  const { runtime, openFlow, recorder, engine } = await runtimeWith('monitor', { ttlMs: 5_000 });
  for (let count = 0; count < 3; count += 1) runtime.tls.strike(openFlow(target));
  expect(recorder.events()).toMatchObject([
    {
      kind: 'tls_backoff_started',
      backoffClient: 'address:127.0.0.1',
      backoffHost: 'example.org',
      strikes: 3,
      ttlMs: 5_000,
    },
  ]);
  expect(await runtime.tls.isLetThrough(openFlow(target))).toBe(true);
  expect(await runtime.tls.isLetThrough(openFlow({ host: 'www.example.org', port: 443 }))).toBe(false);
  expect(engine.snapshot().tlsBackoffStartedCount).toBe(1);
  expect(runtime.tls.snapshot().backoff).toMatchObject([{ host: 'example.org', isLetThrough: true }]);
});

test('in enforce, no number of strikes is even remembered', async () => {
  const { runtime, openFlow, recorder } = await runtimeWith('enforce');
  for (let count = 0; count < 100; count += 1) runtime.tls.strike(openFlow(target));
  expect(runtime.tls.backoff.isEmpty).toBe(true);
  expect(recorder.events()).toEqual([]);
});

test('switched off by a reload, nobody is let through any more', async () => {
  const { runtime, openFlow, engine } = await runtimeWith('monitor');
  for (let count = 0; count < 3; count += 1) runtime.tls.strike(openFlow(target));
  engine.reload({ ...engine.config, interceptMode: 'enforce' });
  expect(await runtime.tls.isLetThrough(openFlow(target))).toBe(false);
});

describe('a client is', () => {
  const one: ProcessInfo = { pid: 7, exePath: '/usr/bin/app', exeName: 'app' };
  test.each<[string, ProcessInfo | undefined, string]>([
    ['its program', one, 'program:/usr/bin/app'],
    [
      'its process, by number and name where the file is not known',
      { pid: 7, exeName: 'app' },
      'process:7 app',
    ],
    ['its process, by number where nothing else is known', { pid: 7 }, 'process:7'],
    ['its address where no process is known', undefined, 'address:127.0.0.1'],
  ])('%s', async (_rule, process, client) => {
    const { runtime, openFlow } = await runtimeWith('monitor');
    const flow = openFlow(target);
    flow.connection.processInfo = process;
    runtime.tls.strike(flow);
    expect(runtime.tls.snapshot().backoff).toMatchObject([{ client, strikes: 1, isLetThrough: false }]);
  });

  test('the same however often its program is started, and no other one', async () => {
    const { runtime, openFlow } = await runtimeWith('monitor');
    const flowOf = (processInfo: ProcessInfo): Flow => {
      const flow = openFlow(target);
      flow.connection.processInfo = processInfo;
      return flow;
    };
    for (const pid of [7, 8, 9]) runtime.tls.strike(flowOf({ ...one, pid }));
    expect(await runtime.tls.isLetThrough(flowOf({ ...one, pid: 10 }))).toBe(true);
    expect(await runtime.tls.isLetThrough(flowOf({ pid: 7, exePath: '/usr/bin/other' }))).toBe(false);
    expect(await runtime.tls.isLetThrough(flowOf({ pid: 7, exeName: 'app' }))).toBe(false);
  });

  test('known by its process when that is found late', async () => {
    const { runtime, openFlow } = await runtimeWith('monitor');
    for (let count = 0; count < 3; count += 1) {
      const flow = openFlow(target);
      flow.connection.processInfo = one;
      runtime.tls.strike(flow);
    }
    const late = openFlow(target);
    late.connection.attributed = Promise.resolve().then(() => {
      late.connection.processInfo = one;
    });
    expect(await runtime.tls.isLetThrough(late)).toBe(true);
    expect(await runtime.tls.isLetThrough(openFlow(target))).toBe(false);
  });
});

test('a served request forgets the strikes before it', async () => {
  const { runtime, openFlow } = await runtimeWith('monitor');
  for (let count = 0; count < 2; count += 1) runtime.tls.strike(openFlow(target));
  runtime.tls.served(openFlow(target));
  expect(runtime.tls.backoff.isEmpty).toBe(true);
});

test('an error is news once', async () => {
  const { runtime } = await runtimeWith('enforce');
  const error = new Error('late alert');
  expect([runtime.tls.isNews(error), runtime.tls.isNews(error)]).toEqual([true, false]);
});
