import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';

import { beforeAll, describe, expect, test } from 'vitest';

import { type CertificateAuthority, generateCa, randomSerial } from '../src/ca.ts';
import { webcrypto, x509 } from '../src/webcrypto.ts';
import { dayMs } from './authorities.ts';

describe('generateCa', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  let ca: CertificateAuthority;
  let certificate: x509.X509Certificate;

  beforeAll(async () => {
    ca = await generateCa({ now });
    certificate = new x509.X509Certificate(ca.certificatePem);
  });

  test('the names are the documented ones', () => {
    expect(ca.subject).toBe('CN=soth-mitm Local CA, O=soth-mitm');
    expect(certificate.issuer).toBe(certificate.subject);
  });

  test('it is valid from a day ago for ten years', () => {
    expect(ca.notBefore).toEqual(new Date(now.getTime() - dayMs));
    expect(ca.notAfter).toEqual(new Date(now.getTime() + 3650 * dayMs));
  });

  test('it is a CA for leaves only that may sign certificates and lists, both critical', () => {
    const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
    expect(constraints).toMatchObject({ ca: true, pathLength: 0, critical: true });
    const usage = x509.KeyUsageFlags;
    expect(certificate.getExtension(x509.KeyUsagesExtension)).toMatchObject({
      usages: usage.digitalSignature | usage.keyCertSign | usage.cRLSign,
      critical: true,
    });
  });

  test('subject and authority key identifiers are the same', () => {
    const subject = certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
    expect(subject).toBe(ca.fields.keyIdentifier.toString('hex'));
    expect(certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId).toBe(subject);
  });

  test('the key is P-256 and has signed it', async () => {
    expect(ca.privateKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(new X509Certificate(ca.certificatePem).verify(createPublicKey(ca.privateKey))).toBe(true);
    expect(await certificate.verify({ date: now }, webcrypto)).toBe(true);
    expect(ca.isSelfSigned).toBe(true);
  });

  test('names are taken as they are, special characters included', async () => {
    const other = await generateCa({ commonName: '#1, "Zürich"', organization: 'A+B=C', now });
    const name = new x509.X509Certificate(other.certificatePem).subjectName;
    expect(name.getField('CN')).toEqual(['#1, "Zürich"']);
    expect(name.getField('O')).toEqual(['A+B=C']);
  });

  test.each([
    ['a blank name', { commonName: '  ' }],
    ['a name of 65 characters', { organization: 'x'.repeat(65) }],
    ['no days', { validityDays: 0 }],
    ['half days', { validityDays: 1.5 }],
  ])('%s is refused', async (_rule, options) => {
    await expect(generateCa(options)).rejects.toMatchObject({ name: 'CaError', code: 'OPERATION_FAILED' });
  });

  test('with a passphrase the key leaves it encrypted', () => {
    const pem = ca.privateKeyPem('correct horse');
    expect(pem).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
    const opened = createPrivateKey({ key: pem, passphrase: 'correct horse' });
    expect(opened.equals(ca.privateKey)).toBe(true);
  });

  test('nothing is sent behind its leaves, and it signs until its end', () => {
    expect(ca.chainPem).toBe('');
    expect(ca.signsUntil).toEqual(ca.notAfter);
  });

  test('the key shows neither in JSON nor in inspect output', () => {
    const secret = ca.privateKeyPem().split('\n')[1] ?? '';
    const shown =
      JSON.stringify(ca) + inspect(ca, { depth: 9, showHidden: true }) + JSON.stringify(Object.entries(ca));
    expect(shown).toContain(ca.fingerprint);
    expect(shown).not.toContain(secret);
    expect(shown).not.toMatch(/PrivateKey|PRIVATE/);
  });
});

test('serials are 16 octets, positive, and differ over 10 000', () => {
  const serials = new Set<string>();
  for (let count = 0; count < 10_000; count += 1) {
    const serial = randomSerial();
    expect(((serial[0] ?? 0) & 0xc0) === 0x40 && serial.length === 16).toBe(true);
    serials.add(serial.toString('hex'));
  }
  expect(serials.size).toBe(10_000);
});
