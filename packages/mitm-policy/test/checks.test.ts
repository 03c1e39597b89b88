// What the built-in checks find, and when a finding refuses.
import { describe, expect, test } from 'vitest';

import { TargetChecks, type TargetChecksOptions } from '../src/checks.ts';
import type { PolicyInput } from '../src/policy.ts';

const off: TargetChecksOptions = {
  sniCheck: 'off',
  ipLiteralCheck: 'off',
  privateTargetCheck: 'off',
  privateClasses: ['loopback', 'private', 'metadata'],
  allowedPrivateTargets: [],
};

interface Row {
  readonly rule: string;
  readonly options: Partial<TargetChecksOptions>;
  readonly input: Partial<PolicyInput>;
  readonly findings: readonly string[] | undefined;
}

const rows: readonly Row[] = [
  {
    rule: 'everything is off',
    options: {},
    input: { host: '127.0.0.1', sni: 'a.test' },
    findings: undefined,
  },
  { rule: 'a name is no address', options: { ipLiteralCheck: 'warn' }, input: {}, findings: undefined },
  {
    rule: 'an IPv4 address',
    options: { ipLiteralCheck: 'warn' },
    input: { host: '1.1.1.1' },
    findings: ['ip_literal'],
  },
  {
    rule: 'an IPv6 address',
    options: { ipLiteralCheck: 'warn' },
    input: { host: '2606::1' },
    findings: ['ip_literal'],
  },
  {
    rule: 'a private address as target',
    options: { privateTargetCheck: 'warn' },
    input: { host: '10.0.0.1' },
    findings: ['private_target'],
  },
  {
    rule: 'a private address in another form',
    options: { privateTargetCheck: 'warn' },
    input: { host: '::ffff:127.0.0.1' },
    findings: ['private_target'],
  },
  {
    rule: 'a public address',
    options: { privateTargetCheck: 'warn' },
    input: { host: '1.1.1.1' },
    findings: undefined,
  },
  {
    rule: 'a kind that is not listed',
    options: { privateTargetCheck: 'warn' },
    input: { host: '224.0.0.1' },
    findings: undefined,
  },
  {
    rule: 'a name that was looked up',
    options: { privateTargetCheck: 'warn' },
    input: { addressClass: 'metadata' },
    findings: ['private_target'],
  },
  {
    rule: 'an allowed name that was looked up',
    options: { privateTargetCheck: 'warn', allowedPrivateTargets: ['*.test:443'] },
    input: { addressClass: 'private' },
    findings: undefined,
  },
  {
    rule: 'a server name of another host',
    options: { sniCheck: 'warn' },
    input: { sni: 'other.test' },
    findings: ['sni_mismatch'],
  },
  {
    rule: 'a server name of the host',
    options: { sniCheck: 'warn' },
    input: { sni: 'a.test' },
    findings: undefined,
  },
  {
    rule: 'a server name judged in its own right counts against the connection',
    options: { sniCheck: 'warn' },
    input: { host: 'other.test', connectHost: 'a.test', sni: 'other.test' },
    findings: ['sni_mismatch'],
  },
  {
    rule: 'several at once',
    options: { sniCheck: 'warn', ipLiteralCheck: 'warn', privateTargetCheck: 'warn' },
    input: { host: '127.0.0.1', sni: 'a.test' },
    findings: ['ip_literal', 'private_target', 'sni_mismatch'],
  },
];

describe('findings', () => {
  test.each(rows)('$rule', ({ options, input, findings }) => {
    const result = new TargetChecks({ ...off, ...options }).judge({ host: 'a.test', port: 443, ...input });
    expect(result?.findings).toEqual(findings);
    expect(result?.blockedBy).toBeUndefined();
  });
});

test('only what is set to block refuses, and the first such finding names it', () => {
  const checks = new TargetChecks({
    ...off,
    ipLiteralCheck: 'warn',
    privateTargetCheck: 'block',
    sniCheck: 'block',
  });
  expect(checks.judge({ host: '10.0.0.1', port: 1, sni: 'b.test' })).toEqual({
    findings: ['ip_literal', 'private_target', 'sni_mismatch'],
    blockedBy: 'private_target',
  });
  expect(checks.judge({ host: '1.1.1.1', port: 1 })).toEqual({
    findings: ['ip_literal'],
    blockedBy: undefined,
  });
  expect(checks.privateTargetMode).toBe('block');
});

test('an allowed target is asked for by name and port', () => {
  const checks = new TargetChecks({
    ...off,
    privateTargetCheck: 'block',
    allowedPrivateTargets: ['db.test:5432'],
  });
  expect(checks.isPrivate({ host: 'db.test', port: 5_432 }, 'private')).toBe(false);
  expect(checks.isPrivate({ host: 'db.test', port: 22 }, 'private')).toBe(true);
});
