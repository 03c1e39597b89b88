// How an authority's key signs: the algorithm that goes into certificates and lists, and the signing itself, on
// another thread where it takes milliseconds.
import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';

import { encodeNull, encodeOid, encodeSequence } from './der.ts';

const signElsewhere = promisify<string, Uint8Array, KeyObject, Buffer>(sign);

/** Signs with one private key: ECDSA on P-256, P-384 and P-521, or RSASSA-PKCS1-v1_5 with SHA-256. */
export class Signer {
  /** The AlgorithmIdentifier as DER (RFC 5758 §3.2, RFC 4055 §5). */
  readonly algorithm: Buffer;
  readonly #digest: string;
  readonly #key: KeyObject;
  readonly #isSlow: boolean;

  constructor(key: KeyObject) {
    const { oid, digest, isRsa } = signatureOf(key);
    this.algorithm = isRsa ? encodeSequence(encodeOid(oid), encodeNull()) : encodeSequence(encodeOid(oid));
    this.#digest = digest;
    this.#key = key;
    // An ECDSA signature on P-256 takes a few hundredths of a millisecond, less than a visit to another thread.
    this.#isSlow = key.asymmetricKeyDetails?.namedCurve !== 'prime256v1';
  }

  /** The signature, made here and now. */
  sign(bytes: Uint8Array): Buffer {
    return sign(this.#digest, bytes, this.#key);
  }

  /** The signature, made on another thread where it takes longer than going there. */
  signLater(bytes: Uint8Array): Buffer | Promise<Buffer> {
    return this.#isSlow ? signElsewhere(this.#digest, bytes, this.#key) : this.sign(bytes);
  }
}

interface Signature {
  readonly oid: string;
  readonly digest: string;
  readonly isRsa: boolean;
}

function signatureOf(key: KeyObject): Signature {
  if (key.asymmetricKeyType === 'rsa') return { oid: '1.2.840.113549.1.1.11', digest: 'sha256', isRsa: true };
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'secp384r1') return { oid: '1.2.840.10045.4.3.3', digest: 'sha384', isRsa: false };
  if (curve === 'secp521r1') return { oid: '1.2.840.10045.4.3.4', digest: 'sha512', isRsa: false };
  return { oid: '1.2.840.10045.4.3.2', digest: 'sha256', isRsa: false };
}
