// The alerts of TLS by number and by name, and how OpenSSL's errors tell which one a peer has sent. Releases spell the same
// alert differently; the number does not change.

/** Names of the alerts by number: RFC 8446 §6, RFC 5246 §7.2, RFC 6066 §9, RFC 7301 §3.2 and RFC 9849 §5. */
export const alertNames: ReadonlyMap<number, string> = new Map([
  [0, 'close_notify'],
  [10, 'unexpected_message'],
  [20, 'bad_record_mac'],
  [21, 'decryption_failed'],
  [22, 'record_overflow'],
  [30, 'decompression_failure'],
  [40, 'handshake_failure'],
  [41, 'no_certificate'],
  [42, 'bad_certificate'],
  [43, 'unsupported_certificate'],
  [44, 'certificate_revoked'],
  [45, 'certificate_expired'],
  [46, 'certificate_unknown'],
  [47, 'illegal_parameter'],
  [48, 'unknown_ca'],
  [49, 'access_denied'],
  [50, 'decode_error'],
  [51, 'decrypt_error'],
  [60, 'export_restriction'],
  [70, 'protocol_version'],
  [71, 'insufficient_security'],
  [80, 'internal_error'],
  [86, 'inappropriate_fallback'],
  [90, 'user_canceled'],
  [100, 'no_renegotiation'],
  [109, 'missing_extension'],
  [110, 'unsupported_extension'],
  [111, 'certificate_unobtainable'],
  [112, 'unrecognized_name'],
  [113, 'bad_certificate_status_response'],
  [114, 'bad_certificate_hash_value'],
  [115, 'unknown_psk_identity'],
  [116, 'certificate_required'],
  [120, 'no_application_protocol'],
  [121, 'ech_required'],
]);

/** An alert that a peer has sent. */
export interface TlsAlert {
  readonly number: number;
  /** As the RFCs name it; `unassigned` for a number without a name. */
  readonly name: string;
}

// Longest first: `BAD_CERTIFICATE_STATUS_RESPONSE` holds the name of another alert.
const numbersByName: readonly (readonly [string, number])[] = [...alertNames]
  .map(([number, name]) => [name.toUpperCase(), number] as const)
  .toSorted(([a], [b]) => b.length - a.length);

const numberInMessage = /SSL alert number (\d+)/;
/** What precedes an alert's name in OpenSSL's codes, of any release. RFC 6066 alerts come without the word ALERT. */
const alertCode = /^ERR_SSL_(?:(?:SSLV3|TLSV1|TLSV13|SSL\/TLS)_ALERT_|TLSV1_|TLSV13_)(.+)$/;

/**
 * The alert that an error of the TLS stack stands for: by the number in its message, else by the name in its code. Undefined for an
 * error that no alert of the peer has caused.
 */
export function alertOf(error: Error): TlsAlert | undefined {
  const stated = numberInMessage.exec(error.message)?.[1];
  if (stated !== undefined) {
    const number = Number(stated);
    return { number, name: alertNames.get(number) ?? 'unassigned' };
  }
  const code =
    'code' in error && typeof error.code === 'string' ? alertCode.exec(error.code)?.[1] : undefined;
  if (code === undefined) return undefined;
  const [, number] = numbersByName.find(([name]) => code === name || code.endsWith(`_${name}`)) ?? [];
  return number === undefined ? undefined : { number, name: alertNames.get(number) ?? 'unassigned' };
}
