// Everything that decides whether two exchanges may share an upstream connection, as one value with a key: next hop,
// target, server name, and every setting that verification depends on.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SecureContext } from 'node:tls';

import {
  ConfigError,
  errorText,
  type MitmConfig,
  MitmError,
  type NextProxy,
  type RequestTargetForm,
  type Route,
} from 'mitm-core';
import { formatAuthority } from 'mitm-http';
import {
  type ClientHello,
  helloDifferences,
  HelloMirror,
  HelloMirrorError,
  type MirroredContext,
  mirrorKey,
  type RevocationMode,
  ServerNameError,
  type UpstreamContextOptions,
  UpstreamContexts,
  upstreamServername,
} from 'mitm-tls';

import { ClientCertificates } from './client-certificates.ts';
import { tlsFailure } from './tls-failure.ts';

/** The extension that asks for a staple (RFC 6066 §8). */
const statusRequest = 5;

/** How TLS is spoken to an origin. */
export interface UpstreamTls {
  readonly context: () => SecureContext;
  /** In which respects our hello differs from the one that it resembles; absent where it resembles none. */
  readonly differences?: () => readonly string[];
  /** Sent as SNI; empty sends none. */
  readonly servername: string;
  /** The name or address that the certificate must be valid for: always the target, never the next hop. */
  readonly verifyHost: string;
  readonly isVerified: boolean;
  readonly alpn: readonly string[];
  readonly revocationMode: RevocationMode;
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
  /** How requests are written: in absolute form only to a proxy that is handed them. */
  readonly form: RequestTargetForm;
}

/** Never, where ALPN says so, or from the first byte (RFC 9113 §3.3). */
type Http2Way = 'never' | 'negotiated' | 'prior_knowledge';

export interface TargetOptions {
  readonly route: Route;
  readonly isTls: boolean;
  /** The name the client asked for in its ClientHello; the target's name when it gave none. */
  readonly sni?: string | undefined;
  readonly skipVerify: boolean;
  readonly alpn: readonly string[];
  /** The client's hello, where ours may be made after it. */
  readonly hello?: ClientHello | undefined;
  /** Without TLS: the origin is spoken to in HTTP/2. */
  readonly hasPriorKnowledge?: boolean;
  /** Without TLS: a proxy on the way is handed the requests, instead of being asked for a tunnel. */
  readonly isHandedOn?: boolean;
}

/** Makes upstream targets under one configuration; a reload that changes `upstream`, `tls` or routes makes a new one. */
export class UpstreamTargets {
  readonly #config: MitmConfig;
  readonly #certificates: ClientCertificates;
  readonly #contexts: readonly UpstreamContexts[];
  /** For proxies on the way, which are shown no client certificate. */
  readonly #proxyContexts: UpstreamContexts;
  /** Stands for all settings, and the files they name, in keys: targets under different ones never share. */
  readonly settings: string;

  /**
   * @param excludedFingerprints certificates that must not be trusted although a store has them: our own CA's
   * @throws MitmError when a configured CA or client certificate file can't be read
   */
  constructor(config: MitmConfig, excludedFingerprints: readonly string[]) {
    const { upstream } = config;
    this.#config = config;
    this.#certificates = new ClientCertificates(upstream, readPem);
    const options: UpstreamContextOptions = {
      trust: upstream.trust,
      extraCaPems: upstream.caPaths.map((path) => readPem(path, 'upstream.caPaths')),
      profile: upstream.tlsProfile,
      minVersion: config.tls.minVersion,
      fingerprintClass: upstream.fingerprintClass,
      exclude: excludedFingerprints,
      mirror: upstream.fingerprintMode === 'mirror_client' ? loadMirror() : undefined,
    };
    const { shown } = this.#certificates;
    this.#contexts = shown.map(
      (clientCertificate) =>
        new UpstreamContexts({
          ...options,
          ...(clientCertificate === undefined ? {} : { clientCertificate }),
        }),
    );
    const bare = this.#contexts[shown.indexOf(undefined)];
    this.#proxyContexts = bare ?? new UpstreamContexts(options);
    const { privateTargetCheck, privateClasses, allowedPrivateTargets } = config.interception;
    this.settings = createHash('sha256')
      .update(
        JSON.stringify([options, shown, upstream, privateTargetCheck, privateClasses, allowedPrivateTargets]),
      )
      .digest('base64url')
      .slice(0, 16);
  }

  /** The part of a target's key that is known before a ClientHello is. */
  placeOf(route: Route): string {
    return `${this.settings} ${wayOf(route)} ${formatAuthority(route.target.host, route.target.port)}`;
  }

  /**
   * The target for one exchange or handshake.
   *
   * @throws Failure `tls_handshake_failed`, with its answer, where `upstream.sniMode` does not allow this target
   */
  of(options: TargetOptions): UpstreamTarget {
    const { route, isTls } = options;
    const place = this.placeOf(route);
    if (!isTls) {
      const isHttp2 = options.hasPriorKnowledge ?? false;
      const http2 = isHttp2 ? 'prior_knowledge' : 'never';
      // A proxy that is handed requests is told about those in HTTP/1 only.
      const form = options.isHandedOn === true && !isHttp2 ? route.requestTargetForm : 'origin';
      const kind = isHttp2 ? ' h2c' : form === 'absolute' ? ' absolute' : '';
      return { key: `${place}${kind}`, place, route, tls: undefined, http2, form };
    }
    const isVerified = this.#config.upstream.verifyUpstreamTls && !options.skipVerify;
    const servername = this.#servernameOf(options);
    const tls: UpstreamTls = {
      ...this.#ownHello(options),
      servername,
      verifyHost: options.sni ?? route.target.host,
      isVerified,
      alpn: options.alpn,
      revocationMode: this.#config.upstream.revocationMode,
    };
    return {
      key: `${place} ${servername} ${tls.verifyHost} ${isVerified} ${options.alpn.join(',')}${this.#helloKey(options.hello)}`,
      place,
      route,
      tls,
      http2: options.alpn.includes('h2') ? 'negotiated' : 'never',
      form: 'origin',
    };
  }

  /** How TLS is spoken to a proxy on the way. */
  proxyTls(proxy: NextProxy): UpstreamTls {
    return {
      context: () => this.#proxyContexts.context(),
      servername: upstreamServername(proxy.host, 'auto'),
      verifyHost: proxy.host,
      isVerified: this.#config.upstream.verifyUpstreamTls,
      alpn: ['http/1.1'],
      revocationMode: this.#config.upstream.revocationMode,
    };
  }

  /** The context that our hello comes from, and how that differs from what it resembles. */
  #ownHello({ route, hello, alpn }: TargetOptions): Pick<UpstreamTls, 'context' | 'differences'> {
    const contexts = this.#contextAt(this.#certificates.indexFor(route.target));
    const { fingerprintMode, fingerprintClass, revocationMode } = this.#config.upstream;
    const context = (): SecureContext => contexts.context();
    if (fingerprintMode === 'mirror_client') {
      // A request that came without TLS has no hello to be like.
      if (hello === undefined) return { context, differences: () => ['no_client_hello'] };
      const mirrored = (): MirroredContext | undefined => contexts.contextFor(hello);
      const asksForStaple = revocationMode !== 'off';
      return {
        context: () => mirrored()?.context ?? context(),
        differences: () => [
          ...(mirrored()?.differences ?? []),
          ...(asksForStaple === hello.extensions.includes(statusRequest) ? [] : ['status_request']),
          ...(alpn.join(',') === hello.alpn.join(',') ? [] : ['application_protocols']),
        ],
      };
    }
    return fingerprintClass === 'native'
      ? { context }
      : { context, differences: () => helloDifferences[fingerprintClass] };
  }

  /** Clients of different kinds share no connection where ours show their kind. */
  #helloKey(hello: ClientHello | undefined): string {
    const isMirrored = this.#config.upstream.fingerprintMode === 'mirror_client';
    return isMirrored && hello !== undefined ? ` ${mirrorKey(hello)}` : '';
  }

  /** Loads the trusted roots now, so that the first connection does not wait for them. */
  warm(): void {
    this.#contextAt(0).context();
  }

  #contextAt(index: number): UpstreamContexts {
    const contexts = this.#contexts[index];
    if (contexts === undefined) throw new RangeError(`no client certificate has the number ${index}`);
    return contexts;
  }

  #servernameOf({ sni, route }: TargetOptions): string {
    const host = sni ?? route.target.host;
    try {
      return upstreamServername(host, this.#config.upstream.sniMode);
    } catch (error) {
      if (error instanceof ServerNameError) throw tlsFailure(host, error);
      throw error;
    }
  }
}

/** The same place, spoken to in HTTP/1.1 only: for a request that another protocol may follow. */
export function overHttp1(target: UpstreamTarget): UpstreamTarget {
  const { tls } = target;
  if (tls === undefined || target.http2 !== 'negotiated') return target;
  return { ...target, key: `${target.key} only`, tls: { ...tls, alpn: ['http/1.1'] }, http2: 'never' };
}

/** Everything about the way to a target that tells its connections from others. */
function wayOf({ mode, nextHop, proxy, resolved }: Route): string {
  const way = `${mode} ${formatAuthority(nextHop.host, nextHop.port)}`;
  if (proxy !== undefined) return `${way} ${proxy.identity}`;
  return resolved === undefined ? way : `${way} ${resolved.addressClass}`;
}

function loadMirror(): HelloMirror {
  try {
    return HelloMirror.load();
  } catch (error) {
    if (!(error instanceof HelloMirrorError)) throw error;
    throw new ConfigError([
      { path: 'upstream.fingerprintMode', message: error.message, received: 'mirror_client' },
    ]);
  }
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
