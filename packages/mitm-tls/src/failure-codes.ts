// What the codes of the TLS stack and the numbers of alerts stand for: one table for the class of a failure and for what exactly was
// wrong, so that the two can't contradict each other.

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

/** What a code, an alert or a text stands for. */
export interface FailureMeaning {
  readonly reason: TlsFailureReason;
  /** `certificate_shown`: an alert about the certificate that its sender was shown, whichever that was. */
  readonly cause: TlsFailureCause | 'certificate_shown';
}

/** What remains to be said where nothing says more than the class. */
const plainCauses: Readonly<Record<TlsFailureReason, TlsFailureCause>> = {
  unknown_ca: 'untrusted',
  cert_validation: 'bad_certificate',
  handshake: 'refused',
  timeout: 'silent',
  eof_or_reset: 'peer_gone',
  other: 'unknown',
};

const codeRows: readonly (readonly [TlsFailureReason, TlsFailureCause, readonly string[]])[] = [
  [
    'unknown_ca',
    'untrusted',
    [
      'CERT_UNTRUSTED',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
  ],
  ['cert_validation', 'expired', ['CERT_HAS_EXPIRED']],
  ['cert_validation', 'not_yet_valid', ['CERT_NOT_YET_VALID']],
  [
    'cert_validation',
    'wrong_name',
    ['ERR_TLS_CERT_ALTNAME_FORMAT', 'ERR_TLS_CERT_ALTNAME_INVALID', 'HOSTNAME_MISMATCH'],
  ],
  ['cert_validation', 'revoked', ['CERT_REVOKED']],
  // Of StapleError.
  ['cert_validation', 'bad_staple', ['STAPLE_INVALID', 'STAPLE_MISSING']],
  // Node names the remaining X509_V_ERR_* of OpenSSL so; those it does not know are UNSPECIFIED.
  [
    'cert_validation',
    'bad_certificate',
    [
      'CERT_CHAIN_TOO_LONG',
      'CERT_REJECTED',
      'CERT_SIGNATURE_FAILURE',
      'CRL_HAS_EXPIRED',
      'CRL_NOT_YET_VALID',
      'CRL_SIGNATURE_FAILURE',
      'ERROR_IN_CERT_NOT_AFTER_FIELD',
      'ERROR_IN_CERT_NOT_BEFORE_FIELD',
      'ERROR_IN_CRL_LAST_UPDATE_FIELD',
      'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
      'INVALID_CA',
      'INVALID_PURPOSE',
      'PATH_LENGTH_EXCEEDED',
      'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
      'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
      'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
      'UNABLE_TO_GET_CRL',
      'UNSPECIFIED',
    ],
  ],
  ['handshake', 'weak_certificate', ['ERR_SSL_DH_KEY_TOO_SMALL']],
  [
    'handshake',
    'no_common_version',
    [
      'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
      'ERR_SSL_UNSUPPORTED_PROTOCOL',
      'ERR_SSL_VERSION_TOO_LOW',
      'ERR_SSL_WRONG_SSL_VERSION',
    ],
  ],
  [
    'handshake',
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
  [
    'handshake',
    'no_common_protocol',
    ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'ERR_TLS_ALPN_CALLBACK_INVALID_RESULT'],
  ],
  ['handshake', 'client_certificate_required', ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE']],
  [
    'handshake',
    'not_tls',
    [
      'ERR_SSL_HTTPS_PROXY_REQUEST',
      'ERR_SSL_HTTP_REQUEST',
      'ERR_SSL_PACKET_LENGTH_TOO_LONG',
      'ERR_SSL_RECORD_LAYER_FAILURE',
      'ERR_SSL_UNKNOWN_PROTOCOL',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      // Of ClientHelloError.
      'not_tls',
    ],
  ],
  // Of ClientHelloError.
  ['handshake', 'unreadable', ['malformed', 'too_large']],
  ['handshake', 'refused', ['ERR_TLS_INVALID_STATE', 'ERR_TLS_RENEGOTIATION_DISABLED']],
  [
    'timeout',
    'silent',
    ['ERR_TLS_HANDSHAKE_TIMEOUT', 'ESOCKETTIMEDOUT', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'],
  ],
  [
    'eof_or_reset',
    'peer_gone',
    [
      'ECONNABORTED',
      'ECONNRESET',
      'EPIPE',
      'ERR_SSL_UNEXPECTED_EOF_WHILE_READING',
      'ERR_STREAM_PREMATURE_CLOSE',
    ],
  ],
  // A socket that never came to a handshake.
  ['other', 'unreachable', ['EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND']],
  // Our own material or settings.
  [
    'other',
    'weak_certificate',
    ['ERR_SSL_CA_KEY_TOO_SMALL', 'ERR_SSL_CA_MD_TOO_WEAK', 'ERR_SSL_EE_KEY_TOO_SMALL'],
  ],
  [
    'other',
    'own_settings',
    [
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
  ],
];

const meaningByCode: ReadonlyMap<string, FailureMeaning> = new Map(
  codeRows.flatMap(([reason, cause, codes]) => codes.map((code) => [code, { reason, cause }] as const)),
);

// RFC 8446 §6.2, RFC 6066 §9, RFC 7301 §3.2 and RFC 9849 §5. Every other alert is `handshake`, and does not say why.
const meaningByAlert: ReadonlyMap<number, FailureMeaning> = new Map<number, FailureMeaning>([
  [0, { reason: 'eof_or_reset', cause: 'peer_gone' }],
  ...[42, 43, 44, 45, 46, 113, 114].map(
    (number) => [number, { reason: 'cert_validation', cause: 'certificate_shown' }] as const,
  ),
  [48, { reason: 'unknown_ca', cause: 'certificate_shown' }],
  [70, { reason: 'handshake', cause: 'no_common_version' }],
  [71, { reason: 'handshake', cause: 'no_common_cipher' }],
  [90, { reason: 'handshake', cause: 'peer_gone' }],
  [112, { reason: 'handshake', cause: 'unknown_name' }],
  [116, { reason: 'handshake', cause: 'client_certificate_required' }],
  [120, { reason: 'handshake', cause: 'no_common_protocol' }],
  [121, { reason: 'handshake', cause: 'ech_required' }],
]);

// What OpenSSL finds itself, without an alert from the peer.
const reasonByCodeForm: readonly (readonly [RegExp, TlsFailureReason])[] = [
  [/BAD_CERTIFICATE_(?:STATUS_RESPONSE|HASH_VALUE)$/, 'cert_validation'],
  [/CERTIFICATE_VERIFY_FAILED$/, 'cert_validation'],
  [/^(?:ERR_SSL_|EPROTO$)/, 'handshake'],
];

/** A class alone, with the cause that says no more than it. */
export function meaningOfReason(reason: TlsFailureReason): FailureMeaning {
  return { reason, cause: plainCauses[reason] };
}

/** True where the cause says no more than the class. */
export function isPlain({ reason, cause }: FailureMeaning): boolean {
  return cause === plainCauses[reason];
}

/** What a code stands for by itself. Undefined for one that is not in the table. */
export function meaningOfCode(code: string): FailureMeaning | undefined {
  return meaningByCode.get(code);
}

/** What a code stands for by its form, where neither it nor an alert says more. */
export function meaningOfCodeForm(code: string): FailureMeaning | undefined {
  const [, reason] = reasonByCodeForm.find(([pattern]) => pattern.test(code)) ?? [];
  return reason === undefined ? undefined : meaningOfReason(reason);
}

/** What an alert of the peer stands for, by its number. */
export function meaningOfAlert(number: number): FailureMeaning {
  return meaningByAlert.get(number) ?? meaningOfReason('handshake');
}
