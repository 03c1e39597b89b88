// The client side of TLS towards origins: one SecureContext per settings, made at the first use because
// loading all roots takes tens of milliseconds, and then shared. Our own CA is never trusted here, or a loop
// through ourselves would verify.
import { constants, createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import {
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';

import { decodePem, splitCertificatePems } from './certificate.ts';
import type { ClientHello } from './client-hello-body.ts';
import { CaError, ServerNameError } from './errors.ts';
import { type HelloMirror, type MirroredContext, MirroredContexts } from './hello-mirror.ts';
import { helloOptions } from './hello-preset.ts';
import {
  type FingerprintClass,
  profileOptions,
  type SniMode,
  type TlsProfile,
  type TlsVersion,
} from './profile.ts';
import { isIpAddress, parseServerName } from './server-name.ts';

/** Whose roots are trusted: those that come with Node, those of the operating system, or both. */
export const trustSources = ['bundled', 'system', 'both'] as const;
export type TrustSource = (typeof trustSources)[number];

/** A certificate to show to origins, with its chain, and its key. */
export interface ClientCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  /** Of an encrypted key. */
  readonly passphrase?: string | undefined;
}

export interface UpstreamContextOptions {
  readonly trust: TrustSource;
  /**
   * Certificates trusted beside the roots; a text may hold several. An intermediate among them is trusted by
   * itself.
   */
  readonly extraCaPems: readonly string[];
  readonly profile: TlsProfile;
  readonly minVersion: TlsVersion;
  /** Whose hello ours resembles; `native` when left out. */
  readonly fingerprintClass?: FingerprintClass;
  readonly clientCertificate?: ClientCertificate;
  /** Makes hellos like those of clients; nobody's hello is mirrored when left out. */
  readonly mirror?: Pick<HelloMirror, 'mirror'> | undefined;
  /**
   * SHA-256 fingerprints (hex, colons allowed) that are taken out of every source. Our own CA belongs here.
   */
  readonly exclude?: readonly string[];
}

/** How many certificates each source gave; one that several hold counts for the first of them. */
export interface TrustedRootCounts {
  readonly bundled: number;
  readonly system: number;
  readonly extra: number;
}

interface TrustedRoots {
  readonly pems: readonly string[];
  readonly counts: TrustedRootCounts;
}

/** Holds the SecureContext for origins under one set of settings. */
export class UpstreamContexts {
  readonly #options: UpstreamContextOptions;
  readonly #extraPems: readonly string[];
  readonly #mirrored: MirroredContexts | undefined;
  #context: SecureContext | undefined;
  #counts: TrustedRootCounts | undefined;

  /**
   * Checks extra CAs and client certificate, reads no root yet. Throws {@link CaError} `INVALID_MATERIAL`
   * when one of them is unusable.
   */
  constructor(options: UpstreamContextOptions) {
    this.#options = options;
    this.#extraPems = options.extraCaPems.flatMap((text, index) => parseExtraCa(text, index));
    if (options.clientCertificate !== undefined) requireClientCertificate(options.clientCertificate);
    const { mirror } = options;
    this.#mirrored =
      mirror === undefined
        ? undefined
        : new MirroredContexts((hello) =>
            mirror.mirror(hello, this.#mirroredOptions(), () => this.context()),
          );
    this.#context = undefined;
    this.#counts = undefined;
  }

  /**
   * The context, the same object each time; the first call reads the roots and takes tens of milliseconds.
   * Throws {@link CaError} `OPERATION_FAILED` when no certificate at all would be trusted.
   */
  context(): SecureContext {
    this.#context ??= this.#createContext();
    return this.#context;
  }

  /** A context that sends a hello like this one; undefined where none is mirrored. Throws as {@link context} does. */
  contextFor(hello: ClientHello): MirroredContext | undefined {
    return this.#mirrored?.of(hello);
  }

  /** What is trusted, by source. The first call reads the roots. */
  roots(): TrustedRootCounts {
    this.#counts ??= this.#collect().counts;
    return this.#counts;
  }

  #createContext(): SecureContext {
    const { profile, minVersion, fingerprintClass = 'native' } = this.#options;
    return createSecureContext({
      ...profileOptions(profile, minVersion),
      ...helloOptions(fingerprintClass, profile),
      ...this.#trustOptions(),
    });
  }

  /** The hello says which versions it has; a higher minimum is kept all the same. */
  #mirroredOptions(): SecureContextOptions {
    const { profile, minVersion } = this.#options;
    const isNewest = profile === 'strict' || minVersion === 'tls1.3';
    return {
      ...this.#trustOptions(),
      ...(isNewest ? { secureOptions: constants.SSL_OP_NO_TLSv1_2 } : {}),
    };
  }

  /** What is trusted, and what is shown. */
  #trustOptions(): SecureContextOptions {
    const { trust, clientCertificate } = this.#options;
    const { pems, counts } = this.#collect();
    this.#counts = counts;
    if (pems.length === 0) {
      throw new CaError(
        'OPERATION_FAILED',
        `trust "${trust}" gives no trusted certificate on this machine: use "bundled" or "both", or add a CA`,
      );
    }
    return {
      ca: [...pems],
      ...(this.#extraPems.length > 0 ? { allowPartialTrustChain: true } : {}),
      ...(clientCertificate === undefined
        ? {}
        : {
            cert: clientCertificate.certPem,
            key: clientCertificate.keyPem,
            ...(clientCertificate.passphrase === undefined
              ? {}
              : { passphrase: clientCertificate.passphrase }),
          }),
    };
  }

  #collect(): TrustedRoots {
    const { trust, exclude = [] } = this.#options;
    const seen = new Set(exclude.map((fingerprint) => fingerprint.replaceAll(':', '').toLowerCase()));
    const pems: string[] = [];
    const take = (source: readonly string[]): number => {
      const before = pems.length;
      for (const pem of source) {
        const fingerprint = createHash('sha256').update(decodePem(pem)).digest('hex');
        if (seen.has(fingerprint)) continue;
        seen.add(fingerprint);
        pems.push(pem);
      }
      return pems.length - before;
    };
    // Read in this order, so that a root found in several sources counts for the first.
    const bundled = trust === 'system' ? 0 : take(getCACertificates('bundled'));
    const system = trust === 'bundled' ? 0 : take(getCACertificates('system'));
    const extra = take(this.#extraPems);
    return { pems, counts: { bundled, system, extra } };
  }
}

/**
 * The `servername` for a TLS connection to `host`: the canonical name, or `''` (no SNI) for an address (RFC
 * 6066 §3) and in mode `disabled`. Throws {@link ServerNameError}: `sni_requires_name` for an address in mode
 * `required`, `invalid_name` for what is neither name nor address.
 */
export function upstreamServername(host: string, sniMode: SniMode): string {
  if (isIpAddress(host)) {
    if (sniMode !== 'required') return '';
    throw new ServerNameError(
      'sni_requires_name',
      `SNI mode "required" does not allow the address ${host} as a target: use a host name, or mode "auto"`,
    );
  }
  return sniMode === 'disabled' ? '' : parseServerName(host).text;
}

function parseExtraCa(text: string, index: number): readonly string[] {
  const blocks = splitCertificatePems(text);
  if (blocks.length === 0) {
    throw new CaError(
      'INVALID_MATERIAL',
      `extra CA ${index + 1} holds no "BEGIN CERTIFICATE" block: give certificates in PEM form`,
    );
  }
  for (const block of blocks) {
    try {
      void new X509Certificate(block).raw;
    } catch (cause) {
      throw new CaError('INVALID_MATERIAL', `extra CA ${index + 1} cannot be read as a certificate`, {
        cause,
      });
    }
  }
  return blocks;
}

function requireClientCertificate({ certPem, keyPem, passphrase }: ClientCertificate): void {
  let isPair: boolean;
  try {
    const key = createPrivateKey({ key: keyPem, ...(passphrase === undefined ? {} : { passphrase }) });
    isPair = new X509Certificate(certPem).checkPrivateKey(key);
  } catch (cause) {
    throw new CaError('INVALID_MATERIAL', unreadableClientCertificate(keyPem, passphrase), { cause });
  }
  if (!isPair) {
    throw new CaError(
      'INVALID_MATERIAL',
      'the client key does not belong to the client certificate: the leaf must be the first certificate of the PEM',
    );
  }
}

function unreadableClientCertificate(keyPem: string, passphrase: string | undefined): string {
  const isEncrypted = keyPem.includes('ENCRYPTED');
  if (isEncrypted && passphrase === undefined)
    return 'the client key is encrypted: give its passphrase, or the key without one';
  if (isEncrypted) return 'the client key cannot be decrypted: the passphrase may be wrong';
  return 'the client certificate or its key cannot be read: give both in PEM form';
}
