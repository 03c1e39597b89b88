import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';

import { beforeAll, describe, expect, test } from 'vitest';

import { type CertificateAuthority, generateCa, loadCa, randomSerial } from '../src/ca.ts';
import { webcrypto, x509 } from '../src/webcrypto.ts';
import { type AuthorityOptions, dayMs, makeMaterial } from './authorities.ts';

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

  test('it is a CA without path limit that may sign certificates and lists, both critical', () => {
    const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
    expect(constraints).toMatchObject({ ca: true, pathLength: undefined, critical: true });
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

  test('the key shows neither in JSON nor in inspect output', () => {
    const secret = ca.privateKeyPem().split('\n')[1] ?? '';
    const shown =
      JSON.stringify(ca) + inspect(ca, { depth: 9, showHidden: true }) + JSON.stringify(Object.entries(ca));
    expect(shown).toContain(ca.fingerprint);
    expect(shown).not.toContain(secret);
    expect(shown).not.toMatch(/PrivateKey|PRIVATE/);
  });
});

describe('loadCa', () => {
  test('CA-12 what was generated is loaded: same PEMs, same fingerprint', async () => {
    const made = await generateCa();
    const loaded = loadCa(made.certificatePem, made.privateKeyPem());
    expect(loaded.certificatePem).toBe(made.certificatePem);
    expect(loaded.privateKeyPem()).toBe(made.privateKeyPem());
    expect(loaded.fingerprint).toBe(made.fingerprint);
    expect(loaded.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ['EC P-256, PKCS#8', 'P-256', 'pkcs8'],
    ['EC P-256, SEC 1', 'P-256', 'sec1'],
    ['EC P-384, SEC 1', 'P-384', 'sec1'],
    ['RSA, PKCS#1', 'RSA-2048', 'pkcs1'],
  ] as const)('a key is taken as %s', async (_form, key, type) => {
    const material = await makeMaterial({ key });
    const keyPem = material.key.export({ type, format: 'pem' }).toString();
    expect(loadCa(material.certPem, keyPem).subject).toBe(`CN=Test CA ${key}`);
  });

  test('of several certificates the first is the CA', async () => {
    const [first, second] = await Promise.all([makeMaterial(), makeMaterial()]);
    const ca = loadCa(`comment\n${first.certPem}\n${second.certPem}`, first.keyPem);
    expect(ca.fingerprint).toBe(
      new X509Certificate(first.certPem).fingerprint256.replaceAll(':', '').toLowerCase(),
    );
  });

  test.each<[string, AuthorityOptions, RegExp]>([
    ['a certificate that is no CA', { isCa: false }, /is no CA/],
    ['a CA that must not sign certificates', { keyUsage: 'digitalSignature' }, /keyCertSign/],
    ['an expired CA', { notAfter: new Date(Date.now() - 1000) }, /expired on .*make a new CA/],
    ['a CA of tomorrow', { notBefore: new Date(Date.now() + dayMs) }, /not valid before .*check the clock/],
    ['a P-521 key', { key: 'P-521' }, /ec secp521r1: use EC P-256, EC P-384 or RSA/],
    ['an RSA key of 1024 bits', { key: 'RSA-1024' }, /rsa 1024: use EC P-256/],
  ])('%s is refused', async (_rule, options, message) => {
    const { certPem, keyPem } = await makeMaterial(options);
    expect(() => loadCa(certPem, keyPem)).toThrow(expect.objectContaining({ code: 'INVALID_MATERIAL' }));
    expect(() => loadCa(certPem, keyPem)).toThrow(message);
  });

  test('refusals name the file and what to do', async () => {
    const { certPem, keyPem } = await makeMaterial();
    const other = await makeMaterial();
    const paths = { certPath: '/ca/cert.pem', keyPath: '/ca/key.pem' };
    const encrypted = other.key
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString();
    const broken = certPem.replace(/\n[^\n]{20}/, '\nAAAA');
    for (const [cert, key, path, message] of [
      ['', keyPem, paths.certPath, /holds no "BEGIN CERTIFICATE" block/],
      [broken, keyPem, paths.certPath, /cannot be read/],
      [certPem, '', paths.keyPath, /is no private key in PEM form/],
      [certPem, certPem, paths.keyPath, /is no private key in PEM form/],
      [certPem, encrypted, paths.keyPath, /is encrypted: take off the passphrase/],
      [certPem, other.keyPem, paths.keyPath, /does not belong to the certificate \/ca\/cert.pem/],
    ] as const) {
      const load = (): unknown => loadCa(cert, key, paths);
      expect(load).toThrow(message);
      expect(load).toThrow(expect.objectContaining({ code: 'INVALID_MATERIAL', path }));
    }
  });

  test('an Ed25519 key is refused by name', async () => {
    const { certPem } = await makeMaterial();
    const keyPem = generateKeyPairSync('ed25519')
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString();
    expect(() => loadCa(certPem, keyPem)).toThrow(/the CA key is ed25519: use/);
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
