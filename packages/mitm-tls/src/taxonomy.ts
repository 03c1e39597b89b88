// Puts a failed TLS handshake into one of six classes. Errors of this platform are judged by code and alert
// number, which do not depend on wording; only foreign texts are searched for phrases. Same input, same
// class.
import { alertOf } from './alerts.ts';

/** Why a handshake failed. The codes are a stable contract. */
export const tlsFailureReasons = [
  'unknown_ca',
  'cert_validation',
  'handshake',
  'timeout',
  'eof_or_reset',
  'other',
] as const;
/**
 * `unknown_ca`: the chain ends in no trusted root, or the peer says so. `cert_validation`: another fault of a
 * certificate. `handshake`: an alert or a protocol fault. `timeout`. `eof_or_reset`: the peer went away.
 * `other`: none of these.
 */
export type TlsFailureReason = (typeof tlsFailureReasons)[number];

const codesByReason: Readonly<Record<TlsFailureReason, readonly string[]>> = {
  unknown_ca: [
    'CERT_UNTRUSTED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ],
  // Node names the remaining X509_V_ERR_* of OpenSSL so; those it does not know are UNSPECIFIED.
  cert_validation: [
    'CERT_CHAIN_TOO_LONG',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_REJECTED',
    'CERT_REVOKED',
    'CERT_SIGNATURE_FAILURE',
    'CRL_HAS_EXPIRED',
    'CRL_NOT_YET_VALID',
    'CRL_SIGNATURE_FAILURE',
    // Of StapleError.
    'STAPLE_INVALID',
    'STAPLE_MISSING',
    'ERROR_IN_CERT_NOT_AFTER_FIELD',
    'ERROR_IN_CERT_NOT_BEFORE_FIELD',
    'ERROR_IN_CRL_LAST_UPDATE_FIELD',
    'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
    'ERR_TLS_CERT_ALTNAME_FORMAT',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'HOSTNAME_MISMATCH',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'PATH_LENGTH_EXCEEDED',
    'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
    'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
    'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
    'UNABLE_TO_GET_CRL',
    'UNSPECIFIED',
  ],
  handshake: [
    'EPROTO',
    'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT',
    'ERR_TLS_INVALID_STATE',
    'ERR_TLS_RENEGOTIATION_DISABLED',
    // Of ClientHelloError.
    'malformed',
    'not_tls',
    'too_large',
  ],
  timeout: ['ERR_TLS_HANDSHAKE_TIMEOUT', 'ESOCKETTIMEDOUT', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'],
  eof_or_reset: [
    'ECONNABORTED',
    'ECONNRESET',
    'EPIPE',
    'ERR_SSL_UNEXPECTED_EOF_WHILE_READING',
    'ERR_STREAM_PREMATURE_CLOSE',
  ],
  // A socket that never came to a handshake, or our own material or settings.
  other: [
    'EAI_AGAIN',
    'ECONNREFUSED',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOTFOUND',
    'ERR_SSL_CA_KEY_TOO_SMALL',
    'ERR_SSL_CA_MD_TOO_WEAK',
    'ERR_SSL_EE_KEY_TOO_SMALL',
    'ERR_SSL_NO_CIPHER_MATCH',
    // Of CaError and ServerNameError, whose messages speak of certificates.
    'INVALID_MATERIAL',
    'IO',
    'OPERATION_FAILED',
    'PERMISSION_DENIED',
    'UNSUPPORTED_OPERATION',
    'invalid_name',
    'no_names',
    'sni_requires_name',
  ],
};

const reasonByCode: ReadonlyMap<string, TlsFailureReason> = new Map(
  tlsFailureReasons.flatMap((reason) => codesByReason[reason].map((code) => [code, reason] as const)),
);

// RFC 8446 §6.2 and RFC 6066 §9. Every other alert is `handshake`.
const reasonByAlert: ReadonlyMap<number, TlsFailureReason> = new Map<number, TlsFailureReason>([
  [0, 'eof_or_reset'],
  [42, 'cert_validation'],
  [43, 'cert_validation'],
  [44, 'cert_validation'],
  [45, 'cert_validation'],
  [46, 'cert_validation'],
  [48, 'unknown_ca'],
  [113, 'cert_validation'],
  [114, 'cert_validation'],
]);

// What OpenSSL finds itself, without an alert from the peer.
const reasonByCodeForm: readonly (readonly [RegExp, TlsFailureReason])[] = [
  [/BAD_CERTIFICATE_(?:STATUS_RESPONSE|HASH_VALUE)$/, 'cert_validation'],
  [/CERTIFICATE_VERIFY_FAILED$/, 'cert_validation'],
  [/^ERR_SSL_/, 'handshake'],
];

// In order, the first that matches. The first two rules look for the phrase anywhere; in the others `eof` and
// `cert` are whole words, or they would be found in words that have nothing to do with them.
const reasonByText: readonly (readonly [RegExp, TlsFailureReason])[] = [
  [
    /unknown ca|unknown_ca|unknown issuer|unknown_issuer|unknownissuer|self[ -]signed|unknown authority|unable to get local issuer certificate/,
    'unknown_ca',
  ],
  [/timed out|timeout|deadline has elapsed/, 'timeout'],
  [/\beof\b|connection reset|broken pipe|connection aborted/, 'eof_or_reset'],
  [/certificate|\bcert\b|\bx509\b|(?:host)?name mismatch|\bexpired\b|not valid/, 'cert_validation'],
  [/handshake|\balert\b|protocol version|decrypt error|insufficient security/, 'handshake'],
];

// What our own messages put in front for people; "handshake" in it says nothing about the failure.
const ownPrefix = /^(?:(?:downstream|upstream)(?: \w+)? (?:handshake failed|leaf issuance error): )+/;

const maxCauses = 4;

/**
 * The class of an error: by Node's code, by alert number, by name of the alert, then by the text rules. An
 * error that says nothing is judged by its `cause`. Anything can be passed; strings are texts, other values
 * are `other`.
 */
export function classifyTlsError(error: unknown): TlsFailureReason {
  let current = error;
  for (let depth = 0; depth <= maxCauses; depth += 1) {
    if (typeof current === 'string') return classifyTlsText(current);
    if (!(current instanceof Error)) return 'other';
    const reason = classifyOne(current);
    if (reason !== 'other' || current.cause === undefined) return reason;
    current = current.cause;
  }
  return 'other';
}

/**
 * The class of a text from elsewhere, without regard to case. Names of alerts may be written as one word
 * (`UnknownCA`).
 */
export function classifyTlsText(text: string): TlsFailureReason {
  const plain = text.toLowerCase().replace(ownPrefix, '');
  const spaced = text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase()
    .replace(ownPrefix, '');
  for (const [pattern, reason] of reasonByText) {
    if (pattern.test(plain) || pattern.test(spaced)) return reason;
  }
  return 'other';
}

function classifyOne(error: Error): TlsFailureReason {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const known = code === undefined ? undefined : reasonByCode.get(code);
  if (known !== undefined && code !== 'EPROTO') return known;
  const alert = alertOf(error);
  if (alert !== undefined) return reasonByAlert.get(alert.number) ?? 'handshake';
  if (code !== undefined) {
    for (const [pattern, reason] of reasonByCodeForm) if (pattern.test(code)) return reason;
  }
  if (error.name === 'TimeoutError') return 'timeout';
  return known ?? classifyTlsText(error.message);
}
