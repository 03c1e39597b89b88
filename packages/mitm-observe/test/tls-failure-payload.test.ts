import { expect, test } from 'vitest';

import { failurePayload } from './failure-fixture.ts';

test('TT-01 the payload of a failure repeats its facts under every name that readers know', () => {
  expect(failurePayload()).toEqual({
    peer: 'upstream',
    detail: 'self-signed',
    phase: 'handshake',
    sni: 'a.test',
    tlsVersion: undefined,
    tlsFailureReason: 'unknown_ca',
    tlsFailureSource: 'upstream',
    tlsFailureCause: 'untrusted',
    tlsAlert: undefined,
    tlsAlertName: undefined,
    tlsOpsProvider: 'node',
    tlsOpsProviderErrorCode: 'SELF_SIGNED_CERT_IN_CHAIN',
    normalizedReason: 'unknown_ca',
    rawProviderError: 'self-signed',
    providerIdentity: 'node',
    sourceConfidence: 'authoritative',
    upstreamOcspStaplePresent: 'unknown',
    upstreamOcspStapleStatus: 'not_checked',
    revocationPolicyMode: 'passive_observe',
    revocationDecision: 'no_signal',
    tlsFailureHostCount: 1,
    tlsFailureHostRollingCount: 1,
    tlsFailureSourceCount: 1,
    tlsFailureReasonCount: 1,
    tlsFailureGlobalCount: 1,
    tlsLearningDecision: 'applied',
    tlsLearningReasonCode: 'authoritative',
    tlsLearningHostCount: 1,
    tlsLearningGlobalApplied: 1,
    tlsLearningGlobalIgnored: 0,
    tlsFingerprintMode: 'native',
    tlsFingerprintClass: 'native',
  });
});

test('an alert is named, what is concluded says so, and what came late too', () => {
  const alert = { number: 48, name: 'unknown_ca' };
  const error = { reason: 'unknown_ca', cause: 'own_certificate_refused', alert, code: undefined } as const;
  expect(failurePayload({ peer: 'downstream', error, isInferred: true, isLate: true })).toMatchObject({
    phase: 'post_handshake',
    tlsFailureSource: 'downstream',
    tlsFailureCause: 'own_certificate_refused',
    tlsAlert: 48,
    tlsAlertName: 'unknown_ca',
    sourceConfidence: 'inferred',
  });
});
