// The public face of mitm-policy: named exports only.
export { addressClasses, addressClassOf, type AddressClass } from './address-class.ts';
export {
  addressGroups,
  isInRange,
  parseAddressRange,
  type AddressGroups,
  type AddressRange,
} from './address-range.ts';
export {
  checkModes,
  checkNames,
  TargetChecks,
  type CheckMode,
  type CheckName,
  type CheckResult,
  type TargetChecksOptions,
} from './checks.ts';
export {
  DestinationError,
  destinationErrorCodes,
  parseDestination,
  parseHostRule,
  type Destination,
  type DestinationErrorCode,
} from './destination.ts';
export { HostMatcher } from './host-matcher.ts';
export { NoProxyList, parseNoProxyEntry, type NoProxyEntry } from './no-proxy.ts';
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
  policyFacts,
  policyReasons,
  stricterVerdict,
  type DefaultPolicyOptions,
  type DestinationPolicyOptions,
  type FlowAction,
  type PolicyEngine,
  type PolicyFact,
  type PolicyInput,
  type PolicyProcess,
  type PolicyReason,
  type UpstreamIdentity,
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
