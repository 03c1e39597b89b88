// A TLS failure for the tests of this package, with all that is known of it.
import { TlsLearning } from 'mitm-policy';

import type { EventPayloads } from '../src/events.ts';
import { TlsDiagnostics } from '../src/tls-diagnostics.ts';
import { type TlsFailureFacts, tlsFailurePayload } from '../src/tls-failure-payload.ts';

/** The payload of an origin whose certificate is not trusted, unless the facts say otherwise. */
export function failurePayload(facts: Partial<TlsFailureFacts> = {}): EventPayloads['tls_handshake_failed'] {
  const host = 'api.example.test';
  return tlsFailurePayload({
    peer: 'upstream',
    error: { reason: 'unknown_ca', cause: 'untrusted', alert: undefined, code: 'SELF_SIGNED_CERT_IN_CHAIN' },
    detail: 'self-signed',
    counts: new TlsDiagnostics().record({ host, source: 'upstream', reason: 'unknown_ca', nowMs: 0 }),
    learning: new TlsLearning().ingest({
      host,
      failureReason: 'unknown_ca',
      failureSource: 'upstream',
      provider: 'node',
      isInferred: false,
    }),
    revocation: {
      upstreamOcspStaplePresent: 'unknown',
      upstreamOcspStapleStatus: 'not_checked',
      revocationPolicyMode: 'passive_observe',
      revocationDecision: 'no_signal',
    },
    fingerprint: { mode: 'native', class: 'native' },
    isInferred: false,
    isLate: false,
    sni: 'a.test',
    ...facts,
  });
}
