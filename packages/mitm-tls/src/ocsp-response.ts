// Reads the OCSP response that an origin staples to its handshake (RFC 6960 §4.2) as values. It judges nothing: whether a response is
// about the certificate in hand, signed by the right authority and of today is for `staple.ts` to say.
import { type DerElement, derTags, readChildren, readElement } from './der.ts';

/** What an authority says about one certificate. */
export interface SingleResponse {
  readonly status: 'good' | 'revoked' | 'unknown';
  /** The certificate's serial number: the octets of its INTEGER. */
  readonly serial: Buffer;
  /** Algorithm of the two hashes, as the hex of its object identifier. */
  readonly hashOid: string;
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
  /** When the statement was true, in milliseconds since 1970. */
  readonly thisUpdateMs: number;
  /** Until when it may be used; undefined where newer information is always there. */
  readonly nextUpdateMs: number | undefined;
}

/** A successful response as it stands in its DER. Buffers are views into it. */
export interface OcspResponse {
  readonly responses: readonly SingleResponse[];
  /** The bytes that the signature is over. */
  readonly signedBytes: Buffer;
  /** The signature algorithm, as the hex of its object identifier. */
  readonly signatureOid: string;
  readonly signature: Buffer;
  /** Certificates that came along, in DER. */
  readonly certificates: readonly Buffer[];
}

const successful = 0;
const enumerated = 0x0a;
const generalizedTime = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/;

/** Reads a response. Throws RangeError when the bytes are not one, or the responder had no answer (`tryLater` and the like). */
export function parseOcspResponse(der: Buffer): OcspResponse {
  const [status, bytes] = readChildren(required(readElement(der), derTags.sequence).content);
  if (required(status, enumerated).content[0] !== successful)
    throw new RangeError(`OCSP: the responder had no answer (status ${status?.content[0]})`);
  const [, octets] = readChildren(readElement(required(bytes, 0xa0).content).content);
  const basic = readElement(required(octets, derTags.octetString).content);
  const [data, algorithm, signature, certificates] = readChildren(required(basic, derTags.sequence).content);
  const signed = required(data, derTags.sequence);
  const bits = required(signature, derTags.bitString);
  return {
    responses: readResponses(signed),
    signedBytes: signed.raw,
    signatureOid: oidOf(algorithm),
    signature: bits.content.subarray(1),
    certificates:
      certificates === undefined
        ? []
        : readChildren(readElement(certificates.content).content).map(({ raw }) => raw),
  };
}

/** ResponseData: version [0] and responderID [1] or [2], producedAt, and then what it is all about. */
function readResponses(data: DerElement): readonly SingleResponse[] {
  const list = readChildren(data.content).find(({ tag }) => tag === derTags.sequence);
  return readChildren(required(list, derTags.sequence).content).map(readSingle);
}

function readSingle(element: DerElement): SingleResponse {
  const [id, status, thisUpdate, ...rest] = readChildren(required(element, derTags.sequence).content);
  const [algorithm, nameHash, keyHash, serial] = readChildren(required(id, derTags.sequence).content);
  const next = rest.find(({ tag }) => tag === 0xa0);
  return {
    status: statusOf(status),
    serial: required(serial, derTags.integer).content,
    hashOid: oidOf(algorithm),
    issuerNameHash: required(nameHash, derTags.octetString).content,
    issuerKeyHash: required(keyHash, derTags.octetString).content,
    thisUpdateMs: timeOf(thisUpdate),
    nextUpdateMs: next === undefined ? undefined : timeOf(readElement(next.content)),
  };
}

/** CertStatus is a choice of [0] good, [1] revoked and [2] unknown. */
function statusOf(element: DerElement | undefined): SingleResponse['status'] {
  const number = (element?.tag ?? 0xff) & 0x1f;
  if (number === 0) return 'good';
  if (number === 1) return 'revoked';
  if (number === 2) return 'unknown';
  throw new RangeError('OCSP: a certificate status that does not exist');
}

function timeOf(element: DerElement | undefined): number {
  const text = required(element, derTags.generalizedTime).content.toString('latin1');
  const parts = generalizedTime.exec(text)?.slice(1).map(Number);
  if (parts === undefined) throw new RangeError(`OCSP: a time that cannot be read: ${JSON.stringify(text)}`);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function oidOf(algorithm: DerElement | undefined): string {
  const [oid] = readChildren(required(algorithm, derTags.sequence).content);
  return required(oid, derTags.oid).content.toString('hex');
}

function required(element: DerElement | undefined, tag: number): DerElement {
  if (element === undefined || element.tag !== tag)
    throw new RangeError(`OCSP: element ${element?.tag ?? 'none'} where ${tag} has to be`);
  return element;
}
