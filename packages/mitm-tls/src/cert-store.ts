// SecureContexts for the servers we stand in for, made once per list of names and kind of key, and kept while they are
// used. Which authority signs can change while the store is in use: what was made before is not shown again then.
import { constants, randomBytes } from 'node:crypto';
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext } from 'node:tls';

import type { CertificateAuthority } from './ca.ts';
import { type CertificateWishes, type LeafKeyKind, leafKeyKindFor, LeafKeys } from './leaf-key.ts';
import { type Leaf, LeafIssuer } from './leaf.ts';
import { type CertProfile, nodeTlsVersion, type TlsVersion } from './profile.ts';
import { parseServerNames } from './server-name.ts';
import { TurnShare } from './turn-share.ts';

const dayMs = 86_400_000;
/** Of each turn of the event loop. */
const turnShareMs = 3;
// AES-128-GCM first makes a new connection about a tenth cheaper than the platform's order.
const serverCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  ...DEFAULT_CIPHERS.split(':').filter((suite) => !suite.startsWith('TLS_')),
].join(':');
const serverOptions = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

/** What of a store can change while it is in use. */
export interface CertStoreSettings {
  /** Contexts kept, 0 or more (0 keeps none); 1024 when left out. */
  readonly capacity?: number;
  /** Key of the leaves, for clients that can read either; `modern` when left out. */
  readonly profile?: CertProfile;
  /** `tls1.2` when left out. */
  readonly minVersion?: TlsVersion;
  /** Where clients find the revocation list of the CA; leaves do not say when left out. */
  readonly crlUrl?: string | undefined;
}

export interface CertStoreOptions extends CertStoreSettings {
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

/** What makes leaves of one kind of key. */
interface Maker {
  readonly issuer: LeafIssuer;
  readonly keyPem: string;
}

/** All that depends on which CA signs. A new one takes its place as a whole. */
class Reign {
  readonly ca: CertificateAuthority;
  readonly makers = new Map<LeafKeyKind, Promise<Maker>>();
  // In order of use: the first is the one used longest ago.
  readonly entries = new Map<string, Entry>();
  /** Contexts on their way, so that clients that come together wait for one. */
  readonly flights = new Map<string, Promise<LeafContext>>();
  ticketKeys: Buffer;
  ticketKeysExpireAt: number;

  constructor(ca: CertificateAuthority, ticketKeys: Buffer, ticketKeysExpireAt: number) {
    this.ca = ca;
    this.ticketKeys = ticketKeys;
    this.ticketKeysExpireAt = ticketKeysExpireAt;
  }
}

/** Makes and keeps the SecureContexts of one CA at a time. */
export class CertStore {
  /**
   * The share of each turn of the event loop that contexts are made in. Whoever does other short work for handshakes, with the
   * client or with the origin, does it in here too.
   */
  readonly turns: TurnShare = new TurnShare(turnShareMs);
  readonly #keys: LeafKeys;
  readonly #maxAgeMs: number;
  readonly #now: () => number;
  readonly #givenTicketKeys: Buffer | undefined;
  readonly #fingerprints = new Set<string>();
  #settings: Required<CertStoreSettings>;
  #reign: Reign;
  #alarm: { readonly atMs: number; readonly ring: () => void } | undefined;
  #hits = 0;
  #misses = 0;
  #issued = 0;
  #evictions = 0;

  private constructor(ca: CertificateAuthority, keys: LeafKeys, options: CertStoreOptions) {
    this.#keys = keys;
    this.#settings = settingsOf(options);
    this.#maxAgeMs = options.maxAgeMs ?? dayMs;
    this.#now = options.now ?? Date.now;
    this.#givenTicketKeys = options.ticketKeys === undefined ? undefined : Buffer.from(options.ticketKeys);
    this.#reign = this.#newReign(ca);
    this.#alarm = undefined;
  }

  /**
   * Makes the leaf key (RSA takes tens of milliseconds, on another thread) and an empty store. Throws RangeError when an
   * option is out of range.
   */
  static async create(ca: CertificateAuthority, options: CertStoreOptions = {}): Promise<CertStore> {
    const { maxAgeMs = dayMs } = options;
    const { profile } = settingsOf(options);
    if (!(maxAgeMs > 0)) throw new RangeError(`maxAgeMs is ${maxAgeMs}: give a number above 0`);
    if (options.ticketKeys !== undefined && options.ticketKeys.length !== 48) {
      throw new RangeError(`ticketKeys are ${options.ticketKeys.length} octets long: give 48`);
    }
    const keys = new LeafKeys();
    await keys.of(leafKeyKindFor(profile, undefined));
    return new CertStore(ca, keys, options);
  }

  /** The CA that signs now. */
  get ca(): CertificateAuthority {
    return this.#reign.ca;
  }

  /**
   * The context for a server of these names, in this order; the first is the common name. What the client's hello allows
   * decides about the key of the leaf; without it, the profile alone. Rejects with ServerNameError when the list is empty
   * or a name is none, and with CaError when the CA has expired.
   */
  async contextFor(names: readonly string[], hello?: CertificateWishes): Promise<LeafContext> {
    const now = this.#now();
    this.#checkAlarm(now);
    const reign = this.#reign;
    const kind = leafKeyKindFor(this.#settings.profile, hello);
    const key = cacheKey(names, kind);
    const entry = freshEntry(reign, key, now);
    if (entry !== undefined) {
      this.#hits += 1;
      return entry.hit;
    }
    this.#misses += 1;
    const flying = reign.flights.get(key);
    if (flying !== undefined) return flying;
    const flight = this.#make(reign, names, kind).then((made) => {
      this.#keep(reign, key, made, now);
      return made;
    });
    reign.flights.set(key, flight);
    try {
      return await flight;
    } finally {
      reign.flights.delete(key);
    }
  }

  /** SHA-256 of every CA that has signed for this store, the present one included. */
  get fingerprints(): readonly string[] {
    return [...this.#fingerprints];
  }

  /** Lets another CA sign from now on: every context is made anew, and no ticket of before is honoured. */
  use(ca: CertificateAuthority): void {
    this.#reign = this.#newReign(ca);
  }

  /**
   * Puts other settings in force. What they change about contexts is true of every one given out from now on; ticket keys
   * stay. Throws RangeError when one is out of range.
   */
  configure(options: CertStoreSettings): void {
    const before = this.#settings;
    const next = settingsOf(options);
    this.#settings = next;
    const { entries } = this.#reign;
    const isSame = (['profile', 'minVersion', 'crlUrl'] as const).every(
      (name) => before[name] === next[name],
    );
    if (!isSame) {
      const { ca, ticketKeys, ticketKeysExpireAt } = this.#reign;
      this.#reign = new Reign(ca, ticketKeys, ticketKeysExpireAt);
    } else {
      while (entries.size > next.capacity) this.#evictOldest(entries);
    }
  }

  /** Calls `ring` once, when a context is asked for at `atMs` (milliseconds since 1970) or later. One alarm at a time. */
  setAlarm(atMs: number, ring: () => void): void {
    this.#alarm = { atMs, ring };
  }

  get stats(): CertStoreStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      issued: this.#issued,
      evictions: this.#evictions,
      contexts: this.#reign.entries.size,
    };
  }

  #newReign(ca: CertificateAuthority): Reign {
    this.#fingerprints.add(ca.fingerprint);
    return new Reign(ca, this.#givenTicketKeys ?? randomBytes(48), this.#now() + this.#maxAgeMs);
  }

  #checkAlarm(now: number): void {
    const alarm = this.#alarm;
    if (alarm === undefined || now < alarm.atMs) return;
    this.#alarm = undefined;
    alarm.ring();
  }

  async #make(reign: Reign, names: readonly string[], kind: LeafKeyKind): Promise<LeafContext> {
    const { issuer, keyPem } = await this.#makerOf(reign, kind);
    const leaf = await this.turns.run(() => issuer.issueLater(names, { now: new Date(this.#now()) }));
    this.#issued += 1;
    const context = await this.turns.run(() => this.#createContext(reign, leaf, keyPem));
    return { context, status: 'miss', leaf };
  }

  #makerOf(reign: Reign, kind: LeafKeyKind): Promise<Maker> {
    const known = reign.makers.get(kind);
    if (known !== undefined) return known;
    const { crlUrl } = this.#settings;
    const made = this.#keys.of(kind).then((pair) => ({
      issuer: new LeafIssuer(reign.ca, pair, { crlUrl }),
      keyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }));
    reign.makers.set(kind, made);
    return made;
  }

  #createContext(reign: Reign, leaf: Leaf, keyPem: string): SecureContext {
    const now = this.#now();
    // A context keeps the keys it was made with, so that tickets of yesterday are honoured while it lives.
    if (this.#givenTicketKeys === undefined && now >= reign.ticketKeysExpireAt) {
      reign.ticketKeys = randomBytes(48);
      reign.ticketKeysExpireAt = now + this.#maxAgeMs;
    }
    return createSecureContext({
      cert: leaf.chainPem,
      key: keyPem,
      minVersion: nodeTlsVersion(this.#settings.minVersion),
      ciphers: serverCiphers,
      secureOptions: serverOptions,
      ticketKeys: reign.ticketKeys,
    });
  }

  #keep(reign: Reign, key: string, made: LeafContext, now: number): void {
    if (this.#settings.capacity === 0) return;
    if (reign.entries.size >= this.#settings.capacity) this.#evictOldest(reign.entries);
    // Half of what remains, so that no client is shown a leaf about to expire.
    const remainingMs = (made.leaf.notAfter.getTime() - now) / 2;
    const expiresAt = now + Math.min(this.#maxAgeMs, remainingMs);
    reign.entries.set(key, { hit: { ...made, status: 'hit' }, expiresAt });
  }

  #evictOldest(entries: Map<string, Entry>): void {
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
    this.#evictions += 1;
  }
}

function settingsOf(options: CertStoreSettings): Required<CertStoreSettings> {
  const { capacity = 1024, profile = 'modern', minVersion = 'tls1.2', crlUrl } = options;
  if (!Number.isSafeInteger(capacity) || capacity < 0) {
    throw new RangeError(`capacity is ${capacity}: give a whole number, 0 or more`);
  }
  return { capacity, profile, minVersion, crlUrl };
}

function freshEntry(reign: Reign, key: string, now: number): Entry | undefined {
  const entry = reign.entries.get(key);
  if (entry === undefined) return undefined;
  reign.entries.delete(key);
  if (now >= entry.expiresAt) return undefined;
  reign.entries.set(key, entry);
  return entry;
}

function cacheKey(names: readonly string[], kind: LeafKeyKind): string {
  const parsed = parseServerNames(names);
  const text = parsed.length === 1 ? (parsed[0]?.text ?? '') : parsed.map((name) => name.text).join(' ');
  return kind === 'ec' ? text : `${kind} ${text}`;
}
