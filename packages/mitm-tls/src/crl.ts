// The revocation list of an authority that has revoked nothing: clients that insist on one, such as Schannel, ask for
// it at the address that the leaves carry.
import { type CertificateAuthority, randomSerial } from './ca.ts';
import {
  encodeBitString,
  encodeElement,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeTime,
  encodeUnsignedInteger,
} from './der.ts';
import { Signer } from './signature.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const lifetimeMs = 7 * dayMs;

/** A list as clients fetch it, and how long it may be given out. */
export interface RevocationList {
  /** DER, `application/pkix-crl` (RFC 5280 §5, RFC 2585 §4.2). */
  readonly der: Buffer;
  /** When a client asks for the next one. */
  readonly nextUpdate: Date;
}

/** Keeps the list of an authority, and makes another when it is half over or another authority signs. */
export class RevocationLists {
  readonly #now: () => number;
  #made:
    | { readonly ca: CertificateAuthority; readonly list: Promise<RevocationList>; readonly untilMs: number }
    | undefined;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#made = undefined;
  }

  /** The list to give out now. */
  of(ca: CertificateAuthority): Promise<RevocationList> {
    const now = this.#now();
    if (this.#made === undefined || this.#made.ca !== ca || now >= this.#made.untilMs) {
      const list = emptyRevocationList(ca, { now: new Date(now) });
      this.#made = { ca, list, untilMs: now + lifetimeMs / 2 };
    }
    return this.#made.list;
  }
}

/** An empty list, signed by `ca`: good from an hour ago for a week, and not longer than the CA. */
export async function emptyRevocationList(
  ca: CertificateAuthority,
  options: { readonly now?: Date } = {},
): Promise<RevocationList> {
  const now = (options.now ?? new Date()).getTime();
  const signer = new Signer(ca.privateKey);
  const nextUpdate = new Date(Math.min(now + lifetimeMs, ca.notAfter.getTime()));
  const authority = encodeSequence(encodeElement(0x80, ca.fields.keyIdentifier));
  const list = encodeSequence(
    encodeUnsignedInteger(Uint8Array.of(1)),
    signer.algorithm,
    ca.fields.subjectName,
    encodeTime(new Date(now - hourMs)),
    encodeTime(nextUpdate),
    encodeElement(
      0xa0,
      encodeSequence(
        encodeSequence(encodeOid('2.5.29.35'), encodeOctetString(authority)),
        // A number that only has to rise: the time, and random octets behind it for two lists of one millisecond.
        encodeSequence(encodeOid('2.5.29.20'), encodeOctetString(encodeUnsignedInteger(listNumber(now)))),
      ),
    ),
  );
  const signature = await signer.signLater(list);
  return { der: encodeSequence(list, signer.algorithm, encodeBitString(signature)), nextUpdate };
}

function listNumber(nowMs: number): Buffer {
  const number = Buffer.alloc(10);
  number.writeUIntBE(nowMs, 0, 6);
  randomSerial().copy(number, 6, 0, 4);
  return number;
}
