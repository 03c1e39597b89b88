import { describe, expect, test } from 'vitest';

import { DestinationError } from '../src/destination.ts';
import {
  applyOverride,
  NO_OVERRIDE,
  Overrides,
  parseOverridePattern,
  type OverrideRule,
} from '../src/overrides.ts';

const rule: OverrideRule = {
  ruleId: 'r1',
  hostPattern: '*.example.test',
  forceTunnel: false,
  disableH2: false,
  strictHeaderMode: false,
  skipUpstreamVerify: false,
};

describe('which rule is found', () => {
  test.each([
    ['its own host', 'example.test', 'example.test', true],
    ['case and space make no difference', ' Example.TEST ', 'example.test', true],
    ['not what lies below a host', 'example.test', 'a.example.test', false],
    ['what lies below a suffix', '*.example.test', 'a.b.example.test', true],
    ['not the suffix itself', '*.example.test', 'example.test', false],
    ['an address', '[0:0::1]', '::1', true],
  ])('%s', (_rule, hostPattern, host, isFound) => {
    const only = { ...rule, hostPattern };
    expect(new Overrides([only]).find(host)).toBe(isFound ? only : undefined);
  });

  test('the first in list order that covers the host', () => {
    const first = { ...rule, ruleId: 'first' };
    const exact = { ...rule, ruleId: 'exact', hostPattern: 'a.example.test' };
    expect(new Overrides([first, exact]).find('a.example.test')?.ruleId).toBe('first');
    expect(new Overrides([exact, first]).find('a.example.test')?.ruleId).toBe('exact');
    expect(new Overrides([]).find('a.example.test')).toBeUndefined();
  });
});

describe('an override pattern is one host or a suffix', () => {
  test.each([
    ['nothing', '', 'empty_entry'],
    ['a port', 'example.test:443', 'invalid_port'],
    ['every port, which goes without saying', 'example.test:*', 'invalid_port'],
    ['every host', '*', 'loose_wildcard'],
    ['a star within', 'a*.example.test', 'loose_wildcard'],
    ['a second star', '*.a*.test', 'loose_wildcard'],
    ['a glued star', '*example.test', 'loose_wildcard'],
  ])('refused: %s', (_rule, hostPattern, code) => {
    expect(() => parseOverridePattern(hostPattern)).toThrow(expect.objectContaining({ code }));
    expect(() => new Overrides([{ ...rule, hostPattern }])).toThrow(DestinationError);
  });
});

describe('what an override does to a verdict', () => {
  const intercept = { action: 'intercept', reason: 'default_intercept' } as const;
  const all = {
    ...rule,
    forceTunnel: true,
    disableH2: true,
    strictHeaderMode: true,
    skipUpstreamVerify: true,
    responseLeniency: ['bare_lf', 'obs_fold'] as const,
  };

  test('CP-28 a forced tunnel tells its reason, its rule and all flags', () => {
    expect(applyOverride(intercept, all)).toEqual({
      action: 'tunnel',
      reason: 'compat_override_force_tunnel',
      override: all,
      disableH2: true,
      strictHeaderMode: true,
      skipUpstreamVerify: true,
      responseLeniency: ['bare_lf', 'obs_fold'],
    });
  });

  test('a rule that names no fault of response heads overlooks none', () => {
    expect(applyOverride(intercept, rule).responseLeniency).toEqual([]);
  });

  test('no rule leaves the verdict and sets no flag', () => {
    expect(applyOverride(intercept, undefined)).toEqual({
      ...intercept,
      override: undefined,
      ...NO_OVERRIDE,
    });
  });

  test('a block is never overridden, and its flags stay unset', () => {
    const block = { action: 'block', reason: 'blocked_host' } as const;
    expect(applyOverride(block, all)).toEqual({ ...block, override: undefined, ...NO_OVERRIDE });
  });

  test.each([
    ['the default reason becomes that of the override', 'default_intercept', 'compat_override'],
    ['another reason stays', 'interception_scope_match', 'interception_scope_match'],
  ])('without a forced tunnel %s', (_rule, reason, after) => {
    const decision = applyOverride({ action: 'intercept', reason }, { ...rule, disableH2: true });
    expect(decision).toMatchObject({
      action: 'intercept',
      reason: after,
      disableH2: true,
      skipUpstreamVerify: false,
    });
  });

  test('a tunnel stays one', () => {
    const tunnel = { action: 'tunnel', reason: 'ignored_host' } as const;
    expect(applyOverride(tunnel, { ...rule, skipUpstreamVerify: true })).toMatchObject(tunnel);
  });

  test('the flags of no override cannot be changed by accident', () => {
    expect(Object.isFrozen(NO_OVERRIDE)).toBe(true);
    expect(Object.isFrozen(NO_OVERRIDE.responseLeniency)).toBe(true);
  });
});
