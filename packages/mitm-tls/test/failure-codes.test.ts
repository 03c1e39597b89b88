// The one table of codes and alerts: what it promises, and that class and cause agree in it.
import { describe, expect, test } from 'vitest';

import { alertNames } from '../src/alerts.ts';
import {
  isPlain,
  meaningOfAlert,
  meaningOfCode,
  meaningOfCodeForm,
  meaningOfReason,
  type TlsFailureCause,
  tlsFailureCauses,
  type TlsFailureReason,
  tlsFailureReasons,
} from '../src/failure-codes.ts';

test('TT-10 the classes are a contract', () => {
  expect(tlsFailureReasons).toEqual([
    'unknown_ca',
    'cert_validation',
    'handshake',
    'timeout',
    'eof_or_reset',
    'other',
  ]);
});

test.each(Object.entries(tlsFailureCauses))('%s is explained in one sentence', (_cause, sentence) => {
  expect(sentence).toMatch(/^[A-Z].*\.$/);
});

test.each<[string, TlsFailureReason, TlsFailureCause]>([
  ['SELF_SIGNED_CERT_IN_CHAIN', 'unknown_ca', 'untrusted'],
  ['CERT_HAS_EXPIRED', 'cert_validation', 'expired'],
  ['CERT_NOT_YET_VALID', 'cert_validation', 'not_yet_valid'],
  ['HOSTNAME_MISMATCH', 'cert_validation', 'wrong_name'],
  ['CERT_REVOKED', 'cert_validation', 'revoked'],
  ['STAPLE_MISSING', 'cert_validation', 'bad_staple'],
  ['INVALID_PURPOSE', 'cert_validation', 'bad_certificate'],
  ['ERR_SSL_DH_KEY_TOO_SMALL', 'handshake', 'weak_certificate'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'handshake', 'no_common_version'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'handshake', 'no_common_cipher'],
  ['ERR_SSL_NO_SUITABLE_KEY_SHARE', 'handshake', 'no_common_cipher'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'handshake', 'no_common_protocol'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'handshake', 'client_certificate_required'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'handshake', 'not_tls'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'handshake', 'not_tls'],
  ['malformed', 'handshake', 'unreadable'],
  ['ERR_TLS_RENEGOTIATION_DISABLED', 'handshake', 'refused'],
  ['ETIMEDOUT', 'timeout', 'silent'],
  ['EPIPE', 'eof_or_reset', 'peer_gone'],
  ['ECONNREFUSED', 'other', 'unreachable'],
  ['ERR_SSL_EE_KEY_TOO_SMALL', 'other', 'weak_certificate'],
  ['sni_requires_name', 'other', 'own_settings'],
])('%s is %s, %s', (code, reason, cause) => {
  expect(meaningOfCode(code)).toEqual({ reason, cause });
});

test('a code that is not in the table stands for nothing by itself', () => {
  expect(meaningOfCode('SOMETHING_ELSE')).toBeUndefined();
  expect(meaningOfCodeForm('SOMETHING_ELSE')).toBeUndefined();
});

test.each<[string, TlsFailureReason]>([
  ['ERR_SSL_BAD_CERTIFICATE_STATUS_RESPONSE', 'cert_validation'],
  ['ERR_SSL_CERTIFICATE_VERIFY_FAILED', 'cert_validation'],
  ['ERR_SSL_DIGEST_CHECK_FAILED', 'handshake'],
  ['EPROTO', 'handshake'],
])('by its form, %s is %s', (code, reason) => {
  const meaning = meaningOfCodeForm(code);
  expect(meaning).toEqual(meaningOfReason(reason));
});

test.each(tlsFailureReasons)('%s alone has the cause that says no more', (reason) => {
  const meaning = meaningOfReason(reason);
  expect(meaning.reason).toBe(reason);
  expect(isPlain(meaning)).toBe(true);
  expect(isPlain({ reason, cause: 'revoked' })).toBe(false);
});

describe('alerts', () => {
  test.each<[number, TlsFailureReason, string]>([
    [0, 'eof_or_reset', 'peer_gone'],
    [40, 'handshake', 'refused'],
    [42, 'cert_validation', 'certificate_shown'],
    [48, 'unknown_ca', 'certificate_shown'],
    [70, 'handshake', 'no_common_version'],
    [90, 'handshake', 'peer_gone'],
    [113, 'cert_validation', 'certificate_shown'],
    [116, 'handshake', 'client_certificate_required'],
    [121, 'handshake', 'ech_required'],
    [255, 'handshake', 'refused'],
  ])('%i is %s, %s', (number, reason, cause) => {
    expect(meaningOfAlert(number)).toEqual({ reason, cause });
  });

  test('every one that has a name belongs to a class', () => {
    for (const number of alertNames.keys()) expect(meaningOfAlert(number).reason).not.toBe('other');
  });
});
