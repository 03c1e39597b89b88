// What one TLS error says beyond its class: the alert behind it, and what exactly was wrong, which tells whose fault it was. The six
// classes stay the contract; this is the sentence behind them.
import { alertOf, type TlsAlert } from './alerts.ts';
import { classifyTlsError, type TlsFailureReason } from './taxonomy.ts';

/** Which of the two TLS legs: `downstream` is the client's, `upstream` the origin's. */
export type TlsSide = 'downstream' | 'upstream';

/** What exactly was wrong, as far as the error tells. */
export const tlsFailureCauses = {
  untrusted: 'The certificate that was shown ends in no authority that is trusted.',
  expired: 'The certificate that was shown has expired.',
  not_yet_valid: 'The certificate that was shown is not valid yet.',
  wrong_name: 'The certificate that was shown is for other names.',
  revoked: 'The certificate that was shown has been revoked.',
  weak_certificate: 'The certificate that was shown has a key or a signature that is too weak.',
  bad_staple: 'The revocation status that came with the certificate is missing or cannot be used.',
  bad_certificate: 'The certificate that was shown is not acceptable for another reason.',
  own_certificate_refused: 'The peer does not accept the certificate that it was shown.',
  client_certificate_required: 'The origin asks for a client certificate and got none.',
  client_certificate_refused: 'The origin does not accept the client certificate that it was shown.',
  no_common_version: 'The two sides have no version of TLS in common.',
  no_common_cipher: 'The two sides have no cipher suite or group in common.',
  no_common_protocol: 'The two sides have no application protocol in common.',
  unknown_name: 'The peer does not know the server name.',
  ech_required: 'The client wants an encrypted hello; it comes again without.',
  refused: 'The peer ended the handshake with an alert that does not say why.',
  not_tls: 'The peer does not speak TLS.',
  unreadable: 'What the peer sent is no TLS that can be read.',
  silent: 'The peer said nothing within the time it had.',
  peer_gone: 'The peer closed the connection.',
  closed_unused: 'The client closed the connection at once after the handshake, without a byte.',
  unreachable: 'No connection came to be.',
  own_settings: 'Our own certificate material or settings do not allow it.',
  unknown: 'The error does not tell.',
} as const;
export type TlsFailureCause = keyof typeof tlsFailureCauses;

/** A TLS error, understood. */
export interface TlsErrorFacts {
  readonly reason: TlsFailureReason;
  readonly cause: TlsFailureCause;
  /** The alert that the peer sent, if it was one. */
  readonly alert: TlsAlert | undefined;
  /** The code of the TLS stack, where it has one. */
  readonly code: string | undefined;
}

const codesByCause: readonly (readonly [TlsFailureCause, readonly string[]])[] = [
  ['expired', ['CERT_HAS_EXPIRED']],
  ['not_yet_valid', ['CERT_NOT_YET_VALID']],
  ['wrong_name', ['ERR_TLS_CERT_ALTNAME_FORMAT', 'ERR_TLS_CERT_ALTNAME_INVALID', 'HOSTNAME_MISMATCH']],
  ['revoked', ['CERT_REVOKED']],
  ['bad_staple', ['STAPLE_INVALID', 'STAPLE_MISSING']],
  [
    'weak_certificate',
    [
      'ERR_SSL_DH_KEY_TOO_SMALL',
      'ERR_SSL_EE_KEY_TOO_SMALL',
      'ERR_SSL_CA_KEY_TOO_SMALL',
      'ERR_SSL_CA_MD_TOO_WEAK',
    ],
  ],
  [
    'no_common_version',
    [
      'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
      'ERR_SSL_UNSUPPORTED_PROTOCOL',
      'ERR_SSL_VERSION_TOO_LOW',
      'ERR_SSL_WRONG_SSL_VERSION',
    ],
  ],
  [
    'no_common_cipher',
    [
      'ERR_SSL_NO_CIPHERS_AVAILABLE',
      'ERR_SSL_NO_SHARED_CIPHER',
      'ERR_SSL_NO_SHARED_GROUP',
      'ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS',
      'ERR_SSL_NO_SUITABLE_GROUPS',
      'ERR_SSL_NO_SUITABLE_KEY_SHARE',
      'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
    ],
  ],
  ['no_common_protocol', ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT']],
  ['client_certificate_required', ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE']],
  [
    'not_tls',
    [
      'ERR_SSL_HTTPS_PROXY_REQUEST',
      'ERR_SSL_HTTP_REQUEST',
      'ERR_SSL_PACKET_LENGTH_TOO_LONG',
      'ERR_SSL_RECORD_LAYER_FAILURE',
      'ERR_SSL_UNKNOWN_PROTOCOL',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      'not_tls',
    ],
  ],
  ['unreadable', ['malformed', 'too_large']],
  [
    'own_settings',
    [
      'ERR_SSL_NO_CIPHER_MATCH',
      'INVALID_MATERIAL',
      'IO',
      'OPERATION_FAILED',
      'PERMISSION_DENIED',
      'UNSUPPORTED_OPERATION',
      'invalid_name',
      'no_names',
      'sni_requires_name',
    ],
  ],
  ['unreachable', ['EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND']],
];

const causeByCode: ReadonlyMap<string, TlsFailureCause> = new Map(
  codesByCause.flatMap(([cause, codes]) => codes.map((code) => [code, cause] as const)),
);

// Alerts that mean the same from either side.
const causeByAlert: ReadonlyMap<number, TlsFailureCause> = new Map<number, TlsFailureCause>([
  [0, 'peer_gone'],
  [70, 'no_common_version'],
  [71, 'no_common_cipher'],
  [90, 'peer_gone'],
  [112, 'unknown_name'],
  [116, 'client_certificate_required'],
  [120, 'no_common_protocol'],
  [121, 'ech_required'],
]);

/** The alerts about a certificate (RFC 8446 §6.2): the sender means the one that it was shown. */
const certificateAlerts: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48, 113, 114]);

/** What remains to be said where neither code nor alert says more than the class. */
const causeByReason: Readonly<Record<TlsFailureReason, TlsFailureCause>> = {
  unknown_ca: 'untrusted',
  cert_validation: 'bad_certificate',
  handshake: 'refused',
  timeout: 'silent',
  eof_or_reset: 'peer_gone',
  other: 'unknown',
};

/** OpenSSL's verdicts that Node has no code for come with their text alone. */
const weakWording =
  /key too (?:weak|small)|md too weak|digest algorithm too weak|CA certificate key too weak/i;
const maxCauses = 4;

/**
 * Understands an error of a TLS handshake, or of the TLS layer after it.
 *
 * @param side the leg on which it came up
 */
export function tlsErrorFacts(error: unknown, side: TlsSide): TlsErrorFacts {
  const reason = classifyTlsError(error);
  let current = error;
  let code: string | undefined;
  for (let depth = 0; depth <= maxCauses && current instanceof Error; depth += 1) {
    code ??= codeOf(current);
    const alert = alertOf(current);
    if (alert !== undefined) return { reason, cause: causeOfAlert(alert.number, side), alert, code };
    const known = causeByCode.get(codeOf(current) ?? '');
    if (known !== undefined) return { reason, cause: known, alert: undefined, code };
    if (weakWording.test(current.message))
      return { reason, cause: 'weak_certificate', alert: undefined, code };
    current = current.cause;
  }
  return { reason, cause: causeByReason[reason], alert: undefined, code };
}

/** True for an error of the TLS layer itself, as opposed to one of the socket below it. */
export function isTlsLayerError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return alertOf(error) !== undefined || codeOf(error)?.startsWith('ERR_SSL_') === true;
}

function causeOfAlert(number: number, side: TlsSide): TlsFailureCause {
  if (certificateAlerts.has(number))
    return side === 'downstream' ? 'own_certificate_refused' : 'client_certificate_refused';
  return causeByAlert.get(number) ?? 'refused';
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
