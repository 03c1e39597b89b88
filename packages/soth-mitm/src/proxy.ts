// The door: validates what a program gives, wires the engine and the sockets together, and hands out the running proxy.
import {
  Engine,
  errorText,
  type MitmConfig,
  type MitmConfigInput,
  MitmError,
  parseConfig,
  planReload,
  ReloadError,
  type RuntimeSnapshot,
} from 'mitm-core';
import { FramerRegistry } from 'mitm-http';
import {
  EventBus,
  type Logger,
  Metrics,
  Observers,
  prepareAll,
  type ProxyMetrics,
  silentLogger,
} from 'mitm-observe';
import {
  KeyLog,
  type ListenAddress,
  type ListenerAddress,
  ProxyServer,
  type TlsSnapshot,
} from 'mitm-sidecar';
import type { CaRotation, CertificateAuthority, CertStore } from 'mitm-tls';

import { certificatesOf, prepareCertificates, reportRotation, rotationOf } from './certificates.ts';
import type { MitmProxy, MitmProxyHandle, MitmProxyOptions, RotateOptions } from './contract.ts';
import { explained } from './explained.ts';

const SHUTDOWN_MS = 10_000;
/** However little time a shutdown has, consumers get so much to finish what they were given. */
const LAST_WORDS_MS = 1_000;

/**
 * Makes a proxy. Nothing is opened before `start`.
 *
 * @throws ConfigError (`ERR_MITM_CONFIG_INVALID`) with every problem of the configuration
 */
export function createMitmProxy(options: MitmProxyOptions): MitmProxy {
  const config = parseConfig(options.config);
  const framers = new FramerRegistry();
  let hasStarted = false;
  const start = async (): Promise<MitmProxyHandle> => {
    if (hasStarted) {
      throw new MitmError(
        'ERR_MITM_ALREADY_STARTED',
        'this proxy has been started: make another one with createMitmProxy',
      );
    }
    hasStarted = true;
    return RunningProxy.start(config, options, framers);
  };
  const proxy: MitmProxy = {
    registerFramer: (contentType, factory) => {
      framers.register(contentType, factory);
      return proxy;
    },
    start,
    run: async () => {
      const { signal } = options;
      const handle = await start();
      if (signal === undefined) return new Promise<void>(() => {});
      await aborted(signal);
      await handle.shutdown();
    },
  };
  return proxy;
}

class RunningProxy implements MitmProxyHandle {
  readonly address: ListenAddress;
  readonly addresses: readonly ListenerAddress[];
  readonly events: EventBus;
  readonly #engine: Engine;
  readonly #server: ProxyServer;
  readonly #certificates: CertStore;
  readonly #rotation: CaRotation;
  readonly #observers: Observers;
  readonly #keyLog: KeyLog | undefined;
  /** Settled when the reload that was asked for last is over, either way. */
  #reloaded: Promise<void>;
  #stopping: Promise<void> | undefined;

  private constructor(
    engine: Engine,
    server: ProxyServer,
    address: ListenAddress,
    rest: {
      certificates: CertStore;
      rotation: CaRotation;
      observers: Observers;
      keyLog: KeyLog | undefined;
    },
  ) {
    this.address = address;
    this.addresses = server.addresses;
    this.events = engine.bus;
    this.#engine = engine;
    this.#server = server;
    this.#certificates = rest.certificates;
    this.#rotation = rest.rotation;
    this.#observers = rest.observers;
    this.#keyLog = rest.keyLog;
    this.#reloaded = Promise.resolve();
    this.#stopping = undefined;
  }

  static async start(
    config: MitmConfig,
    options: MitmProxyOptions,
    framers: FramerRegistry,
  ): Promise<RunningProxy> {
    const logger = options.logger ?? silentLogger;
    const metrics = new Metrics();
    const bus = new EventBus({
      metrics,
      onListenerError: (error, kind) => logger.error({ err: error, kind }, 'event listener failed'),
    });
    const engine = new Engine({
      config,
      handler: options.handler ?? {},
      bus,
      metrics,
      logger,
      policy: options.policy,
      framers,
    });
    const certificates = await certificatesOf(config, options.ca);
    const observers = await explained('ERR_MITM_EVENT_LOG_FAILED', () =>
      Observers.open(config.eventLog, { bus, metrics, logger }, options.consumers),
    );
    let keyLog: KeyLog | undefined;
    try {
      keyLog =
        config.tls.keyLogPath === undefined ? undefined : await openKeyLog(config.tls.keyLogPath, logger);
      const server = new ProxyServer({ engine, certificates, keyLog });
      const rotation = await rotationOf(config, certificates, {
        given: options.ca,
        onNotice: (notice) => {
          // An authority of our own is never trusted as an origin's.
          if (notice.stage === 'activated') server.prepareReload(engine.config)([]);
          reportRotation(engine, notice);
        },
      });
      const address = await server.listen();
      const { addresses, adminAddress } = server;
      logger.info({ host: address.host, port: address.port, addresses, adminAddress }, 'listening');
      const proxy = new RunningProxy(engine, server, address, { certificates, rotation, observers, keyLog });
      proxy.#followSignal(options.signal);
      return proxy;
    } catch (error) {
      await observers.close(SHUTDOWN_MS);
      await keyLog?.close();
      throw error;
    }
  }

  get adminAddress(): ListenAddress | undefined {
    return this.#server.adminAddress;
  }

  get ca(): CertificateAuthority {
    return this.#certificates.ca;
  }

  rotateCa({ ca, overlapSeconds = 0 }: RotateOptions = {}): Promise<CertificateAuthority> {
    return explained('ERR_MITM_CA_OPERATION_FAILED', () =>
      this.#rotation.rotate({ ca, overlapMs: overlapSeconds * 1_000 }),
    );
  }

  currentConfig(): MitmConfig {
    return this.#engine.config;
  }

  reload(input: MitmConfigInput): Promise<readonly string[]> {
    // One after the other: each is compared with what the one before it has put in force.
    const reloading = this.#reloaded.then(() => this.#reload(input));
    this.#reloaded = reloading.then(nothing, nothing);
    return reloading;
  }

  async #reload(input: MitmConfigInput): Promise<readonly string[]> {
    const config = parseConfig(input);
    if (this.#stopping !== undefined)
      throw new MitmError('ERR_MITM_STOPPED', 'the proxy has been stopped: there is nothing to reload');
    const apply = this.#server.prepareReload(config);
    const applyCertificates = prepareCertificates(config, this.#certificates, this.#rotation);
    const renew = await this.#server.prepareListeners();
    const { needsRestart } = planReload(this.#engine.config, config);
    if (needsRestart.length > 0) throw new ReloadError(needsRestart);
    // What takes files and ports for itself comes last.
    const watching = await prepareAll([
      () => this.#server.prepareAdmin(config),
      () => explained('ERR_MITM_EVENT_LOG_FAILED', () => this.#observers.prepare(config.eventLog)),
    ]);
    const changed = this.#engine.reload(config);
    if (changed.some((path) => path.startsWith('tls'))) applyCertificates();
    apply(changed);
    renew();
    await watching.apply();
    this.#engine.logger.info({ changed }, 'configuration reloaded');
    return changed;
  }

  metrics(): ProxyMetrics {
    return this.#engine.snapshot();
  }

  tlsSnapshot(): TlsSnapshot {
    return this.#server.tls;
  }

  resetTlsBackoff(host?: string): number {
    return this.#server.resetTlsBackoff(host);
  }

  runtimeSnapshot(): RuntimeSnapshot {
    return this.#engine.runtimeSnapshot();
  }

  shutdown(timeoutMs: number = SHUTDOWN_MS): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs);
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  async #stop(timeoutMs: number): Promise<void> {
    try {
      // A reload on its way would open what nobody closes.
      await this.#reloaded;
      await this.#server.close(timeoutMs);
    } finally {
      await this.#rotation.close();
      await this.#observers.close(Math.max(timeoutMs, LAST_WORDS_MS));
      await this.#keyLog?.close();
      this.#engine.logger.info({}, 'stopped');
    }
  }

  #followSignal(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    void aborted(signal).then(() =>
      this.shutdown().catch((error: unknown) =>
        this.#engine.logger.warn({ err: error }, 'shutdown was not clean'),
      ),
    );
  }
}

async function openKeyLog(path: string, logger: Logger): Promise<KeyLog> {
  try {
    const log = await KeyLog.open(path, (error) => logger.error({ err: error, path }, 'key log failed'));
    logger.warn({ path }, 'TLS secrets are logged: whoever has the file can read the traffic');
    return log;
  } catch (error) {
    throw new MitmError('ERR_MITM_KEY_LOG_FAILED', `tls.keyLogPath: ${errorText(error)}`, { cause: error });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function nothing(): void {
  // Whoever asked for it hears how it went.
}
