// The ways through the proxy on which an `await` is let fail, one after the other: every lane and protocol, and what makes the proxy
// wait for more: a log, a policy, a client's process, a name, a second try, a lack of room.
import type { MitmConfigInput } from 'soth-mitm';

import { type Scenario, type Way, ways } from '../chaos/scenario.ts';

export interface NamedScenario {
  readonly name: string;
  readonly scenario: Scenario;
}

/** Whoever waits as long has been forgotten. */
export const patienceMs = 3_000;

const intercepted: Way = { client: 'http1', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http1' };
const plain: Way = { client: 'http1', lane: 'forward', origin: 'http1' };

function scenarioOf(way: Way, config: Partial<MitmConfigInput>, changes: Partial<Scenario> = {}): Scenario {
  return {
    // The clients' choices go by it: some bodies, and more than one connection.
    seed: 5,
    way,
    fault: undefined,
    mood: 'slow',
    policy: 'configured',
    config: {
      ...(way.isBridged === true && { http2Bridge: true }),
      ...config,
      interception: {
        destinations: ['*:*'],
        ...(way.lane === 'tunnel' && { ignoreHosts: ['localhost'] }),
        ...config.interception,
      },
    },
    shutdown: undefined,
    abandonPercent: 0,
    isUnreachable: false,
    mustSucceed: false,
    patienceMs,
    isTampering: false,
    ...changes,
  };
}

/** @param folder where logs are written, one for each scenario */
export function faultScenarios(folder: string, keyPath: string): readonly NamedScenario[] {
  const lanes = ways.map((way) => ({
    name: `${way.client} by ${way.lane} to ${way.origin}${way.isBridged === true ? ' bridged' : ''}`,
    scenario: scenarioOf(way, {}),
  }));
  const log = (name: string): Partial<MitmConfigInput> => ({
    eventLog: { path: `${folder}/${name}.jsonl`, rotateBytes: 2_000, hmacKeyPath: keyPath },
  });
  return [
    ...lanes,
    { name: 'with a log', scenario: scenarioOf(intercepted, log('intercepted'), { mayLoseEvents: true }) },
    { name: 'with a policy of its own', scenario: scenarioOf(intercepted, {}, { policy: 'faulty' }) },
    {
      name: 'with names looked up',
      scenario: scenarioOf(intercepted, {
        interception: { destinations: ['*:*'], privateTargetCheck: 'warn' },
      }),
    },
    {
      name: 'with a second try',
      scenario: scenarioOf(
        plain,
        { upstream: { retryOnFailure: true, retryDelayMs: 1, connectTimeoutMs: 500 } },
        { isUnreachable: true },
      ),
    },
    {
      name: 'with an unreachable origin of a CONNECT',
      scenario: scenarioOf(intercepted, {}, { isUnreachable: true }),
    },
    { name: 'with hardly any room', scenario: scenarioOf(intercepted, { maxInFlightBytes: 70_000 }) },
    { name: 'with room for one client', scenario: scenarioOf(plain, { maxConcurrentFlows: 1 }) },
    { name: 'in monitor mode', scenario: scenarioOf(intercepted, { interceptMode: 'monitor' }) },
    { name: 'with back-off', scenario: scenarioOf(intercepted, { tls: { backoff: { mode: 'on' } } }) },
  ];
}
