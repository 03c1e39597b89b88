// What a program gives to a proxy, and what it gets: the options, the proxy before its start, and the running one.
import type { InterceptHandler, MitmConfig, MitmConfigInput, RuntimeSnapshot } from 'mitm-core';
import type { FramerFactory } from 'mitm-http';
import type { EventBus, EventSink, Logger, ProxyMetrics } from 'mitm-observe';
import type { PolicyEngine } from 'mitm-policy';
import type { ListenAddress, ListenerAddress, TlsSnapshot } from 'mitm-sidecar';
import type { CertificateAuthority } from 'mitm-tls';

/** What a proxy is made of. Only `config` is needed. */
export interface MitmProxyOptions {
  /** Everything that has a default may be left out; `interception.destinations` has none. */
  readonly config: MitmConfigInput;
  readonly handler?: InterceptHandler | undefined;
  /** Signs the certificates; without it `tls.caCertPath` and `tls.caKeyPath` are loaded, or made when both are missing. */
  readonly ca?: CertificateAuthority | undefined;
  /** Judges in place of `interception`'s lists. */
  readonly policy?: PolicyEngine | undefined;
  /** Shaped like pino; silent when absent. */
  readonly logger?: Logger | undefined;
  /**
   * Whoever is to see every event from the first on, in this order. What one throws is counted and disturbs nobody; a shutdown flushes
   * and closes them. Others may subscribe to `events` later.
   */
  readonly consumers?: readonly EventSink[] | undefined;
  /** Aborting it shuts the proxy down gracefully. */
  readonly signal?: AbortSignal | undefined;
}

/** A proxy that has not been started. */
export interface MitmProxy {
  /**
   * Shows bodies of a media type in chunks, cut as the parser that the factory makes cuts them; before `start`, or while it runs, for
   * messages to come.
   *
   * @param contentType `type/subtype`, `type/subtype+*`, `+suffix` or `type/*`; the most exact one that fits a message counts
   * @throws RangeError for anything else
   */
  registerFramer(contentType: string, factory: FramerFactory): MitmProxy;
  /**
   * Starts it; resolves when clients can connect.
   *
   * @throws MitmError when the CA can't be loaded, a file can't be read, or the address can't be listened on
   */
  start(): Promise<MitmProxyHandle>;
  /** Starts it, serves until the signal aborts, and drains. */
  run(): Promise<void>;
}

/** A running proxy. */
export interface MitmProxyHandle extends AsyncDisposable {
  /** The first TCP address. Where there is none, the path of the first Unix socket as host, with port 0. */
  readonly address: ListenAddress;
  /** Where `/metrics` and `/healthz` are answered; undefined without the section `admin`. */
  readonly adminAddress: ListenAddress | undefined;
  /** Everywhere it listens: `bind`, `unixSocketPath`, and then `listeners` in their order. */
  readonly addresses: readonly ListenerAddress[];
  /** Typed events, named by their kind. */
  readonly events: EventBus;
  /** What it signs with now; its certificate is what clients have to trust. */
  readonly ca: CertificateAuthority;
  /**
   * Replaces the authority by another one: at once, or, with an overlap, once clients had the time to trust it. Where the
   * proxy keeps its authority in files, the new one is written there and the old one kept beside it.
   *
   * @returns the new authority, signing already or announced
   * @throws MitmError `ERR_MITM_CA_OPERATION_FAILED`; the old one goes on then
   */
  rotateCa(options?: RotateOptions): Promise<CertificateAuthority>;
  currentConfig(): MitmConfig;
  /**
   * Puts a configuration in force for new connections, all of it or nothing. The certificate files of listeners are read again.
   *
   * @returns the dotted paths that changed
   * @throws ConfigError for an invalid one; ReloadError naming the keys that need a restart; MitmError when a file can't be used, a
   *   port is taken, or the proxy has been stopped
   */
  reload(config: MitmConfigInput): Promise<readonly string[]>;
  metrics(): ProxyMetrics;
  /** TLS failures by host, what was learnt from them, and which clients are let through unread for refusing our certificate. */
  tlsSnapshot(): TlsSnapshot;
  /**
   * Intercepts again whoever `tls.backoff` lets through, and forgets strikes.
   *
   * @param host only for this canonical host; for every host when absent
   * @returns how many pairs of client and host were forgotten
   */
  resetTlsBackoff(host?: string): number;
  /** What is held now, against the limits of the configuration, and how often one of them was met. */
  runtimeSnapshot(): RuntimeSnapshot;
  /**
   * Stops listening, lets exchanges in progress finish, and ends what remains. A second call returns the same promise.
   *
   * @param timeoutMs time for exchanges to finish, in milliseconds; 10 seconds unless given
   * @throws MitmError `ERR_MITM_SHUTDOWN_TIMEOUT` when connections had to be cut
   */
  shutdown(timeoutMs?: number): Promise<void>;
}

/** How `rotateCa` replaces an authority. */
export interface RotateOptions {
  /** The new authority; the announced one, or else one made for it, when left out. */
  readonly ca?: CertificateAuthority | undefined;
  /** How long the old one signs on, in seconds; 0 when left out. */
  readonly overlapSeconds?: number | undefined;
}
