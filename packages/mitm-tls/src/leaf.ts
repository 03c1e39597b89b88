// Leaf certificates for the names a client asked for, signed by our CA: DER put together from parts that are
// made once per issuer, because signing one this way takes a fortieth of what a certificate library needs.
import type { KeyObject } from 'node:crypto';

import { type CertificateAuthority, randomSerial } from './ca.ts';
import { encodePem, keyIdentifierOf } from './certificate.ts';
import {
  encodeBitString,
  encodeElement,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeSet,
  encodeTime,
  encodeTrue,
  encodeUnsignedInteger,
  encodeUtf8String,
} from './der.ts';
import { CaError } from './errors.ts';
import { parseServerNames, type ServerName } from './server-name.ts';
import { Signer } from './signature.ts';

const dayMs = 86_400_000;
const validityMs = 30 * dayMs;
// RFC 5280 Appendix A.1, ub-common-name.
const maxCommonNameLength = 64;

/** A certificate for one server. */
export interface Leaf {
  readonly certificatePem: string;
  readonly certificateDer: Buffer;
  /**
   * What the server sends: the leaf, and behind it an intermediate CA with those above it. A root is left out.
   */
  readonly chainPem: string;
  /** The names in canonical spelling, as in the subjectAltName. */
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Lower-case hex. */
  readonly serial: string;
}

export interface LeafKeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** What leaves carry besides names and key. */
export interface LeafOptions {
  /** Where clients find the list of what this CA has revoked (RFC 5280 §4.2.1.13); not said when left out. */
  readonly crlUrl?: string | undefined;
}

/** Signs leaves of one key pair with one CA. */
export class LeafIssuer {
  readonly #ca: CertificateAuthority;
  readonly #signer: Signer;
  readonly #publicKey: Buffer;
  readonly #fixedExtensions: Buffer;

  /** The leaf key is an EC or RSA pair; all leaves of this issuer carry it. */
  constructor(ca: CertificateAuthority, leafKey: LeafKeyPair, options: LeafOptions = {}) {
    this.#ca = ca;
    this.#signer = new Signer(ca.privateKey);
    this.#publicKey = leafKey.publicKey.export({ type: 'spki', format: 'der' });
    this.#fixedExtensions = fixedExtensions(leafKey.publicKey.asymmetricKeyType === 'rsa', {
      subject: keyIdentifierOf(this.#publicKey),
      authority: ca.fields.keyIdentifier,
      crlUrl: options.crlUrl,
    });
  }

  /**
   * A certificate for all `names`: host names (U-labels are converted), `*.` wildcards, IPv4 and IPv6
   * addresses. It is valid from a day ago for 30 days from now, never before or longer than the CA and what is sent of the
   * authorities above it. Throws ServerNameError `no_names` or `invalid_name`, and {@link CaError} `OPERATION_FAILED` when
   * the CA has expired.
   */
  issue(names: readonly string[], options: { readonly now?: Date } = {}): Leaf {
    const draft = this.#draft(names, options.now ?? new Date());
    return this.#signed(draft, this.#signer.sign(draft.tbs));
  }

  /** The same; a signature that takes milliseconds (RSA, P-384, P-521) is made on another thread. */
  async issueLater(names: readonly string[], options: { readonly now?: Date } = {}): Promise<Leaf> {
    const draft = this.#draft(names, options.now ?? new Date());
    return this.#signed(draft, await this.#signer.signLater(draft.tbs));
  }

  #draft(names: readonly string[], nowDate: Date): Draft {
    const parsed = parseServerNames(names);
    const commonName = parsed[0]?.text ?? '';
    const now = nowDate.getTime();
    const expiry = this.#ca.signsUntil.getTime();
    if (expiry <= now) {
      throw new CaError(
        'OPERATION_FAILED',
        `the CA "${this.#ca.subject}" expired on ${this.#ca.signsUntil.toISOString()}: make a new CA`,
      );
    }
    const notBefore = wholeSeconds(Math.max(now - dayMs, this.#ca.notBefore.getTime()));
    const notAfter = wholeSeconds(Math.min(now + validityMs, expiry));
    const serial = randomSerial();
    const hasCommonName = commonName.length <= maxCommonNameLength;
    const tbs = encodeSequence(
      version3,
      encodeUnsignedInteger(serial),
      this.#signer.algorithm,
      this.#ca.fields.subjectName,
      encodeSequence(encodeTime(notBefore), encodeTime(notAfter)),
      hasCommonName
        ? encodeSequence(encodeSet(encodeSequence(commonNameOid, encodeUtf8String(commonName))))
        : encodeSequence(),
      this.#publicKey,
      // RFC 5280 §4.2.1.6: with an empty subject the alternative names are critical.
      encodeElement(0xa3, encodeSequence(this.#fixedExtensions, alternativeNames(parsed, !hasCommonName))),
    );
    return {
      tbs,
      names: parsed.map((name) => name.text),
      notBefore,
      notAfter,
      serial: serial.toString('hex'),
    };
  }

  #signed({ tbs, ...facts }: Draft, signature: Buffer): Leaf {
    const certificateDer = encodeSequence(tbs, this.#signer.algorithm, encodeBitString(signature));
    const certificatePem = encodePem('CERTIFICATE', certificateDer);
    return { certificatePem, certificateDer, chainPem: certificatePem + this.#ca.chainPem, ...facts };
  }
}

/** A leaf that has not been signed. */
interface Draft extends Pick<Leaf, 'names' | 'notBefore' | 'notAfter' | 'serial'> {
  readonly tbs: Buffer;
}

const version3 = encodeElement(0xa0, encodeUnsignedInteger(Uint8Array.of(2)));
const commonNameOid = encodeOid('2.5.4.3');
const alternativeNamesOid = encodeOid('2.5.29.17');

function alternativeNames(names: readonly ServerName[], isCritical: boolean): Buffer {
  const general = names.map(({ text, address }) =>
    address === undefined ? encodeElement(0x82, Buffer.from(text, 'latin1')) : encodeElement(0x87, address),
  );
  const value = encodeOctetString(encodeSequence(...general));
  return isCritical
    ? encodeSequence(alternativeNamesOid, encodeTrue(), value)
    : encodeSequence(alternativeNamesOid, value);
}

function fixedExtensions(
  isRsa: boolean,
  about: { readonly subject: Buffer; readonly authority: Buffer; readonly crlUrl: string | undefined },
): Buffer {
  // RFC 8813 §3: keyEncipherment is for RSA keys only.
  const keyUsage = isRsa ? encodeBitString(Uint8Array.of(0xa0), 5) : encodeBitString(Uint8Array.of(0x80), 7);
  const serverAuth = encodeSequence(encodeOid('1.3.6.1.5.5.7.3.1'));
  return Buffer.concat([
    encodeSequence(encodeOid('2.5.29.19'), encodeTrue(), encodeOctetString(encodeSequence())),
    encodeSequence(encodeOid('2.5.29.15'), encodeTrue(), encodeOctetString(keyUsage)),
    encodeSequence(encodeOid('2.5.29.37'), encodeOctetString(serverAuth)),
    encodeSequence(encodeOid('2.5.29.14'), encodeOctetString(encodeOctetString(about.subject))),
    encodeSequence(
      encodeOid('2.5.29.35'),
      encodeOctetString(encodeSequence(encodeElement(0x80, about.authority))),
    ),
    about.crlUrl === undefined ? Buffer.alloc(0) : distributionPoint(about.crlUrl),
  ]);
}

function distributionPoint(url: string): Buffer {
  const fullName = encodeElement(0xa0, encodeElement(0x86, Buffer.from(url, 'latin1')));
  const point = encodeSequence(encodeElement(0xa0, fullName));
  return encodeSequence(encodeOid('2.5.29.31'), encodeOctetString(encodeSequence(point)));
}

function wholeSeconds(timeMs: number): Date {
  return new Date(Math.floor(timeMs / 1000) * 1000);
}
