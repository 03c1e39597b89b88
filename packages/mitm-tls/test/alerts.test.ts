import { describe, expect, test } from 'vitest';

import { alertNames, alertOf } from '../src/alerts.ts';

const coded = (code: string, message = 'no number'): Error => Object.assign(new Error(message), { code });

describe('the alert behind an error', () => {
  test.each([...alertNames])('number %i is %s', (number, name) => {
    const text = `error:0A000418:SSL routines:ssl3_read_bytes:words:rec.c:1605:SSL alert number ${number}\n`;
    expect(alertOf(coded('EPROTO', text))).toEqual({ number, name });
  });

  test('a number without a name is unassigned', () => {
    expect(alertOf(new Error('SSL alert number 255'))).toEqual({ number: 255, name: 'unassigned' });
  });

  test.each<[string, number]>([
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 40],
    ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 40],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 42],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 42],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN', 46],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 48],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 70],
    ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', 120],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 112],
    ['ERR_SSL_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE', 113],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 116],
  ])('%s, of whichever release, is number %i', (code, number) => {
    expect(alertOf(coded(code))?.number).toBe(number);
  });

  test.each([
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    'ECONNRESET',
    'CERT_HAS_EXPIRED',
  ])('behind %s is none: nobody sent it', (code) => {
    expect(alertOf(coded(code))).toBeUndefined();
  });
});
