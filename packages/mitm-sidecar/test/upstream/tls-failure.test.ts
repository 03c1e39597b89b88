// What a client is told when TLS with the origin fails.
import { Failure } from 'mitm-core';
import { type TlsErrorFacts, type TlsFailureReason, tlsFailureReasons } from 'mitm-tls';
import { expect, test } from 'vitest';

import { tlsFailure } from '../../src/upstream/tls-failure.ts';

const classOnly = (reason: TlsFailureReason): TlsErrorFacts => ({
  reason,
  cause: 'unknown',
  alert: undefined,
  code: undefined,
});

test.each(tlsFailureReasons)('%s: names the class, the host, and one sentence', (reason) => {
  const cause = Object.assign(new Error('self-signed certificate\n  at secret/path.c'), {
    code: 'SOME_CODE',
  });
  const failure = tlsFailure('example.org', cause, classOnly(reason));
  expect(failure).toBeInstanceOf(Failure);
  expect(failure).toMatchObject({ reason: 'tls_handshake_failed', side: 'upstream', cause });
  expect(failure.detail).toBe(
    'upstream handshake failed: SOME_CODE: self-signed certificate at secret/path.c',
  );
  expect(failure.reply?.status).toBe(reason === 'timeout' ? 504 : 502);
  expect(failure.reply?.body).toMatch(
    new RegExp(`^the proxy could not connect to example\\.org securely \\(${reason}\\): [^\\n]+\\n$`),
  );
  expect(String(failure.reply?.body)).not.toContain('secret');
});

test('no two classes have the same sentence', () => {
  const bodies = tlsFailureReasons.map((reason) =>
    String(tlsFailure('h', undefined, classOnly(reason)).reply?.body),
  );
  const sentences = bodies.map((body) => body.slice(body.indexOf(': ')));
  expect(new Set(sentences).size).toBe(tlsFailureReasons.length);
});

test.each([
  ['CERT_HAS_EXPIRED', 'cert_validation', 'has expired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'cert_validation', 'other names'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'handshake', 'asks for a client certificate'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'unknown_ca', 'does not accept the client certificate'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'handshake', 'no version of TLS'],
])('%s is told as what it is', (code, reason, sentence) => {
  const failure = tlsFailure('example.org', Object.assign(new Error(code), { code }));
  expect(failure.reply?.body).toContain(`(${reason}): `);
  expect(failure.reply?.body).toContain(sentence);
});
