import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { DestinationError } from '../src/destination.ts';
import {
  DefaultPolicy,
  DestinationPolicy,
  flowActions,
  policyReasons,
  stricterVerdict,
  type FlowAction,
} from '../src/policy.ts';

describe('the default policy intercepts all but its exceptions', () => {
  const policy = new DefaultPolicy({
    ignoreHosts: [
      'pinned.example.test',
      'both.example.test',
      '*.pinned.example.test',
      'some.example.test:8443',
    ],
    blockedHosts: ['blocked.example.test', 'both.example.test', '[2001:db8::1]'],
  });

  test.each([
    ['CP-09 a host that no list names', 'api.example.test', 'intercept', 'default_intercept'],
    ['CP-09 an ignored host', 'pinned.example.test', 'tunnel', 'ignored_host'],
    ['CP-09 a blocked host', 'blocked.example.test', 'block', 'blocked_host'],
    ['CP-27 a host known to pin, by pattern', 'a.pinned.example.test', 'tunnel', 'ignored_host'],
    ['blocked goes before ignored', 'both.example.test', 'block', 'blocked_host'],
    ['a blocked address', '2001:db8::1', 'block', 'blocked_host'],
    ['an entry with a port leaves the others alone', 'some.example.test', 'intercept', 'default_intercept'],
  ])('%s', (_rule, host, action, reason) => {
    expect(policy.decide({ host, port: 443 })).toEqual({ action, reason });
  });

  test('an entry with a port holds for that port', () => {
    expect(policy.decide({ host: 'some.example.test', port: 8443 }).reason).toBe('ignored_host');
  });

  test('without options everything is intercepted', () => {
    expect(new DefaultPolicy().decide({ host: 'a', port: 1 }).reason).toBe('default_intercept');
  });
});

describe('the destination policy intercepts what is listed', () => {
  const lists = {
    destinations: [
      'api.example.test:443',
      'gw*.example.test:443',
      'gw1.example.test:443',
      '*.ignored.test:*',
    ],
    ignoreHosts: ['*.ignored.test'],
    blockedHosts: ['no.ignored.test', 'gw-no.example.test'],
  };
  const closed = new DestinationPolicy(lists);
  const open = new DestinationPolicy({ ...lists, passthroughUnlisted: true });

  test.each([
    ['CP-36 a listed host', 'api.example.test', 443, 'intercept', 'interception_scope_match'],
    [
      'CP-37 a host that a pattern covers',
      'gw.eu.example.test',
      443,
      'intercept',
      'interception_scope_match',
    ],
    ['CP-39 a host that two rules cover', 'gw1.example.test', 443, 'intercept', 'interception_scope_match'],
    ['ignored goes before destinations', 'a.ignored.test', 443, 'tunnel', 'ignored_host'],
    ['blocked goes before ignored', 'no.ignored.test', 443, 'block', 'blocked_host'],
    ['blocked goes before destinations', 'gw-no.example.test', 443, 'block', 'blocked_host'],
  ])('%s, whatever happens to others', (_rule, host, port, action, reason) => {
    expect(closed.decide({ host, port })).toEqual({ action, reason });
    expect(open.decide({ host, port })).toEqual({ action, reason });
  });

  test.each([
    ['CP-40 another host', 'other.example.test', 443],
    ['another port', 'api.example.test', 8443],
    ['CP-38 another port under a pattern', 'gw2.example.test', 80],
  ])('%s is blocked, or tunnelled where unlisted hosts may pass', (_rule, host, port) => {
    expect(closed.decide({ host, port })).toEqual({ action: 'block', reason: 'destination_not_allowed' });
    expect(open.decide({ host, port })).toEqual({ action: 'tunnel', reason: 'passthrough_unlisted' });
  });

  test('everything can be listed', () => {
    const policy = new DestinationPolicy({ destinations: ['*:*'] });
    expect(policy.decide({ host: '::1', port: 1 }).action).toBe('intercept');
  });

  test('an empty list is an error that says how to name everything', () => {
    expect(() => new DestinationPolicy({ destinations: [] })).toThrow(/"\*:\*"/);
  });

  test.each([
    ['destinations', { destinations: ['nowhere'] }],
    ['ignoreHosts', { destinations: ['*:*'], ignoreHosts: ['*x.test'] }],
    ['blockedHosts', { destinations: ['*:*'], blockedHosts: [''] }],
  ])('an unreadable entry in %s is an error at once', (_list, options) => {
    expect(() => new DestinationPolicy(options)).toThrow(DestinationError);
  });
});

test('every reason of the two engines is in the list', () => {
  const policy = new DestinationPolicy({ destinations: ['a:1'], ignoreHosts: ['b'], blockedHosts: ['c'] });
  for (const host of ['a', 'b', 'c', 'd']) {
    expect(policyReasons).toContain(policy.decide({ host, port: 1 }).reason);
  }
});

const verdict = (action: FlowAction) => ({ action, reason: `because_${action}` });

describe('the stricter of two verdicts', () => {
  test.each([
    ['block', 'intercept', 'block'],
    ['block', 'tunnel', 'block'],
    ['intercept', 'tunnel', 'intercept'],
  ] as const)('of %s and %s is %s', (a, b, stricter) => {
    expect(stricterVerdict(verdict(a), verdict(b)).action).toBe(stricter);
    expect(stricterVerdict(verdict(b), verdict(a)).action).toBe(stricter);
  });

  test('is the first where they are equal, with its reason', () => {
    fc.assert(
      fc.property(fc.constantFrom(...flowActions), (action) => {
        const first = verdict(action);
        expect(stricterVerdict(first, { ...verdict(action), reason: 'second' })).toBe(first);
      }),
    );
  });
});
