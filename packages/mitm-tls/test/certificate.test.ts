import { X509Certificate } from 'node:crypto';

import { beforeAll, expect, test } from 'vitest';

import {
  decodePem,
  encodePem,
  fingerprintOf,
  findPrivateKeyPem,
  readCertificateFields,
  splitCertificatePems,
} from '../src/certificate.ts';
import { x509 } from '../src/webcrypto.ts';
import { makeIntermediate, makeMaterial, type Material } from './authorities.ts';

let root: Material;
let intermediate: Material;

beforeAll(async () => {
  root = await makeMaterial({ hasKeyIdentifier: false });
  intermediate = await makeIntermediate(root);
});

test('names are the raw ones: an intermediate names its root as the root names itself', () => {
  const ofRoot = readCertificateFields(decodePem(root.certPem));
  const ofIntermediate = readCertificateFields(decodePem(intermediate.certPem));
  expect(ofIntermediate.issuerName.equals(ofRoot.subjectName)).toBe(true);
  expect(ofIntermediate.subjectName.equals(ofRoot.subjectName)).toBe(false);
});

test('a key identifier that the certificate states is taken as it is', () => {
  const { keyIdentifier } = readCertificateFields(decodePem(intermediate.certPem));
  const stated = new x509.X509Certificate(intermediate.certPem).getExtension(
    x509.SubjectKeyIdentifierExtension,
  );
  expect(keyIdentifier.toString('hex')).toBe(stated?.keyId);
});

test('where it states none, the identifier is the SHA-1 of the key bits', async () => {
  const { keyIdentifier } = readCertificateFields(decodePem(root.certPem));
  const expected = await x509.SubjectKeyIdentifierExtension.create(
    new x509.X509Certificate(root.certPem).publicKey,
  );
  expect(keyIdentifier.toString('hex')).toBe(expected.keyId);
});

test('key usage bits are read', () => {
  expect(readCertificateFields(decodePem(root.certPem)).keyUsage).toBe(0x04);
  expect(readCertificateFields(decodePem(intermediate.certPem)).keyUsage).toBe(0x04);
});

test('what is no certificate is refused', () => {
  expect(() => readCertificateFields(Buffer.from('3000', 'hex'))).toThrow(RangeError);
  expect(() => readCertificateFields(Buffer.from('30023000', 'hex'))).toThrow(RangeError);
});

test('PEM goes there and back', () => {
  const der = Buffer.from('a'.repeat(100));
  const pem = encodePem('CERTIFICATE', der);
  expect(pem.split('\n').every((line) => line.length <= 64)).toBe(true);
  expect(decodePem(pem).equals(der)).toBe(true);
});

test('certificates are found among other blocks and text', () => {
  const text = `# ours\n${root.certPem}\n${root.keyPem}\nleft over\r\n${intermediate.certPem}`;
  expect(splitCertificatePems(text).map((pem) => decodePem(pem))).toEqual([
    decodePem(root.certPem),
    decodePem(intermediate.certPem),
  ]);
});

test('the fingerprint is the SHA-256 of the DER', () => {
  const platform = new X509Certificate(root.certPem).fingerprint256.replaceAll(':', '').toLowerCase();
  expect(fingerprintOf(decodePem(root.certPem))).toBe(platform);
});

test.each([
  ['none', undefined],
  ['0', 0],
  ['3', 3],
  ['of two octets', 300],
])('a path length is read: %s', async (_rule, pathLength) => {
  const { certPem } = await makeMaterial(pathLength === undefined ? {} : { pathLength });
  expect(readCertificateFields(decodePem(certPem)).pathLength).toBe(pathLength);
});

test.each([
  ['PKCS#8', '-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----'],
  ['encrypted', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA\n-----END ENCRYPTED PRIVATE KEY-----'],
  ['SEC 1', '-----BEGIN EC PRIVATE KEY-----\nAA\n-----END EC PRIVATE KEY-----'],
])('a private key is found among other blocks: %s', (_form, block) => {
  const certificate = '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n';
  expect(findPrivateKeyPem(`${certificate}${block}\n${certificate}`)).toBe(block);
  expect(findPrivateKeyPem(certificate)).toBeUndefined();
});
