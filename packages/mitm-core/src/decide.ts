// What may become of a target: the policy's verdict with the per-host override applied. A policy that throws blocks.
import {
  applyOverride,
  type Decision,
  type Overrides,
  type PolicyEngine,
  type PolicyInput,
  stricterVerdict,
  type Verdict,
} from 'mitm-policy';

import type { MitmConfig } from './config/index.ts';
import { errorText } from './failure.ts';

/** The rules a flow is judged by. */
export interface Rules {
  readonly policy: PolicyEngine;
  readonly overrides: Overrides;
}

/** A configuration and the rules made from it. A reload replaces the whole object, so that a flow goes by all of one. */
export interface Settings {
  readonly config: MitmConfig;
  readonly rules: Rules;
}

/** Judges one target. `onPolicyError` hears of a policy engine that threw; the verdict is then block `policy_error`. */
export function decide(rules: Rules, input: PolicyInput, onPolicyError: (text: string) => void): Decision {
  return applyOverride(verdictOf(rules.policy, input, onPolicyError), rules.overrides.find(input.host));
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
  const second = verdictOf(rules.policy, { ...input, host: other.host, port: other.port }, onPolicyError);
  return applyOverride(stricterVerdict(first, second), rules.overrides.find(input.host));
}

function verdictOf(policy: PolicyEngine, input: PolicyInput, onPolicyError: (text: string) => void): Verdict {
  try {
    return policy.decide(input);
  } catch (error) {
    onPolicyError(errorText(error));
    return { action: 'block', reason: 'policy_error' };
  }
}
