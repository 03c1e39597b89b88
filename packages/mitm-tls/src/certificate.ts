// What `crypto.X509Certificate` does not tell but an issuer needs: raw names, the key identifier, the key
// usage bits; and PEM. The input has been accepted by OpenSSL before it comes here, so this file reads and
// does not judge.
import { createHash } from 'node:crypto';

import { type DerElement, derTags, encodeOid, readChildren, readElement } from './der.ts';

/** Fields of a certificate as they stand in its DER. Buffers are views into it. */
export interface CertificateFields {
  /** The issuer's Name, tag and length included. */
  readonly issuerName: Buffer;
  /** The subject's Name, tag and length included. */
  readonly subjectName: Buffer;
  /**
   * The subjectKeyIdentifier, or what RFC 5280 §4.2.1.2 (1) makes of the public key where the extension is
   * missing.
   */
  readonly keyIdentifier: Buffer;
  /** The keyUsage bits, most significant first, or undefined where the extension is missing. */
  readonly keyUsage: number | undefined;
  /** How many authorities may stand between this one and a leaf, or undefined where there is no limit. */
  readonly pathLength: number | undefined;
}

/** keyUsage bit of keyCertSign in {@link CertificateFields.keyUsage} (RFC 5280 §4.2.1.3). */
export const keyCertSignBit = 0x04;

const subjectKeyIdentifierOid = encodeOid('2.5.29.14');
const keyUsageOid = encodeOid('2.5.29.15');
const basicConstraintsOid = encodeOid('2.5.29.19');

/** Reads the fields of a DER certificate. Throws RangeError when the bytes are not one. */
export function readCertificateFields(certificateDer: Buffer): CertificateFields {
  const [tbs] = readChildren(readElement(certificateDer).content);
  if (tbs === undefined) throw new RangeError('DER: an empty certificate');
  // [0] version is there in every v3 certificate and missing in v1 ones (RFC 5280 §4.1.2.1).
  const all = readChildren(tbs.content);
  const fields = all[0]?.tag === 0xa0 ? all.slice(1) : all;
  const [, , issuer, , subject, publicKey] = fields;
  if (issuer === undefined || subject === undefined || publicKey === undefined) {
    throw new RangeError('DER: a certificate without issuer, subject or public key');
  }
  const extensions = readExtensions(fields.find((field) => field.tag === 0xa3));
  const keyIdentifier = extensions.get(subjectKeyIdentifierOid.toString('hex'));
  const keyUsage = extensions.get(keyUsageOid.toString('hex'));
  return {
    issuerName: issuer.raw,
    subjectName: subject.raw,
    keyIdentifier:
      keyIdentifier === undefined ? keyIdentifierOf(publicKey.raw) : readElement(keyIdentifier).content,
    keyUsage: keyUsage === undefined ? undefined : (readElement(keyUsage).content[1] ?? 0),
    pathLength: readPathLength(extensions.get(basicConstraintsOid.toString('hex'))),
  };
}

/** SHA-1 of the public key bits (not of the whole SubjectPublicKeyInfo): RFC 5280 §4.2.1.2 (1). */
export function keyIdentifierOf(subjectPublicKeyInfo: Buffer): Buffer {
  const [, bits] = readChildren(readElement(subjectPublicKeyInfo).content);
  if (bits?.tag !== derTags.bitString) throw new RangeError('DER: a public key without key bits');
  return createHash('sha1').update(bits.content.subarray(1)).digest();
}

/** SHA-256 of the DER in lower-case hex: the fingerprint used throughout. */
export function fingerprintOf(certificateDer: Uint8Array): string {
  return createHash('sha256').update(certificateDer).digest('hex');
}

/** A PEM block of `label` with lines of 64 characters and a closing line break (RFC 7468). */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  let text = `-----BEGIN ${label}-----\n`;
  for (let at = 0; at < base64.length; at += 64) text += `${base64.slice(at, at + 64)}\n`;
  return `${text}-----END ${label}-----\n`;
}

/** The certificate blocks of a PEM text, in order; other blocks and text between them are passed over. */
export function splitCertificatePems(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
}

/** The first private key block of a PEM text, encrypted or not, or undefined where there is none. */
export function findPrivateKeyPem(text: string): string | undefined {
  return /-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----[^]*?-----END \1-----/.exec(text)?.[0];
}

/** The octets of one PEM block; what is not base64 in it is ignored. */
export function decodePem(block: string): Buffer {
  return Buffer.from(block.replaceAll(/-----[^-]+-----/g, ''), 'base64');
}

function readPathLength(constraints: Buffer | undefined): number | undefined {
  if (constraints === undefined) return undefined;
  const length = readChildren(readElement(constraints).content).find(({ tag }) => tag === derTags.integer);
  return length?.content.reduce((value, octet) => value * 256 + octet, 0);
}

function readExtensions(wrapper: DerElement | undefined): ReadonlyMap<string, Buffer> {
  const values = new Map<string, Buffer>();
  if (wrapper === undefined) return values;
  for (const extension of readChildren(readElement(wrapper.content).content)) {
    const parts = readChildren(extension.content);
    const [oid] = parts;
    const value = parts.at(-1);
    if (oid !== undefined && value !== undefined) values.set(oid.raw.toString('hex'), value.content);
  }
  return values;
}
