// The facts of a decision, as its event tells them.
import { applyOverride, type OverrideRule } from 'mitm-policy';
import { expect, test } from 'vitest';

import { decisionPayload } from '../../src/lanes/decision.ts';

const rule: OverrideRule = {
  ruleId: 'r1',
  hostPattern: '*.example.org',
  forceTunnel: true,
  disableH2: true,
  strictHeaderMode: false,
  skipUpstreamVerify: true,
};

test('CP-09 a decision without an override tells its action and reason, and nothing else', () => {
  const decision = applyOverride({ action: 'tunnel', reason: 'ignored_host' }, undefined);
  expect(decisionPayload(decision)).toEqual({ action: 'tunnel', reason: 'ignored_host' });
});

test('the stage is told where the decision is not the first one', () => {
  const decision = applyOverride({ action: 'block', reason: 'blocked_host' }, undefined);
  expect(decisionPayload(decision, 'client_hello')).toEqual({
    action: 'block',
    reason: 'blocked_host',
    stage: 'client_hello',
  });
});

test('CP-28 an override that took part is told with its pattern and flags', () => {
  const decision = applyOverride({ action: 'intercept', reason: 'interception_scope_match' }, rule);
  expect(decisionPayload(decision)).toEqual({
    action: 'tunnel',
    reason: 'compat_override_force_tunnel',
    overrideRuleId: 'r1',
    overrideHostPattern: '*.example.org',
    overrideForceTunnel: true,
    overrideDisableH2: true,
    overrideStrictHeaderMode: false,
    overrideSkipUpstreamVerify: true,
  });
});
