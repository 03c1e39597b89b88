// Makes our hello to an origin that of the client, as far as the optional package tls-impersonate can: it reaches what Node has no
// option for. It copies kinds and order, never the content of an extension, so that nothing that identifies a session goes on.
import { constants } from 'node:crypto';
import { createRequire } from 'node:module';
import type { SecureContext, SecureContextOptions } from 'node:tls';

import type { impersonate, isSupported } from 'tls-impersonate';

import type { ClientHello } from './client-hello-body.ts';
import { ja4 } from './fingerprint.ts';

/** A context whose hello resembles that of a client. */
export interface MirroredContext {
  readonly context: SecureContext;
  /** What stays different, as `extension_11` or `suite_255`; empty where nothing does that is known. */
  readonly differences: readonly string[];
}

/** Why hellos can't be mirrored here. */
export class HelloMirrorError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HelloMirrorError';
  }
}

/** The part of the package that is used. */
interface Impersonation {
  readonly isSupported: typeof isSupported;
  readonly impersonate: typeof impersonate;
}

const packageName = 'tls-impersonate';
/** The least Node that has what the package needs. */
const leastNode = '24.15';
/** Programs are few; what permutes its extensions, as Chromium does, is one of them. */
const maxContexts = 64;
const kinds: Readonly<Record<string, string>> = {
  cipherSuite: 'suite',
  supportedGroup: 'group',
  signatureAlgorithm: 'signature_algorithm',
};

/** Mirrors hellos. */
export class HelloMirror {
  readonly #impersonation: Impersonation;

  private constructor(impersonation: Impersonation) {
    this.#impersonation = impersonation;
  }

  /**
   * Loads the package.
   *
   * @param load in place of looking for it where this package is installed
   * @throws HelloMirrorError where it is not there, or does not work with this Node
   */
  static load(load: () => unknown = () => createRequire(import.meta.url)('tls-impersonate')): HelloMirror {
    let loaded: unknown;
    try {
      loaded = load();
    } catch (error) {
      throw new HelloMirrorError(`the optional package ${packageName} is not installed: npm install it`, {
        cause: error,
      });
    }
    if (!isImpersonation(loaded))
      throw new HelloMirrorError(`what is installed as ${packageName} is something else`);
    if (!loaded.isSupported()) {
      throw new HelloMirrorError(
        `${packageName} does not work with Node ${process.versions.node} on this machine: it needs ${leastNode} or newer`,
      );
    }
    return new HelloMirror(loaded);
  }

  /**
   * A context whose hello has the cipher suites, groups, signature algorithms and extensions of a client's. Reading the roots takes
   * milliseconds: keep it.
   *
   * @param options what else the context has; versions and cipher suites are the hello's, TLS 1.2 at least
   * @param plain the context for a hello that OpenSSL can't send at all, such as one without signature algorithms that it knows
   */
  mirror(hello: ClientHello, options: SecureContextOptions, plain: () => SecureContext): MirroredContext {
    const spec = {
      cipherSuites: [...hello.cipherSuites],
      extensions: hello.extensions.map((type) => ({ type })),
      supportedGroups: [...hello.groups],
      signatureAlgorithms: [...hello.signatureAlgorithms],
      ecPointFormats: [...hello.pointFormats],
    };
    let impersonated: ReturnType<typeof impersonate>;
    try {
      impersonated = this.#impersonation.impersonate(spec, {
        ...options,
        secureOptions: (options.secureOptions ?? 0) | versionsOf(hello),
      });
    } catch {
      // Whoever reads the events sees that it was not done; the origin is reached all the same.
      return { context: plain(), differences: ['not_mirrored'] };
    }
    const { tlsOptions, unsupported } = impersonated;
    const differences = unsupported.map(({ kind, id }) => `${kinds[kind] ?? kind}_${id}`);
    return { context: tlsOptions.secureContext, differences };
  }
}

/** Mirrored contexts by the fingerprint of their clients; the one used longest ago goes first. */
export class MirroredContexts {
  readonly #make: (hello: ClientHello) => MirroredContext;
  readonly #made: Map<string, MirroredContext>;

  constructor(make: (hello: ClientHello) => MirroredContext) {
    this.#make = make;
    this.#made = new Map();
  }

  /** The context for a client's hello; the same object for every hello of that fingerprint, while it is kept. */
  of(hello: ClientHello): MirroredContext {
    const key = mirrorKey(hello);
    const known = this.#made.get(key);
    const context = known ?? this.#make(hello);
    this.#made.delete(key);
    this.#made.set(key, context);
    const [oldest] = this.#made.keys();
    if (this.#made.size > maxContexts && oldest !== undefined) this.#made.delete(oldest);
    return context;
  }
}

/** Tells apart the hellos that are mirrored apart: by their JA4, which does not depend on the order of extensions. */
export function mirrorKey(hello: ClientHello): string {
  return `${ja4(hello)} ${hello.groups.join('-')}`;
}

/** Leaves out what the client does not offer; where it offers only what is older, nothing. */
function versionsOf({ supportedVersions, legacyVersion }: ClientHello): number {
  const offered = supportedVersions.length === 0 ? [legacyVersion] : supportedVersions;
  const hasNewest = offered.includes(0x0304);
  if (offered.includes(0x0303)) return hasNewest ? 0 : constants.SSL_OP_NO_TLSv1_3;
  return hasNewest ? constants.SSL_OP_NO_TLSv1_2 : 0;
}

function isImpersonation(value: unknown): value is Impersonation {
  return (
    typeof value === 'object' &&
    value !== null &&
    'isSupported' in value &&
    typeof value.isSupported === 'function' &&
    'impersonate' in value &&
    typeof value.impersonate === 'function'
  );
}
