// What may become of a target: the policy's verdict with the per-host override applied. A policy that throws blocks.
import {
  applyOverride,
  type Decision,
  type Overrides,
  type PolicyEngine,
  type PolicyInput,
  stricterVerdict,
  type TargetChecks,
  type Verdict,
} from 'mitm-policy';

import type { MitmConfig } from './config/index.ts';
import { errorText } from './failure.ts';
import type { RoutePlanner } from './route.ts';

/** The rules a flow is judged by. */
export interface Rules {
  readonly policy: PolicyEngine;
  readonly overrides: Overrides;
  /** The built-in doubts; none unless given. */
  readonly checks?: TargetChecks | undefined;
}

/** All rules that a flow is born with. */
export interface FlowRules extends Rules {
  readonly checks: TargetChecks;
  readonly routes: RoutePlanner;
}

/** A configuration and the rules made from it. A reload replaces the whole object, so that a flow goes by all of one. */
export interface Settings {
  readonly config: MitmConfig;
  readonly rules: FlowRules;
}

/** Judges one target. `onPolicyError` hears of a policy engine that threw; the verdict is then block `policy_error`. */
export function decide(rules: Rules, input: PolicyInput, onPolicyError: (text: string) => void): Decision {
  return withOverride(rules, input, verdictOf(rules.policy, input, onPolicyError));
}

/**
 * Judges a target under two names, the one that was asked for and one that turned up later (SNI, Host); the stricter
 * verdict wins, so that naming another host can never loosen anything.
 */
export function decideBoth(
  rules: Rules,
  input: PolicyInput,
  other: { readonly host: string; readonly port: number },
  onPolicyError: (text: string) => void,
): Decision {
  const first = verdictOf(rules.policy, input, onPolicyError);
  const second = verdictOf(rules.policy, underOtherName(input, other), onPolicyError);
  return withOverride(rules, input, stricterVerdict(first, second));
}

/** The same facts of another host. Those that are computed when they are read are not read here. */
function underOtherName(
  input: PolicyInput,
  { host, port }: { readonly host: string; readonly port: number },
): PolicyInput {
  const unknown = { value: undefined, enumerable: true };
  return Object.create(Object.prototype, {
    ...Object.getOwnPropertyDescriptors(input),
    host: { value: host, enumerable: true },
    port: { value: port, enumerable: true },
    // What is known of the target's address says nothing of a host that only shares its name with it.
    address: unknown,
    addressClass: unknown,
  });
}

/** What the built-in checks refuse, no list and no override lets through. */
function withOverride(rules: Rules, input: PolicyInput, given: Verdict): Decision {
  const found = rules.checks?.judge(input);
  const verdict: Verdict =
    found?.blockedBy === undefined || given.action === 'block'
      ? given
      : { action: 'block', reason: found.blockedBy };
  const decision = applyOverride(verdict, rules.overrides.find(input.host));
  return found === undefined ? decision : { ...decision, findings: found.findings };
}

function verdictOf(policy: PolicyEngine, input: PolicyInput, onPolicyError: (text: string) => void): Verdict {
  try {
    return policy.decide(input);
  } catch (error) {
    onPolicyError(errorText(error));
    return { action: 'block', reason: 'policy_error' };
  }
}
