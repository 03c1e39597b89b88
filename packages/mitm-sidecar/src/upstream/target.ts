// Everything that decides whether two exchanges may share an upstream connection, as one value with a key: next hop,
// target, server name, and every setting that verification depends on.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SecureContext } from 'node:tls';

import { errorText, type MitmConfig, MitmError, type Route } from 'mitm-core';
import { formatAuthority } from 'mitm-http';
import { type UpstreamContextOptions, UpstreamContexts, upstreamServername } from 'mitm-tls';

/** How TLS is spoken to an origin. */
export interface UpstreamTls {
  readonly context: () => SecureContext;
  /** Sent as SNI; empty sends none. */
  readonly servername: string;
  /** The name or address that the certificate must be valid for: always the target, never the next hop. */
  readonly verifyHost: string;
  readonly isVerified: boolean;
  readonly alpn: readonly string[];
}

/** Where an exchange goes, and as whom. */
export interface UpstreamTarget {
  readonly key: string;
  /** The part of the key that is known before a ClientHello is: next hop, target and settings. */
  readonly place: string;
  readonly route: Route;
  /** Undefined for plain HTTP. */
  readonly tls: UpstreamTls | undefined;
  /** How its connections come to speak HTTP/2. */
  readonly http2: Http2Way;
}

/** Never, where ALPN says so, or from the first byte (RFC 9113 §3.3). */
export type Http2Way = 'never' | 'negotiated' | 'prior_knowledge';

export interface TargetOptions {
  readonly route: Route;
  readonly isTls: boolean;
  /** The name the client asked for in its ClientHello; the target's name when it gave none. */
  readonly sni?: string | undefined;
  readonly skipVerify: boolean;
  readonly alpn: readonly string[];
  /** Without TLS: the origin is spoken to in HTTP/2. */
  readonly hasPriorKnowledge?: boolean;
}

/** Makes upstream targets under one configuration; a reload that changes `upstream`, `tls` or routes makes a new one. */
export class UpstreamTargets {
  readonly #config: MitmConfig;
  readonly #contexts: UpstreamContexts;
  /** Stands for all settings in keys: a target of one configuration never shares with one of another. */
  readonly #settings: string;

  /**
   * @param excludedFingerprints certificates that must not be trusted although a store has them: our own CA's
   * @throws MitmError when a configured CA or client certificate file can't be read
   */
  constructor(config: MitmConfig, excludedFingerprints: readonly string[]) {
    const { upstream } = config;
    this.#config = config;
    const options: UpstreamContextOptions = {
      trust: upstream.trust,
      extraCaPems: upstream.caPaths.map((path) => readPem(path, 'upstream.caPaths')),
      profile: upstream.tlsProfile,
      minVersion: config.tls.minVersion,
      ...clientCertificate(upstream),
      exclude: excludedFingerprints,
    };
    this.#contexts = new UpstreamContexts(options);
    const { upstreamHttpProxy, upstreamSocks5Proxy } = config;
    this.#settings = createHash('sha256')
      .update(JSON.stringify([options, upstream, upstreamHttpProxy, upstreamSocks5Proxy]))
      .digest('base64url')
      .slice(0, 16);
  }

  /** The target for one exchange or handshake. */
  of(options: TargetOptions): UpstreamTarget {
    const { route, isTls } = options;
    const place = `${this.#settings} ${route.mode} ${formatAuthority(route.nextHop.host, route.nextHop.port)} ${formatAuthority(route.target.host, route.target.port)}`;
    if (!isTls) {
      const isHttp2 = options.hasPriorKnowledge ?? false;
      const http2 = isHttp2 ? 'prior_knowledge' : 'never';
      return { key: isHttp2 ? `${place} h2c` : place, place, route, tls: undefined, http2 };
    }
    const isVerified = this.#config.upstream.verifyUpstreamTls && !options.skipVerify;
    const servername = upstreamServername(options.sni ?? route.target.host, this.#config.upstream.sniMode);
    const tls: UpstreamTls = {
      context: () => this.#contexts.context(),
      servername,
      verifyHost: options.sni ?? route.target.host,
      isVerified,
      alpn: options.alpn,
    };
    return {
      key: `${place} ${servername} ${tls.verifyHost} ${isVerified} ${options.alpn.join(',')}`,
      place,
      route,
      tls,
      http2: options.alpn.includes('h2') ? 'negotiated' : 'never',
    };
  }

  /** Loads the trusted roots now, so that the first connection does not wait for them. */
  warm(): void {
    this.#contexts.context();
  }
}

function clientCertificate(
  upstream: MitmConfig['upstream'],
): Pick<UpstreamContextOptions, 'clientCertificate'> {
  const { clientAuthMode, clientCertPath, clientKeyPath } = upstream;
  if (clientAuthMode === 'never' || clientCertPath === undefined || clientKeyPath === undefined) return {};
  return {
    clientCertificate: {
      certPem: readPem(clientCertPath, 'upstream.clientCertPath'),
      keyPem: readPem(clientKeyPath, 'upstream.clientKeyPath'),
    },
  };
}

function readPem(path: string, field: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new MitmError('ERR_MITM_CA_LOAD_FAILED', `${field}: cannot read ${path}: ${errorText(error)}`, {
      cause: error,
    });
  }
}
