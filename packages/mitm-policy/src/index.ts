// The public face of mitm-policy: named exports only.
export {
  DestinationError,
  destinationErrorCodes,
  parseDestination,
  parseHostRule,
  type Destination,
  type DestinationErrorCode,
} from './destination.ts';
export { HostMatcher } from './host-matcher.ts';
export {
  applyOverride,
  NO_OVERRIDE,
  Overrides,
  parseOverridePattern,
  type Decision,
  type OverrideFlags,
  type OverrideRule,
} from './overrides.ts';
export {
  DefaultPolicy,
  DestinationPolicy,
  flowActions,
  policyReasons,
  stricterVerdict,
  type DefaultPolicyOptions,
  type DestinationPolicyOptions,
  type FlowAction,
  type PolicyEngine,
  type PolicyInput,
  type PolicyProcess,
  type PolicyReason,
  type Verdict,
} from './policy.ts';
export {
  TlsBackoff,
  type TlsBackoffEntry,
  type TlsBackoffKey,
  type TlsBackoffLimits,
  type TlsBackoffOptions,
  type TlsStrike,
} from './tls-backoff.ts';
export {
  TlsLearning,
  tlsLearningReasons,
  type TlsLearningOptions,
  type TlsLearningReason,
  type TlsLearningResult,
  type TlsLearningSnapshot,
  type TlsLearntHost,
  type TlsSignal,
} from './tls-learning.ts';
