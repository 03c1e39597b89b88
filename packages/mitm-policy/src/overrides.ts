// Exceptions for hosts that cannot bear the usual treatment, and how they change a verdict. An override can loosen or
// adapt an interception; it never lifts a block.
import type { HeadLeniency } from 'mitm-http';

import type { CheckName } from './checks.ts';
import { DestinationError, parseHostRule, type Destination } from './destination.ts';
import { HostMatcher } from './host-matcher.ts';
import type { Verdict } from './policy.ts';

/** What an override may change in how a flow is handled once it is decided. */
export interface OverrideFlags {
  /** HTTP/2 is offered to neither side. */
  readonly disableH2: boolean;
  /** HTTP/1 heads are read by the strict rules. */
  readonly strictHeaderMode: boolean;
  /** The origin's certificate is not verified. */
  readonly skipUpstreamVerify: boolean;
  /** Faults of the origin's response heads that are repaired instead of refused; none unless given. */
  readonly responseLeniency?: readonly HeadLeniency[];
}

/** An exception for the hosts that `hostPattern` covers. */
export interface OverrideRule extends OverrideFlags {
  /** Names the rule in events and logs. */
  readonly ruleId: string;
  /** A host, or `*.suffix` for everything below `suffix` (not `suffix` itself). */
  readonly hostPattern: string;
  /** The flow is tunnelled instead of intercepted. */
  readonly forceTunnel: boolean;
}

/** A verdict after overrides: what to do with the flow, why, and with which exceptions. */
export interface Decision extends Verdict, OverrideFlags {
  /** What the built-in checks found, whether it was refused or only told. */
  readonly findings?: readonly CheckName[] | undefined;
  /** The rule that was applied. */
  readonly override?: OverrideRule | undefined;
}

/** The flags of a decision that no override touches. */
export const NO_OVERRIDE: OverrideFlags = Object.freeze({
  disableH2: false,
  strictHeaderMode: false,
  skipUpstreamVerify: false,
  responseLeniency: Object.freeze([]),
});

/**
 * Reads the host pattern of an override: one host, or `*.suffix` with no further `*`, without a port.
 * Throws `DestinationError`.
 */
export function parseOverridePattern(text: string): Destination {
  const rule = parseHostRule(text);
  if (rule.port !== '*' || text.trim().endsWith(':*')) {
    throw new DestinationError(
      'invalid_port',
      text,
      'has a port; an override holds for every port of its host',
    );
  }
  if (rule.kind === 'pattern' && (!rule.host.startsWith('*.') || rule.host.includes('*', 1))) {
    throw new DestinationError(
      'loose_wildcard',
      text,
      'is no override pattern; write one host, or "*.example.org"',
    );
  }
  return rule;
}

// Override patterns hold for every port, so that the port asked for makes no difference.
const anyPort = 0;

/** Override rules in the order of their list. */
export class Overrides {
  readonly #rules: readonly { readonly rule: OverrideRule; readonly hosts: HostMatcher }[];

  /** Throws `DestinationError` for the first pattern that cannot be read. */
  constructor(rules: readonly OverrideRule[]) {
    this.#rules = rules.map((rule) => ({
      rule,
      hosts: new HostMatcher([parseOverridePattern(rule.hostPattern)]),
    }));
  }

  /** The first rule whose pattern covers this canonical host. */
  find(host: string): OverrideRule | undefined {
    for (const { rule, hosts } of this.#rules) {
      if (hosts.match(host, anyPort) !== undefined) return rule;
    }
    return undefined;
  }
}

/**
 * Applies an override to a verdict. A block stays as it is; `forceTunnel` turns anything else into a tunnel; the reason
 * `default_intercept` becomes `compat_override`, others stay.
 */
export function applyOverride(verdict: Verdict, rule: OverrideRule | undefined): Decision {
  const { action, reason } = verdict;
  if (rule === undefined || action === 'block')
    return { action, reason, override: undefined, ...NO_OVERRIDE };
  const { disableH2, strictHeaderMode, skipUpstreamVerify, responseLeniency = [] } = rule;
  const flags = { override: rule, disableH2, strictHeaderMode, skipUpstreamVerify, responseLeniency };
  if (rule.forceTunnel) return { action: 'tunnel', reason: 'compat_override_force_tunnel', ...flags };
  return { action, reason: reason === 'default_intercept' ? 'compat_override' : reason, ...flags };
}
