// mitmproxy's sentences, as its releases 8 to 12 write them, against the classes that our own engine gives the same failures.
import { classifyTlsText } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { readMitmproxyFailure, silentFailure } from '../../src/mitmproxy/failure.ts';

const openSsl = (reason: string, routine = ''): string =>
  `OpenSSL Error([('SSL routines', '${routine}', '${reason}')])`;
const aboutClient = (core: string): string =>
  `The client does not trust the proxy's certificate for api.example.test (${core})`;
const maybeClient = (core: string): string =>
  `The client may not trust the proxy's certificate for ('192.0.2.1', 443) (${core})`;

describe('the client', () => {
  test.each([
    ['does not know the CA', aboutClient('tlsv1 alert unknown ca'), 'unknown_ca'],
    ['does not know the CA, by a later word', aboutClient(openSsl('ssl/tls alert unknown ca')), 'unknown_ca'],
    ['finds the certificate bad', aboutClient('sslv3 alert bad certificate'), 'cert_validation'],
    [
      'does not say what is wrong with it',
      aboutClient(openSsl('sslv3 alert certificate unknown')),
      'cert_validation',
    ],
    [
      'goes away',
      "The client disconnected during the handshake. If this happens consistently for a.test, this may indicate that the client does not trust the proxy's certificate.",
      'eof_or_reset',
    ],
    ['goes away early', 'connection closed early', 'eof_or_reset'],
    ['goes away in the middle', maybeClient(openSsl('unexpected eof while reading')), 'eof_or_reset'],
    ['has no cipher in common', maybeClient(openSsl('no shared cipher')), 'handshake'],
    [
      'refuses without a word',
      maybeClient(openSsl('sslv3 alert handshake failure', 'ssl3_read_bytes')),
      'handshake',
    ],
    [
      'speaks an old version',
      "Client and mitmproxy cannot agree on a TLS version to use. You may need to adjust mitmproxy's tls_version_client_min option.",
      'handshake',
    ],
    ['says what is no hello', 'Cannot parse ClientHello: 474554', 'handshake'],
  ])('%s', (_rule, text, reason) => {
    expect(readMitmproxyFailure(text).reason).toBe(reason);
  });
});

describe('the origin', () => {
  test.each([
    ['is signed by itself', 'Certificate verify failed: self-signed certificate', 'unknown_ca'],
    [
      'is signed by itself, as OpenSSL 1.1 says it',
      'Certificate verify failed: self signed certificate in certificate chain',
      'unknown_ca',
    ],
    [
      'is signed by somebody',
      'Certificate verify failed: unable to get local issuer certificate',
      'unknown_ca',
    ],
    [
      'leaves its chain out',
      'Certificate verify failed: unable to verify the first certificate',
      'unknown_ca',
    ],
    ['has another name', 'Certificate verify failed: hostname mismatch', 'cert_validation'],
    ['has expired', 'Certificate verify failed: certificate has expired', 'cert_validation'],
    ['has a weak key', 'Certificate verify failed: EE certificate key too weak', 'cert_validation'],
    ['does not speak TLS', 'The remote server does not speak TLS.', 'handshake'],
    [
      'speaks another version',
      "The remote server and mitmproxy cannot agree on a TLS version to use. You may need to adjust mitmproxy's tls_version_server_min option.",
      'handshake',
    ],
    ['wants a client certificate', openSsl('tlsv13 alert certificate required'), 'cert_validation'],
    ['takes its time', 'connection timed out', 'timeout'],
  ])('%s', (_rule, text, reason) => {
    expect(readMitmproxyFailure(text).reason).toBe(reason);
  });
});

test('the error is told in the words of OpenSSL, and of which kind it is', () => {
  expect(readMitmproxyFailure(maybeClient(openSsl('no shared cipher')))).toEqual({
    reason: 'handshake',
    errorClass: 'OpenSSL',
    errorCode: 'no shared cipher',
  });
  expect(readMitmproxyFailure('Certificate verify failed: certificate has expired')).toEqual({
    reason: 'cert_validation',
    errorClass: 'X509',
    errorCode: 'certificate has expired',
  });
});

test('of several errors the last one counts, which is the one that ended the handshake', () => {
  const text = `OpenSSL Error([('SSL routines', '', 'unexpected message'), ('SSL routines', '', 'tlsv1 alert unknown ca')])`;
  expect(readMitmproxyFailure(text)).toMatchObject({
    errorCode: 'tlsv1 alert unknown ca',
    reason: 'unknown_ca',
  });
});

test.each([
  'x509: certificate signed by unknown issuer',
  'hostname mismatch',
  'remote error: tls: handshake failure',
  'connection reset by peer',
  'request timed out during handshake',
  'some unrelated error',
])('words of others mean what they mean elsewhere: %s', (text) => {
  expect(readMitmproxyFailure(text)).toEqual({ reason: classifyTlsText(text) });
});

test('silence is of no class', () => {
  expect(readMitmproxyFailure(silentFailure).reason).toBe('other');
});
