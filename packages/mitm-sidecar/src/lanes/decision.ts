// How a decision is told: the payload of `connect_decision`, with the override that took part in it.
import type { EventPayloads } from 'mitm-observe';
import type { Decision } from 'mitm-policy';

/** The facts of a decision for its event. */
export function decisionPayload(
  decision: Decision,
  stage?: EventPayloads['connect_decision']['stage'],
): EventPayloads['connect_decision'] {
  const { override } = decision;
  return {
    action: decision.action,
    reason: decision.reason,
    ...(stage === undefined ? {} : { stage }),
    ...(override === undefined
      ? {}
      : {
          overrideRuleId: override.ruleId,
          overrideHostPattern: override.hostPattern,
          overrideForceTunnel: override.forceTunnel,
          overrideDisableH2: override.disableH2,
          overrideStrictHeaderMode: override.strictHeaderMode,
          overrideSkipUpstreamVerify: override.skipUpstreamVerify,
        }),
  };
}
