import { generateKeyPairSync } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

import { type CertificateAuthority, generateCa } from '../src/ca.ts';
import { CaError, ClientHelloError } from '../src/errors.ts';
import { type TlsFailureReason, tlsFailureReasons } from '../src/failure-codes.ts';
import { LeafIssuer } from '../src/leaf.ts';
import { classifyTlsError, classifyTlsText, understandTlsError } from '../src/taxonomy.ts';
import { handshake } from './handshake.ts';

describe('texts', () => {
  test.each<[string, TlsFailureReason]>([
    ['certificate verify failed: unknown ca', 'unknown_ca'],
    ['x509: certificate signed by unknown issuer', 'unknown_ca'],
    ['tls: self-signed certificate in certificate chain', 'unknown_ca'],
    ['unable to get local issuer certificate', 'unknown_ca'],
    ['invalid peer certificate: Expired', 'cert_validation'],
    ['x509 certificate has expired', 'cert_validation'],
    ['x509: certificate is not valid for any names', 'cert_validation'],
    ['certificate name mismatch', 'cert_validation'],
    ['invalid peer certificate: HostnameMismatch', 'cert_validation'],
    ['remote error: tls: handshake failure', 'handshake'],
    ['tls alert protocol version', 'handshake'],
    ['received fatal alert: decrypt error', 'handshake'],
    ['handshake alert: insufficient security', 'handshake'],
    ['operation timed out', 'timeout'],
    ['request timed out during handshake', 'timeout'],
    ['connect timeout', 'timeout'],
    ['deadline has elapsed', 'timeout'],
    ['unexpected eof while reading handshake', 'eof_or_reset'],
    ['connection reset by peer', 'eof_or_reset'],
    ['broken pipe', 'eof_or_reset'],
    ['connection aborted', 'eof_or_reset'],
    ['some unrelated network error', 'other'],
  ])('TT-11 "%s" is %s', (text, reason) => {
    expect(classifyTlsText(text)).toBe(reason);
  });

  test.each<[string, TlsFailureReason]>([
    ['received fatal alert: UnknownCA', 'unknown_ca'],
    ['invalid peer certificate: UnknownIssuer', 'unknown_ca'],
    ['received fatal alert: BadCertificate', 'cert_validation'],
    ['received fatal alert: CertificateUnknown', 'cert_validation'],
    ['received fatal alert: HandshakeFailure', 'handshake'],
    ['received fatal alert: ProtocolVersion', 'handshake'],
    ['UnexpectedEof', 'eof_or_reset'],
    ['CERT_HAS_EXPIRED', 'cert_validation'],
  ])('names written as one word: "%s" is %s', (text, reason) => {
    expect(classifyTlsText(text)).toBe(reason);
  });

  test.each<[string, TlsFailureReason]>([
    ['upstream handshake failed: no route to host', 'other'],
    ['downstream handshake failed: downstream rustls handshake failed: something odd', 'other'],
    ['downstream leaf issuance error: disk full', 'other'],
    ['Upstream handshake failed: connection reset by peer', 'eof_or_reset'],
  ])('a prefix for people does not count: "%s" is %s', (text, reason) => {
    expect(classifyTlsText(text)).toBe(reason);
  });

  test.each(['a concert hall', 'type of geofence', 'alertness', 'uncertain'])(
    'a rule finds whole words only: "%s" is other',
    (text) => {
      expect(classifyTlsText(text)).toBe('other');
    },
  );

  const unknownCa = [
    'unknown ca',
    'Unknown Issuer',
    'self signed',
    'self-signed',
    'UNKNOWN AUTHORITY',
    'unknown_ca',
  ];

  test('TT-07 law: a phrase of an unknown CA decides, whatever is around it', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...unknownCa), fc.string(), (before, phrase, after) => {
        expect(classifyTlsText(`${before}${phrase}${after}`)).toBe('unknown_ca');
      }),
    );
  });

  test('TT-08 law: else a phrase of a timeout decides', () => {
    const timeouts = ['timed out', 'Timeout', 'deadline has elapsed', 'operation timed out'];
    const around = fc.string().filter((text) => !/ca|issuer|signed|authority|issuer/i.test(text));
    fc.assert(
      fc.property(around, fc.constantFrom(...timeouts), around, (before, phrase, after) => {
        expect(classifyTlsText(`${before}${phrase}${after}`)).toBe('timeout');
      }),
    );
  });

  test('TT-06 law: the same text gives the same class', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(tlsFailureReasons).toContain(classifyTlsText(text));
        expect(classifyTlsText(text)).toBe(classifyTlsText(text));
      }),
    );
  });
});

const coded = (code: string, message = code): Error => Object.assign(new Error(message), { code });
const alerted = (code: string, number: number): Error =>
  coded(
    code,
    `C0FF:error:0A000000:SSL routines:ssl3_read_bytes:text:record.c:916:SSL alert number ${number}\n`,
  );

describe('errors', () => {
  test.each<[string, TlsFailureReason]>([
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unknown_ca'],
    ['UNABLE_TO_GET_ISSUER_CERT', 'unknown_ca'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unknown_ca'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'unknown_ca'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'unknown_ca'],
    ['CERT_HAS_EXPIRED', 'cert_validation'],
    ['CERT_NOT_YET_VALID', 'cert_validation'],
    ['CERT_REVOKED', 'cert_validation'],
    ['INVALID_PURPOSE', 'cert_validation'],
    ['UNSPECIFIED', 'cert_validation'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'cert_validation'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'handshake'],
    ['ERR_SSL_HTTP_REQUEST', 'handshake'],
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'handshake'],
    ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'handshake'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'handshake'],
    ['ERR_SSL_CERTIFICATE_VERIFY_FAILED', 'cert_validation'],
    ['ERR_SSL_UNEXPECTED_EOF_WHILE_READING', 'eof_or_reset'],
    ['ERR_TLS_HANDSHAKE_TIMEOUT', 'timeout'],
    ['ETIMEDOUT', 'timeout'],
    ['ECONNRESET', 'eof_or_reset'],
    ['EPIPE', 'eof_or_reset'],
    ['ECONNREFUSED', 'other'],
    ['ENOTFOUND', 'other'],
    ['ERR_SSL_EE_KEY_TOO_SMALL', 'other'],
    ['SOMETHING_ELSE', 'other'],
  ])('by code: %s is %s', (code, reason) => {
    expect(classifyTlsError(coded(code, 'no hint'))).toBe(reason);
  });

  test('the code wins over the words of the message', () => {
    expect(classifyTlsError(coded('ECONNRESET', 'certificate unknown ca timeout'))).toBe('eof_or_reset');
  });

  test.each<[number, TlsFailureReason]>([
    [0, 'eof_or_reset'],
    [40, 'handshake'],
    [42, 'cert_validation'],
    [43, 'cert_validation'],
    [44, 'cert_validation'],
    [45, 'cert_validation'],
    [46, 'cert_validation'],
    [48, 'unknown_ca'],
    [49, 'handshake'],
    [70, 'handshake'],
    [80, 'handshake'],
    [112, 'handshake'],
    [116, 'handshake'],
    [121, 'handshake'],
  ])('by alert number: %i is %s, whatever the code is called', (number, reason) => {
    expect(classifyTlsError(alerted('ERR_SSL_SSL/TLS_ALERT_SOMETHING', number))).toBe(reason);
    expect(classifyTlsError(alerted('EPROTO', number))).toBe(reason);
  });

  test.each<[string, TlsFailureReason]>([
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'unknown_ca'],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'cert_validation'],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'cert_validation'],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN', 'cert_validation'],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'handshake'],
  ])('by name of the alert, of either OpenSSL: %s is %s', (code, reason) => {
    expect(classifyTlsError(coded(code, 'no number'))).toBe(reason);
  });

  test.each<[string, unknown, TlsFailureReason]>([
    ['an error without a code is judged by its text', new Error('socket timed out'), 'timeout'],
    ['a TimeoutError', new DOMException('over', 'TimeoutError'), 'timeout'],
    ['a text', 'unknown ca', 'unknown_ca'],
    [
      'an error that says nothing, by its cause',
      new Error('dial', { cause: coded('CERT_HAS_EXPIRED') }),
      'cert_validation',
    ],
    ['a hello that cannot be read', new ClientHelloError('malformed', 'x'), 'handshake'],
    [
      'our own trouble with a certificate',
      new CaError('INVALID_MATERIAL', 'the certificate expired'),
      'other',
    ],
    ['undefined', undefined, 'other'],
    ['an object that is no error', { code: 'ECONNRESET' }, 'other'],
    ['EPROTO without a number', coded('EPROTO', 'write EPROTO'), 'handshake'],
  ])('%s', (_rule, error, reason) => {
    expect(classifyTlsError(error)).toBe(reason);
  });

  test('a circle of causes ends', () => {
    const error = new Error('dial');
    error.cause = error;
    expect(classifyTlsError(error)).toBe('other');
  });

  test('what is known of an error without a class holds until its cause has one', () => {
    const error = coded('ENOTFOUND', 'dial');
    error.cause = new Error('nothing more');
    expect(understandTlsError(error).meaning.cause).toBe('unreachable');
    error.cause = coded('ETIMEDOUT');
    expect(understandTlsError(error).meaning).toEqual({
      reason: 'timeout',
      cause: 'silent',
    });
  });

  test('the first code on the way is told, whatever was understood', () => {
    const error = coded('OUTER', 'dial');
    error.cause = coded('CERT_HAS_EXPIRED');
    expect(understandTlsError(error)).toMatchObject({ code: 'OUTER', meaning: { cause: 'expired' } });
  });
});

describe('real failures', () => {
  let ca: CertificateAuthority;
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  beforeAll(async () => {
    ca = await generateCa();
  });

  function serverContext(options: SecureContextOptions & { readonly at?: Date } = {}) {
    const { at, ...rest } = options;
    const { chainPem } = new LeafIssuer(ca, pair).issue(
      ['example.test'],
      at === undefined ? {} : { now: at },
    );
    return createSecureContext({
      cert: chainPem,
      key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ...rest,
    });
  }

  async function fail(
    server: SecureContextOptions & { readonly at?: Date },
    client: object,
    accept: object = {},
  ) {
    const outcome = await handshake(
      serverContext(server),
      { ca: ca.certificatePem, servername: 'example.test', ...client },
      accept,
    );
    outcome.client.destroy();
    outcome.server.destroy();
    return {
      client: classifyTlsError(outcome.clientError),
      server: outcome.serverError === undefined ? undefined : classifyTlsError(outcome.serverError),
    };
  }

  test('TT-09 a client that does not know the CA', async () => {
    expect((await fail({}, { ca: [] })).client).toBe('unknown_ca');
  });

  test('a wrong name', async () => {
    expect((await fail({}, { servername: 'wrong.test' })).client).toBe('cert_validation');
  });

  test('an expired leaf', async () => {
    const at = new Date(Date.now() - 40 * 86_400_000);
    expect((await fail({ at }, {})).client).toBe('cert_validation');
  });

  test('no common version', async () => {
    const reasons = await fail({ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' });
    expect(reasons).toEqual({ client: 'handshake', server: 'handshake' });
  });

  test('no common cipher', async () => {
    const reasons = await fail(
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
    );
    expect(reasons).toEqual({ client: 'handshake', server: 'handshake' });
  });

  test('no common protocol name', async () => {
    const reasons = await fail({}, { ALPNProtocols: ['h2'] }, { ALPNProtocols: ['http/1.1'] });
    expect(reasons).toEqual({ client: 'handshake', server: 'handshake' });
  });
});
