// How a decision is told: the payload of `connect_decision`, with the override that took part in it.
import type { Route } from 'mitm-core';
import type { EventPayloads } from 'mitm-observe';
import type { Decision } from 'mitm-policy';

/** The facts of a decision for its event, with the way that was planned for what is decided where it is news. */
export function decisionPayload(
  decision: Decision,
  stage?: EventPayloads['connect_decision']['stage'],
  route?: Route,
): EventPayloads['connect_decision'] {
  const { override, findings } = decision;
  return {
    action: decision.action,
    reason: decision.reason,
    ...(stage === undefined ? {} : { stage }),
    ...(findings === undefined ? {} : { findings: findings.join(',') }),
    ...(route === undefined ? {} : routeFacts(route)),
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

function routeFacts({ mode, reason, via, resolved }: Route): Partial<EventPayloads['connect_decision']> {
  return {
    ...(reason === undefined ? {} : { routeMode: mode, routeReason: reason }),
    ...(via === undefined ? {} : { routeVia: via }),
    ...(resolved === undefined ? {} : { address: resolved.address, addressClass: resolved.addressClass }),
  };
}
