// The payload of `tls_handshake_failed`: every name under which readers look for the facts of a failure, made in one place, so that
// no failure is told with less than another.
import type { TlsLearningResult } from 'mitm-policy';
import type { RevocationFacts, TlsErrorFacts } from 'mitm-tls';

import type { EventPayloads } from './events.ts';
import type { TlsFailureCounts } from './tls-diagnostics.ts';
import type { TlsPeer } from './tls-event-fields.ts';

/** The name under which our own TLS engine reports. */
export const tlsProvider = 'node';

/** The facts from which a `tls_handshake_failed` payload follows. */
export interface TlsFailureFacts {
  readonly peer: TlsPeer;
  readonly error: TlsErrorFacts;
  /** The failure in the TLS engine's words. */
  readonly detail: string;
  readonly counts: TlsFailureCounts;
  readonly learning: TlsLearningResult;
  readonly revocation: RevocationFacts;
  readonly fingerprint: { readonly mode: string; readonly class: string };
  /** Concluded from how the peer behaved, since no error says it. */
  readonly isInferred: boolean;
  /** It came up when the handshake was done. */
  readonly isLate: boolean;
  readonly sni?: string | undefined;
  readonly tlsVersion?: string | undefined;
}

/** The payload of `tls_handshake_failed` for a failure that our own TLS engine reported. */
export function tlsFailurePayload(facts: TlsFailureFacts): EventPayloads['tls_handshake_failed'] {
  const { peer, error, detail, counts, learning } = facts;
  return {
    peer,
    detail,
    phase: facts.isLate ? 'post_handshake' : 'handshake',
    sni: facts.sni,
    tlsVersion: facts.tlsVersion,
    tlsFailureReason: error.reason,
    tlsFailureSource: peer,
    tlsFailureCause: error.cause,
    tlsAlert: error.alert?.number,
    tlsAlertName: error.alert?.name,
    tlsOpsProvider: tlsProvider,
    tlsOpsProviderErrorCode: error.code,
    normalizedReason: error.reason,
    rawProviderError: detail,
    providerIdentity: tlsProvider,
    sourceConfidence: facts.isInferred ? 'inferred' : 'authoritative',
    ...facts.revocation,
    tlsFailureHostCount: counts.hostCount,
    tlsFailureHostRollingCount: counts.hostRollingCount,
    tlsFailureSourceCount: counts.sourceCount,
    tlsFailureReasonCount: counts.reasonCount,
    tlsFailureGlobalCount: counts.globalCount,
    tlsLearningDecision: learning.decision,
    tlsLearningReasonCode: learning.reasonCode,
    tlsLearningHostCount: learning.hostCount,
    tlsLearningGlobalApplied: learning.globalApplied,
    tlsLearningGlobalIgnored: learning.globalIgnored,
    tlsFingerprintMode: facts.fingerprint.mode,
    tlsFingerprintClass: facts.fingerprint.class,
  };
}
