// An authority for origins that shares nothing with the proxy's own: certificates come from @peculiar/x509 and the platform's
// WebCrypto, so that what the proxy makes and what it verifies are never proved by the same code.
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 does not load without it
import 'reflect-metadata';
import { KeyObject, randomBytes, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

import * as x509 from '@peculiar/x509';

import { type TemporaryDirectory, temporaryDirectory } from './temporary.ts';

const dayMs = 24 * 60 * 60 * 1000;
const signing = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** What may be wrong with a certificate on purpose. */
export interface IssueOptions {
  /** Its time ended yesterday. */
  readonly expired?: boolean;
  /** Its time begins tomorrow. */
  readonly notYetValid?: boolean;
  /** Signed by its own key instead of the authority's. */
  readonly selfSigned?: boolean;
}

export interface IssuedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A certificate authority for lab origins. Disposing of it removes the file that {@link LabAuthority.caFile} wrote. */
export interface LabAuthority extends AsyncDisposable {
  readonly caPem: string;
  /** A server certificate for DNS names and IP addresses (IPv6 without brackets); the first one is the common name. */
  issue(names: readonly string[], options?: IssueOptions): Promise<IssuedCertificate>;
  /** The path of a PEM file with the authority's certificate, written at the first call. */
  caFile(): Promise<string>;
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await crypto.subtle.generateKey(signing, true, ['sign', 'verify']);
}

function keyPemOf(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString();
}

function serialNumber(): string {
  const bytes = randomBytes(12);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f); // positive, and never a leading zero byte
  return bytes.toString('hex');
}

function validity(options: IssueOptions): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  if (options.expired === true) {
    return { notBefore: new Date(now - 30 * dayMs), notAfter: new Date(now - dayMs) };
  }
  if (options.notYetValid === true) {
    return { notBefore: new Date(now + dayMs), notAfter: new Date(now + 30 * dayMs) };
  }
  return { notBefore: new Date(now - dayMs), notAfter: new Date(now + 30 * dayMs) };
}

async function makeAuthority(keys: webcrypto.CryptoKeyPair, name: string): Promise<x509.X509Certificate> {
  return await x509.X509CertificateGenerator.createSelfSigned(
    {
      name,
      keys,
      signingAlgorithm: signing,
      serialNumber: serialNumber(),
      ...validity({}),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
}

async function leafExtensions(
  names: readonly string[],
  publicKey: webcrypto.CryptoKey,
  issuerKey: webcrypto.CryptoKey,
): Promise<x509.Extension[]> {
  const alternatives = names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }) as const);
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension(alternatives),
    await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
    await x509.AuthorityKeyIdentifierExtension.create(issuerKey, false, crypto),
  ];
}

/** Makes a new authority with its own key. It costs a few milliseconds: one for a test file is plenty. */
export async function createLabAuthority(commonName = 'Lab origin authority'): Promise<LabAuthority> {
  const authorityName = `CN=${commonName}`;
  const authorityKeys = await makeKeys();
  const certificate = await makeAuthority(authorityKeys, authorityName);
  const caPem = `${certificate.toString('pem')}\n`;
  let folder: Promise<TemporaryDirectory> | undefined;

  return {
    caPem,
    async issue(names, options = {}) {
      const [first] = names;
      if (first === undefined) throw new TypeError('a certificate needs at least one name, received none');
      const keys = await makeKeys();
      const isSelfSigned = options.selfSigned === true;
      const subject = `CN=${first}`;
      const signer = isSelfSigned ? keys : authorityKeys;
      const leaf = await x509.X509CertificateGenerator.create(
        {
          subject,
          issuer: isSelfSigned ? subject : authorityName,
          publicKey: keys.publicKey,
          signingKey: signer.privateKey,
          signingAlgorithm: signing,
          serialNumber: serialNumber(),
          ...validity(options),
          extensions: await leafExtensions(names, keys.publicKey, signer.publicKey),
        },
        crypto,
      );
      return { certPem: `${leaf.toString('pem')}\n`, keyPem: keyPemOf(keys.privateKey) };
    },
    async caFile() {
      folder ??= temporaryDirectory('soth-lab-ca-');
      return await (await folder).write('ca.pem', caPem);
    },
    async [Symbol.asyncDispose]() {
      await (await folder)?.[Symbol.asyncDispose]();
    },
  };
}
