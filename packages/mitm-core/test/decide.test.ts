import {
  DestinationPolicy,
  Overrides,
  type OverrideRule,
  type PolicyEngine,
  type PolicyInput,
} from 'mitm-policy';
import { describe, expect, test } from 'vitest';

import { decide, decideBoth, type Rules } from '../src/decide.ts';

const noOverride: OverrideRule = {
  ruleId: 'r1',
  hostPattern: 'legacy.test',
  forceTunnel: false,
  disableH2: false,
  strictHeaderMode: false,
  skipUpstreamVerify: false,
};

function rules(...overrides: readonly OverrideRule[]): Rules {
  return {
    policy: new DestinationPolicy({
      destinations: ['listed.test:443', 'legacy.test:443'],
      ignoreHosts: ['ignored.test'],
      blockedHosts: ['blocked.test'],
      passthroughUnlisted: true,
    }),
    overrides: new Overrides(overrides),
  };
}

const never = (text: string): never => {
  throw new Error(`no policy failed: ${text}`);
};

describe('one name', () => {
  test.each([
    ['listed.test', 'intercept', 'interception_scope_match'],
    ['ignored.test', 'tunnel', 'ignored_host'],
    ['blocked.test', 'block', 'blocked_host'],
    ['other.test', 'tunnel', 'passthrough_unlisted'],
  ])('%s: %s, %s', (host, action, reason) => {
    expect(decide(rules(), { host, port: 443 }, never)).toMatchObject({
      action,
      reason,
      override: undefined,
    });
  });

  test('the override of the host is applied to the verdict', () => {
    const rule = { ...noOverride, disableH2: true };
    const decision = decide(rules(rule), { host: 'legacy.test', port: 443 }, never);
    expect(decision).toMatchObject({ action: 'intercept', override: rule, disableH2: true });
  });

  test('an override never lifts a block', () => {
    const rule = { ...noOverride, hostPattern: 'blocked.test', forceTunnel: true };
    expect(decide(rules(rule), { host: 'blocked.test', port: 443 }, never).action).toBe('block');
  });
});

describe('two names: the stricter verdict wins', () => {
  test.each([
    ['listed.test', 'blocked.test', 'block'],
    ['blocked.test', 'listed.test', 'block'],
    ['ignored.test', 'listed.test', 'intercept'],
    ['listed.test', 'ignored.test', 'intercept'],
    ['ignored.test', 'other.test', 'tunnel'],
    ['ignored.test', 'blocked.test', 'block'],
  ])('%s with %s: %s', (host, other, action) => {
    const decision = decideBoth(rules(), { host, port: 443 }, { host: other, port: 443 }, never);
    expect(decision.action).toBe(action);
  });

  test('the second port counts too', () => {
    const input = { host: 'ignored.test', port: 443 };
    expect(decideBoth(rules(), input, { host: 'listed.test', port: 8443 }, never).action).toBe('tunnel');
  });

  test('the override is that of the name that is dialled', () => {
    const rule = { ...noOverride, skipUpstreamVerify: true };
    const other = { host: 'legacy.test', port: 443 };
    const dialled = { host: 'listed.test', port: 443 };
    expect(decideBoth(rules(rule), dialled, other, never).skipUpstreamVerify).toBe(false);
    expect(decideBoth(rules(rule), other, dialled, never).skipUpstreamVerify).toBe(true);
  });

  const seen: PolicyInput[] = [];
  const recording: Rules = {
    overrides: new Overrides([]),
    policy: {
      decide: (input) => {
        seen.push(input);
        return { action: 'intercept', reason: 'mine' };
      },
    },
  };

  test.each<[string, PolicyInput, PolicyInput]>([
    [
      'both are judged with the facts that are known',
      { host: 'a.test', port: 443, sni: 'b.test', process: { pid: 7 } },
      { host: 'b.test', port: 8443, sni: 'b.test', process: { pid: 7 } },
    ],
    [
      'what is known of the address is not said of the other name',
      { host: 'a.test', port: 443, address: '10.0.0.1', addressClass: 'private' },
      { host: 'b.test', port: 8443 },
    ],
  ])('%s', (_rule, input, asOther) => {
    seen.length = 0;
    decideBoth(recording, input, { host: 'b.test', port: 8443 }, never);
    expect(seen).toEqual([input, asOther]);
  });

  test('a fact that is computed when it is read is not read on the way', () => {
    const reads: string[] = [];
    const policy: PolicyEngine = {
      decide: (input) => ({
        action: 'intercept',
        reason: input.host === 'b.test' ? `read ${input.ja4}` : 'unread',
      }),
    };
    const input = {
      host: 'a.test',
      port: 443,
      get ja4() {
        reads.push('ja4');
        return 't13';
      },
    };
    const asking: Rules = { policy, overrides: new Overrides([]) };
    decideBoth(asking, input, { host: 'c.test', port: 443 }, never);
    expect(reads).toEqual([]);
    decideBoth(asking, input, { host: 'b.test', port: 443 }, never);
    expect(reads).toEqual(['ja4']);
  });
});

describe('a policy that throws blocks', () => {
  const policy: PolicyEngine = {
    decide: (input) => {
      if (input.host === 'bad.test') throw new Error('boom');
      return { action: 'tunnel', reason: 'mine' };
    },
  };
  const broken: Rules = { policy, overrides: new Overrides([]) };
  const good = { host: 'good.test', port: 443 };
  const bad = { host: 'bad.test', port: 443 };

  test('its one name', () => {
    const errors: string[] = [];
    expect(decide(broken, bad, (text) => errors.push(text))).toMatchObject({
      action: 'block',
      reason: 'policy_error',
    });
    expect(errors).toEqual(['boom']);
  });

  test.each([
    ['the first', bad, good],
    ['the second', good, bad],
  ])('%s of two names', (_which, first, second) => {
    const errors: string[] = [];
    expect(decideBoth(broken, first, second, (text) => errors.push(text)).reason).toBe('policy_error');
    expect(errors).toEqual(['boom']);
  });
});
