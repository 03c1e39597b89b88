// Reads an authority from PEM in whatever form its owner has it: certificate and key in two texts or in one, the key
// encrypted or not, an intermediate with the authorities above it. What is no usable authority is refused with the
// reason; neither key nor passphrase is ever part of it.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

import { CertificateAuthority } from './ca.ts';
import {
  type CertificateFields,
  findPrivateKeyPem,
  keyCertSignBit,
  readCertificateFields,
  splitCertificatePems,
} from './certificate.ts';
import { CaError } from './errors.ts';

const usableKeys = 'EC P-256, P-384 or P-521, or RSA of 2048 bits or more';
const usableCurves: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** Where material came from, when it is judged, and what opens its key. */
export interface LoadCaOptions {
  readonly now?: Date;
  /** What an encrypted key is decrypted with; not looked at for one that is not encrypted. */
  readonly passphrase?: string | undefined;
  /** Files to name in messages. */
  readonly certPath?: string;
  readonly keyPath?: string;
}

/**
 * Reads a CA from PEM: its key as PKCS#8 (encrypted or not), SEC 1 or PKCS#1, and of the certificates in both texts the
 * one that belongs to the key. Others may follow in any order: those above an intermediate are sent with its leaves, a
 * root never is. Both texts may be the same one. Throws {@link CaError} `INVALID_MATERIAL` unless it is a CA certificate
 * that may sign certificates, valid now, that the certificates above it allow to be one.
 */
export function loadCa(certPem: string, keyPem: string, options: LoadCaOptions = {}): CertificateAuthority {
  const privateKey = parseCaKey(keyPem, options);
  const candidates = parseCertificates(certPem, options.certPath);
  const isOwn = (found: X509Certificate): boolean => found.checkPrivateKey(privateKey);
  // A key file that holds its certificate too is whole by itself.
  const certificate = candidates.find(isOwn) ?? certificatesIn(keyPem).find(isOwn);
  if (certificate === undefined) {
    const [certName, keyName] = [named('the certificate', options.certPath), named('key', options.keyPath)];
    throw invalid(
      `the ${keyName} does not belong to ${certName}: give the two files that were made together`,
      {
        path: options.keyPath,
      },
    );
  }
  const now = options.now ?? new Date();
  requireAuthority(certificate, options.certPath);
  requireValid(certificate, now, options.certPath);
  const issuers = issuersOf(certificate, candidates);
  requirePath(issuers, now, options.certPath);
  return new CertificateAuthority(
    certificate,
    privateKey,
    issuers.filter((issuer) => !isSelfIssued(issuer)),
  );
}

function parseCertificates(certPem: string, path: string | undefined): readonly X509Certificate[] {
  const name = named('the CA certificate', path);
  if (splitCertificatePems(certPem).length === 0) {
    throw invalid(`${name} holds no "BEGIN CERTIFICATE" block: give a certificate in PEM form`, { path });
  }
  try {
    return certificatesIn(certPem);
  } catch (cause) {
    throw invalid(`${name} cannot be read: give a whole certificate in PEM form`, { path, cause });
  }
}

function certificatesIn(pem: string): readonly X509Certificate[] {
  return splitCertificatePems(pem).map((block) => new X509Certificate(block));
}

function requireAuthority(certificate: X509Certificate, path: string | undefined): void {
  const name = named('the CA certificate', path);
  let fields: CertificateFields;
  try {
    fields = readCertificateFields(certificate.raw);
  } catch (cause) {
    throw invalid(`${name} cannot be read: give a whole certificate in PEM form`, { path, cause });
  }
  if (fields.keyUsage !== undefined && (fields.keyUsage & keyCertSignBit) === 0) {
    throw invalid(`${name} must not sign certificates (no keyCertSign): give a CA certificate`, { path });
  }
  if (!certificate.ca) {
    throw invalid(`${name} is no CA (basicConstraints CA is not set): give a CA certificate`, { path });
  }
}

function requireValid(certificate: X509Certificate, now: Date, path: string | undefined): void {
  const name = named('the CA certificate', path);
  if (certificate.validToDate < now) {
    throw invalid(`${name} expired on ${certificate.validToDate.toISOString()}: make a new CA`, { path });
  }
  if (certificate.validFromDate > now) {
    const from = certificate.validFromDate.toISOString();
    throw invalid(`${name} is not valid before ${from}: check the clock, or make a new CA`, { path });
  }
}

/** The authorities above a certificate among `others`, nearest first, as far as they are there. */
function issuersOf(certificate: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const issuers: X509Certificate[] = [];
  let current: X509Certificate | undefined = certificate;
  while (current !== undefined && !isSelfIssued(current) && issuers.length < others.length) {
    const child: X509Certificate = current;
    current = others.find((other) => child.checkIssued(other) && child.verify(other.publicKey));
    if (current !== undefined) issuers.push(current);
  }
  return issuers;
}

/** RFC 5280 §4.2.1.9: the nearest issuer may stand above one authority, the next above two, if they allow it. */
function requirePath(issuers: readonly X509Certificate[], now: Date, path: string | undefined): void {
  const name = named('the CA certificate', path);
  for (const [index, issuer] of issuers.entries()) {
    const subject = issuer.subject.replaceAll('\n', ', ');
    const { pathLength } = readCertificateFields(issuer.raw);
    if (!issuer.ca || (pathLength !== undefined && pathLength <= index)) {
      throw invalid(
        `${name} is not allowed to be a CA by "${subject}" above it ` +
          `(${issuer.ca ? `path length ${pathLength}` : 'which is none itself'}): no client would accept what it signs`,
        { path },
      );
    }
    if (issuer.validToDate < now) {
      throw invalid(
        `${name} is below "${subject}", which expired on ${issuer.validToDate.toISOString()}: renew it`,
        {
          path,
        },
      );
    }
  }
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function parseCaKey(keyPem: string, options: LoadCaOptions): KeyObject {
  const { keyPath: path } = options;
  const name = named('the CA key', path);
  const key = decryptedKey(findPrivateKeyPem(keyPem) ?? keyPem, name, options);
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const isUsable =
    key.asymmetricKeyType === 'ec'
      ? usableCurves.has(namedCurve ?? '')
      : key.asymmetricKeyType === 'rsa' && (modulusLength ?? 0) >= 2048;
  if (!isUsable) {
    const got = [key.asymmetricKeyType, namedCurve ?? modulusLength].filter((part) => part !== undefined);
    throw invalid(`${name} is ${got.join(' ')}: use ${usableKeys}`, { path });
  }
  return key;
}

function decryptedKey(block: string, name: string, { passphrase, keyPath: path }: LoadCaOptions): KeyObject {
  if (!block.includes('BEGIN ENCRYPTED PRIVATE KEY') && !block.includes('Proc-Type: 4,ENCRYPTED')) {
    try {
      return createPrivateKey(block);
    } catch (cause) {
      throw invalid(`${name} is no private key in PEM form (PKCS#8, SEC 1 or PKCS#1)`, { path, cause });
    }
  }
  if (passphrase === undefined) {
    throw invalid(
      `${name} is encrypted: give its passphrase, or take it off with "openssl pkey -in KEY -out KEY.pem"`,
      { path },
    );
  }
  try {
    return createPrivateKey({ key: block, passphrase });
  } catch (cause) {
    throw invalid(`${name} cannot be decrypted with the passphrase that is given: check the passphrase`, {
      path,
      cause,
    });
  }
}

function named(what: string, path: string | undefined): string {
  return path === undefined ? what : `${what} ${path}`;
}

function invalid(
  message: string,
  about: { readonly path: string | undefined; readonly cause?: unknown },
): CaError {
  return new CaError('INVALID_MATERIAL', message, {
    ...(about.path === undefined ? {} : { path: about.path }),
    ...(about.cause === undefined ? {} : { cause: about.cause }),
  });
}
