// SecureContexts for the servers we stand in for, made once per list of names and kept while they are used.
// One leaf key serves all of them: a new key per host costs more than the signature and protects nothing.
import { constants, generateKeyPair, randomBytes } from 'node:crypto';
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';

import type { CertificateAuthority } from './ca.ts';
import { type Leaf, LeafIssuer, type LeafKeyPair } from './leaf.ts';
import { type CertProfile, nodeTlsVersion, type TlsVersion } from './profile.ts';
import { parseServerNames } from './server-name.ts';

const dayMs = 86_400_000;
// AES-128-GCM first makes a new connection about a tenth cheaper than the platform's order.
const serverCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  ...DEFAULT_CIPHERS.split(':').filter((suite) => !suite.startsWith('TLS_')),
].join(':');
const serverOptions = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

export interface CertStoreOptions {
  /** Contexts kept, 0 or more (0 keeps none); 1024 when left out. */
  readonly capacity?: number;
  /** Key of the leaves; `modern` when left out. */
  readonly profile?: CertProfile;
  /** `tls1.2` when left out. */
  readonly minVersion?: TlsVersion;
  /** Longest life of a context and of the ticket keys; 24 hours when left out. */
  readonly maxAgeMs?: number;
  /** 48 octets, to honour the tickets of another store; random and changed every `maxAgeMs` when left out. */
  readonly ticketKeys?: Uint8Array;
  /** Milliseconds since 1970; `Date.now` when left out. */
  readonly now?: () => number;
}

/** What to answer a client with. */
export interface LeafContext {
  readonly context: SecureContext;
  /** Whether the context had been made before. */
  readonly status: 'hit' | 'miss';
  readonly leaf: Leaf;
}

/**
 * Counters since the store was made; `contexts` is how many it holds now, `evictions` how many made room for
 * others.
 */
export interface CertStoreStats {
  readonly hits: number;
  readonly misses: number;
  readonly issued: number;
  readonly evictions: number;
  readonly contexts: number;
}

interface Entry {
  readonly hit: LeafContext;
  readonly expiresAt: number;
}

/** Makes and keeps the SecureContexts of one CA. */
export class CertStore {
  readonly ca: CertificateAuthority;
  readonly #issuer: LeafIssuer;
  readonly #leafKeyPem: string;
  readonly #options: Required<Omit<CertStoreOptions, 'ticketKeys'>>;
  readonly #givenTicketKeys: Buffer | undefined;
  // In order of use: the first is the one used longest ago.
  readonly #entries = new Map<string, Entry>();
  #ticketKeys: Buffer;
  #ticketKeysExpireAt: number;
  #hits = 0;
  #misses = 0;
  #issued = 0;
  #evictions = 0;

  private constructor(ca: CertificateAuthority, leafKey: LeafKeyPair, options: CertStoreOptions) {
    this.ca = ca;
    this.#issuer = new LeafIssuer(ca, leafKey);
    this.#leafKeyPem = leafKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.#options = { ...defaults, ...options };
    this.#givenTicketKeys = options.ticketKeys === undefined ? undefined : Buffer.from(options.ticketKeys);
    this.#ticketKeys = this.#givenTicketKeys ?? randomBytes(48);
    this.#ticketKeysExpireAt = this.#options.now() + this.#options.maxAgeMs;
  }

  /**
   * Makes the leaf key (RSA takes tens of milliseconds) and an empty store. Throws RangeError when an option
   * is out of range.
   */
  static async create(ca: CertificateAuthority, options: CertStoreOptions = {}): Promise<CertStore> {
    const { capacity, profile, maxAgeMs } = { ...defaults, ...options };
    if (!Number.isSafeInteger(capacity) || capacity < 0) {
      throw new RangeError(`capacity is ${capacity}: give a whole number, 0 or more`);
    }
    if (!(maxAgeMs > 0)) throw new RangeError(`maxAgeMs is ${maxAgeMs}: give a number above 0`);
    if (options.ticketKeys !== undefined && options.ticketKeys.length !== 48) {
      throw new RangeError(`ticketKeys are ${options.ticketKeys.length} octets long: give 48`);
    }
    return new CertStore(ca, await generateLeafKey(profile), options);
  }

  /**
   * The context for a server of these names, in this order; the first is the common name. Throws
   * ServerNameError when the list is empty or a name is none, and CaError when the CA has expired.
   */
  contextFor(names: readonly string[]): LeafContext {
    const now = this.#options.now();
    const key = cacheKey(names);
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      if (now < entry.expiresAt) {
        this.#entries.set(key, entry);
        this.#hits += 1;
        return entry.hit;
      }
    }
    this.#misses += 1;
    const leaf = this.#issuer.issue(names, { now: new Date(now) });
    this.#issued += 1;
    const context = this.#createContext(leaf, now);
    this.#keep(key, { context, status: 'hit', leaf }, now);
    return { context, status: 'miss', leaf };
  }

  get stats(): CertStoreStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      issued: this.#issued,
      evictions: this.#evictions,
      contexts: this.#entries.size,
    };
  }

  #createContext(leaf: Leaf, now: number): SecureContext {
    if (this.#givenTicketKeys === undefined && now >= this.#ticketKeysExpireAt) {
      this.#ticketKeys = randomBytes(48);
      this.#ticketKeysExpireAt = now + this.#options.maxAgeMs;
    }
    return createSecureContext({
      cert: leaf.chainPem,
      key: this.#leafKeyPem,
      minVersion: nodeTlsVersion(this.#options.minVersion),
      ciphers: serverCiphers,
      secureOptions: serverOptions,
      ticketKeys: this.#ticketKeys,
    });
  }

  #keep(key: string, hit: LeafContext, now: number): void {
    if (this.#options.capacity === 0) return;
    if (this.#entries.size >= this.#options.capacity) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
      this.#evictions += 1;
    }
    // Half of what remains, so that no client is shown a leaf about to expire.
    const remainingMs = (hit.leaf.notAfter.getTime() - now) / 2;
    this.#entries.set(key, { hit, expiresAt: now + Math.min(this.#options.maxAgeMs, remainingMs) });
  }
}

const defaults = {
  capacity: 1024,
  profile: 'modern',
  minVersion: 'tls1.2',
  maxAgeMs: dayMs,
  now: Date.now,
} as const satisfies Omit<CertStoreOptions, 'ticketKeys'>;

function cacheKey(names: readonly string[]): string {
  const parsed = parseServerNames(names);
  return parsed.length === 1 ? (parsed[0]?.text ?? '') : parsed.map((name) => name.text).join(' ');
}

async function generateLeafKey(profile: CertProfile): Promise<LeafKeyPair> {
  return profile === 'compat'
    ? promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    : promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
}
