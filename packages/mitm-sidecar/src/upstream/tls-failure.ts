// What a client is told when TLS with the origin fails: the class of the failure and one sentence about it. Details stay
// in events and logs.
import { errorText, Failure } from 'mitm-core';
import type { TlsFailureReason } from 'mitm-tls';

const sentences: Record<TlsFailureReason, string> = {
  unknown_ca: 'its certificate is not signed by an authority that the proxy trusts',
  cert_validation: 'its certificate is not valid for this name at this time',
  handshake: 'it refused the TLS handshake or offered nothing that fits',
  timeout: 'it did not complete the TLS handshake in time',
  eof_or_reset: 'it closed the connection during the TLS handshake',
  other: 'the TLS handshake failed',
};

/** The failure of an exchange whose origin can't be spoken to; 504 where time ran out, else 502. */
export function tlsFailure(host: string, reason: TlsFailureReason, error: unknown): Failure {
  return new Failure('tls_handshake_failed', {
    side: 'upstream',
    detail: `upstream handshake failed: ${errorText(error)}`,
    reply: {
      status: reason === 'timeout' ? 504 : 502,
      body: `the proxy could not connect to ${host} securely (${reason}): ${sentences[reason]}\n`,
    },
    cause: error,
  });
}
