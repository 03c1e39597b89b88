// What the revocation status stapled to an origin's handshake is worth: whether it is there, is about this very certificate, was signed
// by its authority and is of today. Nothing is fetched from anywhere; only what the origin shows is judged.
import { createHash, type KeyObject, verify, X509Certificate } from 'node:crypto';

import { readCertificateFields } from './certificate.ts';
import { derTags, encodeOid, readChildren, readElement } from './der.ts';
import { type OcspResponse, parseOcspResponse, type SingleResponse } from './ocsp-response.ts';

/**
 * What is done about revocation: `off` asks origins for nothing, `passive_observe` asks for their stapled status and reports it,
 * `enforce` also refuses a certificate that its staple calls revoked, and one that promises a staple and comes without a good one.
 */
export const revocationModes = ['off', 'passive_observe', 'enforce'] as const;
export type RevocationMode = (typeof revocationModes)[number];

/** The four revocation facts of a TLS event, in its words. */
export interface RevocationFacts {
  readonly upstreamOcspStaplePresent: 'true' | 'false' | 'unknown' | 'not_applicable';
  readonly upstreamOcspStapleStatus:
    | 'present'
    | 'revoked'
    | 'invalid'
    | 'missing'
    | 'not_checked'
    | 'not_applicable';
  readonly revocationPolicyMode: RevocationMode;
  readonly revocationDecision:
    | 'signal_present'
    | 'signal_revoked'
    | 'signal_invalid_staple'
    | 'signal_missing_staple'
    | 'no_signal'
    | 'not_applicable';
}

/** A staple as a handshake brought it. */
export interface Staple {
  /** The response; null when the origin stapled none, undefined when nobody asked, or a session was resumed. */
  readonly response: Buffer | null | undefined;
  readonly certificate: X509Certificate | undefined;
  readonly issuer: X509Certificate | undefined;
}

/** A certificate refused for what its staple says, or for the lack of one. */
export class StapleError extends Error {
  override readonly name = 'StapleError';
  readonly code: 'CERT_REVOKED' | 'STAPLE_MISSING' | 'STAPLE_INVALID';

  constructor(code: StapleError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Judges a staple as of `nowMs`, milliseconds since 1970. */
export function judgeStaple(staple: Staple, mode: RevocationMode, nowMs: number): RevocationFacts {
  const { response, certificate } = staple;
  if (mode === 'off' || response === undefined || certificate === undefined)
    return facts(mode, 'unknown', 'not_checked', 'no_signal');
  if (response === null) {
    const decision = promisesStaple(certificate) ? 'signal_missing_staple' : 'no_signal';
    return facts(mode, 'false', 'missing', decision);
  }
  const status = statusOf(response, certificate, staple.issuer, nowMs);
  if (status === 'good') return facts(mode, 'true', 'present', 'signal_present');
  if (status === 'revoked') return facts(mode, 'true', 'revoked', 'signal_revoked');
  return facts(mode, 'true', 'invalid', 'signal_invalid_staple');
}

/** The facts of the leg on which nobody staples anything. */
export function noRevocation(mode: RevocationMode): RevocationFacts {
  return facts(mode, 'not_applicable', 'not_applicable', 'not_applicable');
}

/** The error with which mode `enforce` refuses a certificate; undefined where it may pass. */
export function stapleRefusal(staple: Staple, judged: RevocationFacts): StapleError | undefined {
  if (judged.revocationPolicyMode !== 'enforce') return undefined;
  switch (judged.revocationDecision) {
    case 'signal_revoked':
      return new StapleError('CERT_REVOKED', 'certificate revoked, as its stapled OCSP response says');
    case 'signal_missing_staple':
      return new StapleError(
        'STAPLE_MISSING',
        'the certificate promises a stapled OCSP response, and none came',
      );
    case 'signal_invalid_staple':
      return staple.certificate !== undefined && promisesStaple(staple.certificate)
        ? new StapleError(
            'STAPLE_INVALID',
            'the stapled OCSP response that the certificate promises cannot be used',
          )
        : undefined;
    case 'signal_present':
    case 'no_signal':
    case 'not_applicable':
      return undefined;
  }
}

function facts(
  revocationPolicyMode: RevocationMode,
  upstreamOcspStaplePresent: RevocationFacts['upstreamOcspStaplePresent'],
  upstreamOcspStapleStatus: RevocationFacts['upstreamOcspStapleStatus'],
  revocationDecision: RevocationFacts['revocationDecision'],
): RevocationFacts {
  return { upstreamOcspStaplePresent, upstreamOcspStapleStatus, revocationPolicyMode, revocationDecision };
}

/** Clocks of responders and ours may differ by this much. */
const clockSkewMs = 5 * 60_000;
const ocspSigning = '1.3.6.1.5.5.7.3.9';
/** The hash of each signature algorithm; undefined where the key says it all. SHA-1 is not among them. */
const signatureHashes: ReadonlyMap<string, string | undefined> = new Map([
  [oidHex('1.2.840.113549.1.1.11'), 'sha256'],
  [oidHex('1.2.840.113549.1.1.12'), 'sha384'],
  [oidHex('1.2.840.113549.1.1.13'), 'sha512'],
  [oidHex('1.2.840.10045.4.3.2'), 'sha256'],
  [oidHex('1.2.840.10045.4.3.3'), 'sha384'],
  [oidHex('1.2.840.10045.4.3.4'), 'sha512'],
  [oidHex('1.3.101.112'), undefined],
]);
/** Algorithms of the hashes that name an issuer; SHA-1 only finds it here, it proves nothing. */
const idHashes: ReadonlyMap<string, string> = new Map([
  [oidHex('1.3.14.3.2.26'), 'sha1'],
  [oidHex('2.16.840.1.101.3.4.2.1'), 'sha256'],
]);
const tlsFeature = encodeOid('1.3.6.1.5.5.7.1.24');
const statusRequest = 5;

type StapleStatus = 'good' | 'revoked' | 'unusable';

function statusOf(
  response: Buffer,
  certificate: X509Certificate,
  issuer: X509Certificate | undefined,
  nowMs: number,
): StapleStatus {
  try {
    const parsed = parseOcspResponse(response);
    if (issuer === undefined || !isSignedBy(parsed, issuer, nowMs)) return 'unusable';
    const single = parsed.responses.find((candidate) => isAbout(candidate, certificate, issuer));
    if (single === undefined || single.status === 'unknown') return 'unusable';
    const isOfToday =
      single.thisUpdateMs <= nowMs + clockSkewMs &&
      (single.nextUpdateMs === undefined || nowMs <= single.nextUpdateMs + clockSkewMs);
    return isOfToday ? single.status : 'unusable';
  } catch (error) {
    // What an origin staples may be anything; what Node's parsers say of it is no fault of ours.
    if (error instanceof Error) return 'unusable';
    throw error;
  }
}

/** Whether a statement names this certificate: its serial number, and its issuer by name and key (RFC 6960 §4.1.1). */
function isAbout(single: SingleResponse, certificate: X509Certificate, issuer: X509Certificate): boolean {
  const hash = idHashes.get(single.hashOid);
  if (hash === undefined) return false;
  const serial = single.serial.toString('hex').replace(/^0+/, '').toUpperCase();
  if (serial !== certificate.serialNumber.replace(/^0+/, '').toUpperCase()) return false;
  const { subjectName } = readCertificateFields(issuer.raw);
  return (
    createHash(hash).update(subjectName).digest().equals(single.issuerNameHash) &&
    createHash(hash).update(publicKeyBits(issuer)).digest().equals(single.issuerKeyHash)
  );
}

/** Signed by the certificate's issuer, or by a responder that the issuer has made for it (RFC 6960 §4.2.2.2). */
function isSignedBy(response: OcspResponse, issuer: X509Certificate, nowMs: number): boolean {
  if (hasSigned(response, issuer.publicKey)) return true;
  return response.certificates
    .map((der) => new X509Certificate(der))
    .some((responder) => isDelegated(responder, issuer, nowMs) && hasSigned(response, responder.publicKey));
}

function isDelegated(responder: X509Certificate, issuer: X509Certificate, nowMs: number): boolean {
  const isValid = Date.parse(responder.validFrom) <= nowMs && nowMs <= Date.parse(responder.validTo);
  // Undefined, whatever the types say, where the certificate names no usage.
  const usages = [responder.keyUsage].flat();
  return isValid && usages.includes(ocspSigning) && responder.verify(issuer.publicKey);
}

function hasSigned({ signatureOid, signedBytes, signature }: OcspResponse, key: KeyObject): boolean {
  if (!signatureHashes.has(signatureOid)) return false;
  return verify(signatureHashes.get(signatureOid), signedBytes, key, signature);
}

/** Whether a certificate says that its server staples (RFC 7633 §4.2.3.1: the TLS feature status_request). */
function promisesStaple({ raw }: X509Certificate): boolean {
  // A look at the bytes spares reading all extensions of every certificate.
  const at = raw.indexOf(tlsFeature);
  if (at === -1) return false;
  const next = readElement(raw, at + tlsFeature.length);
  const value = next.tag === derTags.boolean ? readElement(raw, next.end) : next;
  if (value.tag !== derTags.octetString) return false;
  const [features] = readChildren(value.content);
  return (
    features !== undefined &&
    readChildren(features.content).some(({ content }) => content[0] === statusRequest)
  );
}

function publicKeyBits(certificate: X509Certificate): Buffer {
  const [, bits] = readChildren(
    readElement(certificate.publicKey.export({ type: 'spki', format: 'der' })).content,
  );
  return bits?.content.subarray(1) ?? Buffer.alloc(0);
}

function oidHex(dotted: string): string {
  return readElement(encodeOid(dotted)).content.toString('hex');
}
