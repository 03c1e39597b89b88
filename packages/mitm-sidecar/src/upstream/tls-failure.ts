// What a client is told when TLS with the origin fails: the class of the failure and one sentence about it. Details stay
// in events and logs.
import { errorText, Failure } from 'mitm-core';
import { type TlsErrorFacts, tlsErrorFacts, type TlsFailureCause, type TlsFailureReason } from 'mitm-tls';

const sentences: Record<TlsFailureReason, string> = {
  unknown_ca: 'its certificate is not signed by an authority that the proxy trusts',
  cert_validation: 'its certificate is not valid for this name at this time',
  handshake: 'it refused the TLS handshake or offered nothing that fits',
  timeout: 'it did not complete the TLS handshake in time',
  eof_or_reset: 'it closed the connection during the TLS handshake',
  other: 'the TLS handshake failed',
};

/** Where the cause is known, it says more than the class. */
const exactSentences: Partial<Record<TlsFailureCause, string>> = {
  expired: 'its certificate has expired',
  not_yet_valid: 'its certificate is not valid yet',
  wrong_name: 'its certificate is for other names',
  revoked: 'its certificate has been revoked',
  weak_certificate: 'its certificate has a key or a signature that is too weak',
  bad_staple: 'its certificate promises a revocation status that did not come, or cannot be used',
  client_certificate_required: 'it asks for a client certificate, and the proxy has shown none',
  client_certificate_refused: 'it does not accept the client certificate of the proxy',
  no_common_version: 'it offers no version of TLS that the proxy may use',
  no_common_cipher: 'it offers no cipher suite that the proxy may use',
  no_common_protocol: 'it speaks none of the offered protocols',
  unknown_name: 'it does not know this server name',
  not_tls: 'what it speaks is not TLS',
};

/** The failure of an exchange whose origin can't be spoken to; 504 where time ran out, else 502. */
export function tlsFailure(
  host: string,
  error: unknown,
  facts: TlsErrorFacts = tlsErrorFacts(error, 'upstream'),
): Failure {
  const { reason, cause } = facts;
  return new Failure('tls_handshake_failed', {
    side: 'upstream',
    detail: `upstream handshake failed: ${errorText(error)}`,
    reply: {
      status: reason === 'timeout' ? 504 : 502,
      body: `the proxy could not connect to ${host} securely (${reason}): ${exactSentences[cause] ?? sentences[reason]}\n`,
    },
    cause: error,
  });
}
