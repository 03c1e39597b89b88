// A certificate authority: made, or loaded and checked. Whoever holds a CertificateAuthority holds one that
// can sign: a CA certificate in its validity, with its own key. The key never shows in JSON, in inspect
// output or in a message.
import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';

import {
  type CertificateFields,
  encodePem,
  fingerprintOf,
  keyCertSignBit,
  readCertificateFields,
  splitCertificatePems,
} from './certificate.ts';
import { CaError } from './errors.ts';

const dayMs = 86_400_000;
// RFC 5280 Appendix A.1, ub-common-name and ub-organization-name.
const maxNameLength = 64;

/** What a CA shows of itself: everything but its key. */
export interface CertificateAuthoritySummary {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** A CA certificate and its private key. Get one from `generateCa`, `loadCa` or `loadOrCreateCa`. */
export class CertificateAuthority {
  /** One PEM block, closing line break included. */
  readonly certificatePem: string;
  readonly certificateDer: Buffer;
  /** The subject as one line, for example `CN=soth-mitm Local CA, O=soth-mitm`. */
  readonly subject: string;
  /** SHA-256 of the DER in lower-case hex. */
  readonly fingerprint: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** False for an intermediate, which clients have to be sent beside the leaf. */
  readonly isSelfSigned: boolean;
  /** Raw names and key identifier, for whoever signs with this CA. */
  readonly fields: CertificateFields;
  readonly #privateKey: KeyObject;

  /** Takes material that has been checked to belong together; use `loadCa` for material from outside. */
  constructor(certificate: X509Certificate, privateKey: KeyObject) {
    this.certificateDer = certificate.raw;
    this.certificatePem = encodePem('CERTIFICATE', certificate.raw);
    this.subject = certificate.subject.replaceAll('\n', ', ');
    this.fingerprint = fingerprintOf(certificate.raw);
    this.notBefore = certificate.validFromDate;
    this.notAfter = certificate.validToDate;
    this.isSelfSigned = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
    this.fields = readCertificateFields(certificate.raw);
    this.#privateKey = privateKey;
  }

  get privateKey(): KeyObject {
    return this.#privateKey;
  }

  /** The private key as PKCS#8 PEM. The one way it leaves this object in clear. */
  privateKeyPem(): string {
    return this.#privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  toJSON(): CertificateAuthoritySummary {
    return {
      subject: this.subject,
      fingerprint: this.fingerprint,
      notBefore: this.notBefore.toISOString(),
      notAfter: this.notAfter.toISOString(),
    };
  }

  [inspect.custom](): string {
    return `CertificateAuthority ${inspect(this.toJSON())}`;
  }
}

/** What a new CA is called and how long it lives. */
export interface GenerateCaOptions {
  /** 1 to 64 characters; `soth-mitm Local CA` when left out. */
  readonly commonName?: string;
  /** 1 to 64 characters; `soth-mitm` when left out. */
  readonly organization?: string;
  /** Whole days from now, 1 to 36500; 3650 when left out. */
  readonly validityDays?: number;
  readonly now?: Date;
}

/**
 * Makes a self-signed ECDSA P-256 CA, valid from a day ago (client clocks are late) and with a random serial.
 * Throws {@link CaError} `OPERATION_FAILED` when an option is out of range.
 */
export async function generateCa(options: GenerateCaOptions = {}): Promise<CertificateAuthority> {
  const { commonName = 'soth-mitm Local CA', organization = 'soth-mitm', validityDays = 3650 } = options;
  requireName('commonName', commonName);
  requireName('organization', organization);
  if (!Number.isInteger(validityDays) || validityDays < 1 || validityDays > 36_500) {
    throw new CaError('OPERATION_FAILED', `validityDays is ${validityDays}: give whole days from 1 to 36500`);
  }
  const now = (options.now ?? new Date()).getTime();
  const { webcrypto, x509 } = await import('./webcrypto.ts');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const usage = x509.KeyUsageFlags;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomSerial().toString('hex'),
      name: new x509.Name([{ CN: [{ utf8String: commonName }] }, { O: [{ utf8String: organization }] }]),
      notBefore: new Date(now - dayMs),
      notAfter: new Date(now + validityDays * dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(usage.digitalSignature | usage.keyCertSign | usage.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return new CertificateAuthority(
    new X509Certificate(Buffer.from(certificate.rawData)),
    createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }),
  );
}

/** Where material came from and when it is judged. */
export interface LoadCaOptions {
  readonly now?: Date;
  /** Files to name in messages. */
  readonly certPath?: string;
  readonly keyPath?: string;
}

/**
 * Reads a CA from PEM: the first certificate block, and its key as PKCS#8, SEC 1 or PKCS#1. Throws {@link
 * CaError} `INVALID_MATERIAL` unless it is a CA certificate that may sign certificates, valid now, with the
 * EC P-256, EC P-384 or RSA (2048 bits or more) key that is given.
 */
export function loadCa(certPem: string, keyPem: string, options: LoadCaOptions = {}): CertificateAuthority {
  const certificate = parseCaCertificate(certPem, options.certPath);
  const privateKey = parseCaKey(keyPem, options.keyPath);
  if (!certificate.checkPrivateKey(privateKey)) {
    const [certName, keyName] = [named('the certificate', options.certPath), named('key', options.keyPath)];
    throw invalid(
      `the ${keyName} does not belong to ${certName}: give the two files that were made together`,
      {
        path: options.keyPath,
      },
    );
  }
  const now = options.now ?? new Date();
  const name = named('the CA certificate', options.certPath);
  if (certificate.validToDate < now) {
    throw invalid(`${name} expired on ${certificate.validToDate.toISOString()}: make a new CA`, {
      path: options.certPath,
    });
  }
  if (certificate.validFromDate > now) {
    const from = certificate.validFromDate.toISOString();
    throw invalid(`${name} is not valid before ${from}: check the clock, or make a new CA`, {
      path: options.certPath,
    });
  }
  return new CertificateAuthority(certificate, privateKey);
}

/** A serial of 16 random octets: positive, not zero and never shorter (RFC 5280 §4.1.2.2). */
export function randomSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function parseCaCertificate(certPem: string, path: string | undefined): X509Certificate {
  const name = named('the CA certificate', path);
  const [block] = splitCertificatePems(certPem);
  if (block === undefined) {
    throw invalid(`${name} holds no "BEGIN CERTIFICATE" block: give a certificate in PEM form`, { path });
  }
  let certificate: X509Certificate;
  let fields: CertificateFields;
  try {
    certificate = new X509Certificate(block);
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
  return certificate;
}

function parseCaKey(keyPem: string, path: string | undefined): KeyObject {
  const name = named('the CA key', path);
  if (keyPem.includes('BEGIN ENCRYPTED PRIVATE KEY') || keyPem.includes('Proc-Type: 4,ENCRYPTED')) {
    throw invalid(`${name} is encrypted: take off the passphrase with "openssl pkey -in KEY -out KEY.pem"`, {
      path,
    });
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch (cause) {
    throw invalid(`${name} is no private key in PEM form (PKCS#8, SEC 1 or PKCS#1)`, { path, cause });
  }
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const isUsable =
    key.asymmetricKeyType === 'ec'
      ? namedCurve === 'prime256v1' || namedCurve === 'secp384r1'
      : key.asymmetricKeyType === 'rsa' && (modulusLength ?? 0) >= 2048;
  if (!isUsable) {
    const got = [key.asymmetricKeyType, namedCurve ?? modulusLength].filter((part) => part !== undefined);
    throw invalid(`${name} is ${got.join(' ')}: use EC P-256, EC P-384 or RSA of 2048 bits or more`, {
      path,
    });
  }
  return key;
}

function requireName(option: string, value: string): void {
  if (value.trim() === '' || value.length > maxNameLength) {
    throw new CaError(
      'OPERATION_FAILED',
      `${option} is ${JSON.stringify(value)}: give 1 to ${maxNameLength} characters`,
    );
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
