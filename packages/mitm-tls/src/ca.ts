// A certificate authority, and making one. Whoever holds a CertificateAuthority holds one that can sign: a CA
// certificate in its validity, with its own key. The key never shows in JSON, in inspect output or in a message.
import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';

import { type CertificateFields, encodePem, fingerprintOf, readCertificateFields } from './certificate.ts';
import { CaError } from './errors.ts';

const dayMs = 86_400_000;
/** How far in the past the validity of an authority that is made here begins, in milliseconds. */
export const caBackdateMs: number = dayMs;
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
  /**
   * What a server sends behind a leaf: nothing for a root; for an intermediate, its own certificate and those of
   * the authorities above it, without their root (RFC 8446 §4.4.2).
   */
  readonly chainPem: string;
  /** When the first of its own certificate and those it sends ends: nothing it signs is good for longer. */
  readonly signsUntil: Date;
  /** Raw names and key identifier, for whoever signs with this CA. */
  readonly fields: CertificateFields;
  readonly #privateKey: KeyObject;

  /**
   * Takes material that has been checked to belong together; use `loadCa` for material from outside. `issuers` are the
   * intermediates above it, nearest first, without their root.
   */
  constructor(certificate: X509Certificate, privateKey: KeyObject, issuers: readonly X509Certificate[] = []) {
    this.certificateDer = certificate.raw;
    this.certificatePem = encodePem('CERTIFICATE', certificate.raw);
    this.subject = certificate.subject.replaceAll('\n', ', ');
    this.fingerprint = fingerprintOf(certificate.raw);
    this.notBefore = certificate.validFromDate;
    this.notAfter = certificate.validToDate;
    this.isSelfSigned = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
    const sent = this.isSelfSigned ? [] : [certificate, ...issuers];
    this.chainPem = sent.map(({ raw }) => encodePem('CERTIFICATE', raw)).join('');
    this.signsUntil = new Date(
      Math.min(this.notAfter.getTime(), ...sent.map(({ validToDate }) => validToDate.getTime())),
    );
    this.fields = readCertificateFields(certificate.raw);
    this.#privateKey = privateKey;
  }

  get privateKey(): KeyObject {
    return this.#privateKey;
  }

  /**
   * The private key as PKCS#8 PEM, encrypted with AES-256 where a passphrase is given. The one way it leaves this
   * object.
   */
  privateKeyPem(passphrase?: string): string {
    const protection = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
    return this.#privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }).toString();
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
 * Makes a self-signed ECDSA P-256 CA, valid from {@link caBackdateMs} ago (client clocks are late), with a random serial
 * and a path length of 0: it signs leaves and no other authority.
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
      notBefore: new Date(now - caBackdateMs),
      notAfter: new Date(now + validityDays * dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
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

/** A serial of 16 random octets: positive, not zero and never shorter (RFC 5280 §4.1.2.2). */
export function randomSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function requireName(option: string, value: string): void {
  if (value.trim() === '' || value.length > maxNameLength) {
    throw new CaError(
      'OPERATION_FAILED',
      `${option} is ${JSON.stringify(value)}: give 1 to ${maxNameLength} characters`,
    );
  }
}
