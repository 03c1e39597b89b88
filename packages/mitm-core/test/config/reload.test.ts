// What a reload changes, and what it may not change.
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { planReload } from '../../src/config/reload.ts';
import { minimal } from './problems.ts';

const tls = { caCertPath: 'c.pem', caKeyPath: 'k.pem' };
const override = { ruleId: 'r', hostPattern: 'a.test', disableH2: true };
const current = parseConfig({ ...minimal, tls, eventLog: { path: 'a' }, compatibilityOverrides: [override] });

test('nothing changes between equal configurations', () => {
  expect(planReload(current, structuredClone(current))).toEqual({ changed: [], needsRestart: [] });
});

test.each([
  ['the listen address', { bind: '127.0.0.1:8081' }, ['bind'], ['bind']],
  ['a further listener', { listeners: [{ fd: 3 }] }, ['listeners'], ['listeners']],
  ['the Unix socket', { unixSocketPath: '/tmp/s' }, ['unixSocketPath'], ['unixSocketPath']],
  ['a CA file', { tls: { ...tls, caKeyPath: 'other' } }, ['tls.caKeyPath'], ['tls.caKeyPath']],
  [
    'destinations, as one list',
    { interception: { destinations: ['b.test:1'] } },
    ['interception.destinations'],
    [],
  ],
  [
    'an item of a list',
    { compatibilityOverrides: [{ ...override, disableH2: false, forceTunnel: true }] },
    ['compatibilityOverrides'],
    [],
  ],
  ['a field of a section', { upstream: { timeoutMs: 1 } }, ['upstream.timeoutMs'], []],
  ['other TLS settings', { tls: { ...tls, minVersion: 'tls1.3' } }, ['tls.minVersion'], []],
  [
    'a field that was not there',
    { processAttribution: { cacheTtlMs: 1 } },
    ['processAttribution.cacheTtlMs'],
    [],
  ],
  ['a field of what is there only when given', { eventLog: { path: 'b' } }, ['eventLog.path'], []],
  ['something removed', { eventLog: undefined }, ['eventLog'], []],
  ['a listener for metrics', { admin: {} }, ['admin'], []],
  [
    'what follows from another field',
    { handler: { responseTimeoutMs: 1 } },
    [
      'handler.responseTimeoutMs',
      'flowRuntime.dispatchQueueSendTimeoutMs',
      'flowRuntime.dispatchCloseJoinTimeoutMs',
    ],
    [],
  ],
  [
    'several fields',
    { bind: '[::1]:0', routeMode: 'reverse', reverseUpstream: { host: 'r', port: 1 } },
    ['bind', 'routeMode', 'reverseUpstream'],
    ['bind'],
  ],
])('%s', (_what, fields, changed, needsRestart) => {
  const next = parseConfig({
    ...minimal,
    tls,
    eventLog: { path: 'a' },
    compatibilityOverrides: [override],
    ...fields,
  });
  expect(planReload(current, next)).toEqual({ changed, needsRestart });
});
