import { describe, expect, test } from 'vitest';

import type { TlsFailureCause } from '../src/failure-codes.ts';
import { isTlsLayerError, tlsErrorFacts, type TlsSide } from '../src/failure-facts.ts';
import { StapleError } from '../src/staple.ts';

const coded = (code: string, message = 'no hint'): Error => Object.assign(new Error(message), { code });
const alerted = (number: number): Error =>
  coded('EPROTO', `error:0A000418:SSL routines:ssl3_read_bytes:text:rec.c:1605:SSL alert number ${number}\n`);

describe('whose certificate an alert is about', () => {
  test.each<[number, TlsSide, TlsFailureCause]>([
    [42, 'downstream', 'own_certificate_refused'],
    [46, 'downstream', 'own_certificate_refused'],
    [48, 'downstream', 'own_certificate_refused'],
    [48, 'upstream', 'client_certificate_refused'],
    [42, 'upstream', 'client_certificate_refused'],
    [116, 'upstream', 'client_certificate_required'],
    [40, 'upstream', 'refused'],
    [70, 'upstream', 'no_common_version'],
    [71, 'upstream', 'no_common_cipher'],
    [112, 'upstream', 'unknown_name'],
    [120, 'upstream', 'no_common_protocol'],
    [121, 'downstream', 'ech_required'],
    [90, 'downstream', 'peer_gone'],
    [80, 'downstream', 'refused'],
  ])('alert %i from %s means %s', (number, side, cause) => {
    const facts = tlsErrorFacts(alerted(number), side);
    expect(facts).toMatchObject({ cause, alert: { number }, code: 'EPROTO' });
  });
});

test.each<[string, unknown, string, TlsFailureCause]>([
  ['an untrusted chain', coded('SELF_SIGNED_CERT_IN_CHAIN'), 'unknown_ca', 'untrusted'],
  ['an expired certificate', coded('CERT_HAS_EXPIRED'), 'cert_validation', 'expired'],
  ['one for later', coded('CERT_NOT_YET_VALID'), 'cert_validation', 'not_yet_valid'],
  ['one for other names', coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'cert_validation', 'wrong_name'],
  ['a revoked one', new StapleError('CERT_REVOKED', 'x'), 'cert_validation', 'revoked'],
  ['a missing staple', new StapleError('STAPLE_MISSING', 'x'), 'cert_validation', 'bad_staple'],
  [
    'a weak key, which Node has no code for',
    coded('UNSPECIFIED', 'EE certificate key too weak'),
    'cert_validation',
    'weak_certificate',
  ],
  ['another fault of a certificate', coded('INVALID_PURPOSE'), 'cert_validation', 'bad_certificate'],
  ['a version that we do not take', coded('ERR_SSL_UNSUPPORTED_PROTOCOL'), 'handshake', 'no_common_version'],
  ['no shared cipher', coded('ERR_SSL_NO_SHARED_CIPHER'), 'handshake', 'no_common_cipher'],
  ['no shared protocol', coded('ERR_SSL_NO_APPLICATION_PROTOCOL'), 'handshake', 'no_common_protocol'],
  ['plain HTTP', coded('ERR_SSL_HTTP_REQUEST'), 'handshake', 'not_tls'],
  ['a hello that cannot be read', coded('malformed'), 'handshake', 'unreadable'],
  ['silence', coded('ERR_TLS_HANDSHAKE_TIMEOUT'), 'timeout', 'silent'],
  ['a reset', coded('ECONNRESET'), 'eof_or_reset', 'peer_gone'],
  ['a refused connection', coded('ECONNREFUSED'), 'other', 'unreachable'],
  ['a server name that is not allowed', coded('sni_requires_name'), 'other', 'own_settings'],
  [
    'what stands behind another error',
    new Error('dial', { cause: coded('CERT_HAS_EXPIRED') }),
    'cert_validation',
    'expired',
  ],
  ['a text', 'connection reset by peer', 'eof_or_reset', 'peer_gone'],
  ['nothing', undefined, 'other', 'unknown'],
])('%s', (_what, error, reason, cause) => {
  expect(tlsErrorFacts(error, 'upstream')).toMatchObject({ reason, cause });
});

test('a circle of causes ends', () => {
  const error = new Error('dial');
  error.cause = error;
  expect(tlsErrorFacts(error, 'upstream')).toMatchObject({ reason: 'other', cause: 'unknown' });
});

test.each<[unknown, boolean]>([
  [alerted(116), true],
  [coded('ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC'), true],
  [coded('ECONNRESET'), false],
  [new Error('plain'), false],
  ['ERR_SSL_X', false],
])('%s of the TLS layer: %s', (error, isOne) => {
  expect(isTlsLayerError(error)).toBe(isOne);
});
