// The keys that leaves carry: one of each kind for all of them, since a new key per host costs more than the signature
// and protects nothing; and which kind a client can read.
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

import type { ClientHello } from './client-hello.ts';
import type { LeafKeyPair } from './leaf.ts';
import type { CertProfile } from './profile.ts';

/** The kinds of leaf key: ECDSA on P-256, and RSA of 2048 bits. */
export type LeafKeyKind = 'ec' | 'rsa';

/** What of a hello says which certificates its sender can read. */
export type CertificateWishes = Pick<
  ClientHello,
  'cipherSuites' | 'signatureAlgorithms' | 'groups' | 'supportedVersions'
>;

const generateKey = promisify(generateKeyPair);
const tls13 = 0x0304;
const p256 = 0x0017;
// RFC 8446 §4.2.3.
const ecdsaP256Sha256 = 0x0403;
const ecdsaTls12: ReadonlySet<number> = new Set([0x0303, 0x0403, 0x0503, 0x0603]);
const rsaPss: ReadonlySet<number> = new Set([0x0804, 0x0805, 0x0806]);
/** TLS 1.2 suites that authenticate by ECDSA (RFC 8422, 5289, 7905, 7251): the ones OpenSSL knows. */
const ecdsaSuites: ReadonlySet<number> = new Set([
  0xc009, 0xc00a, 0xc023, 0xc024, 0xc02b, 0xc02c, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0xcca9,
]);
/** ECDHE and DHE suites that authenticate by RSA; the older ones lie below 0x00ff. */
const rsaSuites: ReadonlySet<number> = new Set([
  0xc011, 0xc012, 0xc013, 0xc014, 0xc027, 0xc028, 0xc02f, 0xc030, 0xcca8, 0xccaa,
]);

/** The kind of leaf for a client: the profile's, unless its hello allows the other kind only. */
export function leafKeyKindFor(profile: CertProfile, hello: CertificateWishes | undefined): LeafKeyKind {
  const preferred = profile === 'compat' ? 'rsa' : 'ec';
  if (hello === undefined) return preferred;
  if (preferred === 'ec') return allowsEcdsa(hello) || !allowsRsa(hello) ? 'ec' : 'rsa';
  return allowsRsa(hello) || !allowsEcdsa(hello) ? 'rsa' : 'ec';
}

/** Whether a client can verify an ECDSA leaf on P-256. */
export function allowsEcdsa(hello: CertificateWishes): boolean {
  const { signatureAlgorithms, groups, cipherSuites } = hello;
  if (hello.supportedVersions.includes(tls13)) return signatureAlgorithms.includes(ecdsaP256Sha256);
  // Without the extension only SHA-1 is allowed (RFC 5246 §7.4.1.4.1), which no server signs with any more.
  return (
    signatureAlgorithms.some((scheme) => ecdsaTls12.has(scheme)) &&
    (groups.length === 0 || groups.includes(p256)) &&
    cipherSuites.some((suite) => ecdsaSuites.has(suite))
  );
}

/** Whether a client can use an RSA leaf. */
function allowsRsa(hello: CertificateWishes): boolean {
  if (hello.supportedVersions.includes(tls13)) {
    return hello.signatureAlgorithms.some((scheme) => rsaPss.has(scheme));
  }
  return hello.cipherSuites.some((suite) => (suite > 0 && suite < 0xff) || rsaSuites.has(suite));
}

/** Makes each key when it is first asked for, on another thread, and keeps it. */
export class LeafKeys {
  readonly #made = new Map<LeafKeyKind, Promise<LeafKeyPair>>();

  /** The key pair of a kind. RSA takes tens of milliseconds the first time. */
  of(kind: LeafKeyKind): Promise<LeafKeyPair> {
    const known = this.#made.get(kind);
    if (known !== undefined) return known;
    const made =
      kind === 'ec'
        ? generateKey('ec', { namedCurve: 'P-256' })
        : generateKey('rsa', { modulusLength: 2048 });
    this.#made.set(kind, made);
    return made;
  }
}
