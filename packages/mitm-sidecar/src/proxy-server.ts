// The running proxy: it listens, admits connections, hands each to `serveConnection`, and ends them all when it closes.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';

import { Connection, type Engine, MitmError, type SocketFamily } from 'mitm-core';
import { type Reply, writeReply } from 'mitm-http';
import { noChange, type PreparedChange } from 'mitm-observe';
import { type CertStore, RevocationLists } from 'mitm-tls';

import { AdminListener } from './admin-listener.ts';
import { CredentialStore } from './arrival/credentials.ts';
import type { WayIn } from './arrival/way-in.ts';
import { serveConnection } from './connection.ts';
import type { KeyLog } from './handshake/key-log.ts';
import { TlsMemory, type TlsSnapshot } from './handshake/tls-memory.ts';
import type { ListenerAddress } from './listener.ts';
import { Listeners } from './listeners.ts';
import { OpenSockets } from './open-sockets.ts';
import { Attribution } from './process/attribution.ts';
import { ProcessLookup } from './process/lookup.ts';
import type { Runtime } from './runtime.ts';
import type { Session } from './session.ts';
import { AddressGuard, type Resolver } from './upstream/address-guard.ts';
import { ConfiguredTargets } from './upstream/configured-targets.ts';
import { connectUpstream } from './upstream/connect.ts';
import { type ListenAddress, LoopGuard } from './upstream/loop-guard.ts';
import { OriginIdentities } from './upstream/origin-identities.ts';
import { UpstreamPool } from './upstream/pool.ts';

export interface ProxyServerOptions {
  readonly engine: Engine;
  readonly certificates: CertStore;
  /** Gets the secrets of every TLS connection. */
  readonly keyLog?: KeyLog | undefined;
  /** Looks up the names of targets and next hops; the system's resolver unless given. */
  readonly resolver?: Resolver | undefined;
}

const overCapacity: Reply = Object.freeze({
  status: 503,
  body: 'the proxy has no room for another connection\n',
});
/** A refused client gets its answer, and not more time than this. */
const REFUSAL_MS = 1_000;
/** How long a client that has said nothing yet is waited for when the proxy stops. */
const GRACE_MS = 1_000;
/** How long peers may take to end connections that we have ended. */
const GOODBYE_MS = 2_500;
/** What a route is planned from. */
const routePaths = /^(?:upstream|tls|route|reverseUpstream)/;

export class ProxyServer {
  readonly #engine: Engine;
  readonly #certificates: CertStore;
  readonly #keyLog: KeyLog | undefined;
  readonly #sessions: Map<Session, Promise<void>>;
  readonly #runtime: Runtime;
  #listeners: Listeners | undefined;
  #admin: AdminListener | undefined;
  #isDraining: boolean;
  #closing: Promise<void> | undefined;

  /** @throws MitmError when configured CA or client certificate files can't be read */
  constructor(options: ProxyServerOptions) {
    this.#engine = options.engine;
    this.#certificates = options.certificates;
    this.#keyLog = options.keyLog;
    this.#sessions = new Map();
    this.#listeners = undefined;
    this.#admin = undefined;
    this.#isDraining = false;
    this.#closing = undefined;
    this.#runtime = this.#makeRuntime(options.resolver);
  }

  /** Where it listens first of all; undefined before `listen` and after `close`. */
  get address(): ListenAddress | undefined {
    const { addresses } = this;
    const first = tcpAddresses(addresses)[0];
    if (first !== undefined) return first;
    const [socket] = addresses;
    return socket?.kind === 'unix' ? { host: socket.path, port: 0 } : undefined;
  }

  /** Everywhere it listens, in the order of the configuration; empty before `listen` and after `close`. */
  get addresses(): readonly ListenerAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  /** Where metrics are served; undefined where they are not. */
  get adminAddress(): ListenAddress | undefined {
    return this.#admin?.address;
  }

  /** Client connections that are open. */
  get connectionCount(): number {
    return this.#sessions.size;
  }

  /** Upstream connections that are open. */
  get upstreamCount(): number {
    return this.#runtime.pool.openCount;
  }

  /** What is remembered of failed handshakes. */
  get tls(): TlsSnapshot {
    return this.#runtime.tls.snapshot();
  }

  /** Lets nobody through unread any more for refusing our certificate, to this host or to any; says how many pairs that were. */
  resetTlsBackoff(host?: string): number {
    return this.#runtime.tls.backoff.reset(host);
  }

  /**
   * Starts to listen; resolves when clients can connect, with the first TCP address. Where there is none, the path of the first
   * Unix socket stands for it, as host, with port 0.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED`
   */
  async listen(): Promise<ListenAddress> {
    this.#runtime.targets.warm();
    this.#listeners = await Listeners.open({
      config: this.#engine.config,
      certificates: this.#certificates,
      onSocket: (socket, family, wayIn) => this.#accept(socket, family, wayIn),
      onError: (error) => this.#engine.logger.error({ err: error }, 'listener failed'),
    });
    await this.#listenForAdmin();
    const { logger } = this.#engine;
    for (const listener of this.#listeners.openToAll(this.#engine.config))
      logger.warn(
        { listener },
        'whoever reaches this address can use the proxy: name users in proxyAuthentication, or listen on a loopback address',
      );
    const { address } = this;
    if (address === undefined) throw new Error('no listener is open');
    return address;
  }

  /** Opens the listener for metrics, where there is to be one; if that fails, the proxy does not listen either. */
  async #listenForAdmin(): Promise<void> {
    try {
      this.#admin = await this.#openAdmin(this.#engine.config);
    } catch (error) {
      await this.#listeners?.close();
      throw error;
    }
  }

  async #openAdmin({ admin }: Engine['config']): Promise<AdminListener | undefined> {
    if (admin === undefined) return undefined;
    const isServing = (): boolean => !this.#isDraining;
    return AdminListener.open({ bind: admin.bind, engine: this.#engine, isServing });
  }

  /**
   * Opens the listener for metrics that another configuration asks for. Where nothing about it changes, the one that is open stays.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED`; nothing has changed then
   */
  async prepareAdmin(config: Engine['config']): Promise<PreparedChange> {
    if (isDeepStrictEqual(config.admin, this.#engine.config.admin)) return noChange;
    const opened = await this.#openAdmin(config);
    return {
      apply: async () => {
        const before = this.#admin;
        this.#admin = opened;
        await before?.close();
      },
      discard: async () => opened?.close(),
    };
  }

  /**
   * Reads what a configuration names, such as files with certificates, and changes nothing yet.
   *
   * @returns puts it in force; connections to origins made under other settings, or by another route, are used no more
   * @throws MitmError when new CA or client certificate files can't be read
   */
  prepareReload(config: Engine['config']): (changed: readonly string[]) => void {
    const apply = this.#runtime.targets.prepare(config);
    return (changed) => {
      const isSame = apply();
      if (!isSame || changed.some((path) => routePaths.test(path))) this.#runtime.pool.empty();
    };
  }

  /**
   * Reads the certificates of the proxy itself again. Rejects with MitmError when one can't be read; nothing has changed then.
   *
   * @returns puts them in place, for connections to come
   */
  async prepareListeners(): Promise<() => void> {
    return (await this.#listeners?.prepareReload()) ?? (() => {});
  }

  /**
   * Stops listening, lets exchanges in progress finish, and ends what remains at the deadline. Resolves when no socket is open any
   * more. A second call returns the first one's promise.
   *
   * @throws MitmError `ERR_MITM_SHUTDOWN_TIMEOUT` when connections had to be cut
   */
  close(timeoutMs: number): Promise<void> {
    this.#closing ??= this.#closeAll(timeoutMs);
    return this.#closing;
  }

  /** Whoever watches can do so until the last connection is gone. */
  async #closeAll(timeoutMs: number): Promise<void> {
    try {
      await this.#close(timeoutMs);
    } finally {
      await this.#admin?.close();
    }
  }

  async #close(timeoutMs: number): Promise<void> {
    const sessions = this.#sessions;
    const { pool, attribution, sockets } = this.#runtime;
    this.#isDraining = true;
    await this.#listeners?.close();
    this.#listeners = undefined;
    for (const session of sessions.keys()) session.drain();
    // Its first request may be on its way.
    const grace = setTimeout(
      () => {
        for (const session of sessions.keys()) if (!hasSent(session.socket)) session.kill();
      },
      Math.min(GRACE_MS, timeoutMs),
    );
    const hasDrained = await settledWithin([...sessions.values()], timeoutMs);
    clearTimeout(grace);
    const cutCount = sessions.size;
    for (const session of sessions.keys()) session.kill();
    pool.close();
    attribution.close();
    if (!hasDrained) {
      sockets.destroyAll();
      await settledWithin([...sessions.values()], REFUSAL_MS);
    }
    await sockets.closed(GOODBYE_MS);
    if (hasDrained) return;
    throw new MitmError(
      'ERR_MITM_SHUTDOWN_TIMEOUT',
      `${cutCount} connections were still in use after ${timeoutMs} ms and have been cut`,
    );
  }

  #accept(socket: Socket, family: SocketFamily, wayIn: WayIn): void {
    // A reset before anybody listens would otherwise end the process.
    socket.on('error', () => {});
    this.#runtime.sockets.add(socket);
    if (this.#isDraining || !this.#engine.permits.tryTake()) {
      this.#refuse(socket, family, wayIn);
      return;
    }
    let session: Session | undefined;
    const onSession = (made: Session): void => {
      session = made;
    };
    const served = serveConnection(socket, family, this.#runtime, onSession, wayIn).finally(() => {
      this.#engine.permits.release();
      if (session !== undefined) this.#sessions.delete(session);
    });
    if (session !== undefined) this.#sessions.set(session, served);
  }

  /** A flow of one event. No hook is called: a limit that asks the handler for each client beyond it would be none. */
  #refuse(socket: Socket, family: SocketFamily, wayIn: WayIn): void {
    const engine = this.#engine;
    const connection = new Connection(family);
    if (this.#isDraining) engine.refuse(connection, 'shutdown');
    else {
      engine.metrics.permitDenied();
      engine.refuse(connection, 'capacity_denied', `maxConcurrentFlows is ${engine.permits.capacity()}`);
    }
    const timer = setTimeout(() => socket.destroy(), REFUSAL_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
    // Only a client that is known to speak HTTP first of all can read the answer.
    if (wayIn.kind === 'proxy' && wayIn.tls === undefined) socket.end(writeReply(overCapacity));
    else socket.end();
    socket.resume();
  }

  #makeRuntime(resolver: Resolver | undefined): Runtime {
    const engine = this.#engine;
    const tls = new TlsMemory();
    engine.metrics.readFrom('tlsBackoffActive', () => tls.backoff.letThroughCount(performance.now()));
    const loopGuard = new LoopGuard(() => {
      const admin = this.#admin?.address;
      return [...tcpAddresses(this.addresses), ...(admin === undefined ? [] : [admin])];
    });
    const runtime: Runtime = {
      engine,
      certificates: this.#certificates,
      revocationLists: new RevocationLists(),
      keyLog: this.#keyLog,
      targets: new ConfiguredTargets(engine.config, () => this.#certificates.fingerprints),
      pool: new UpstreamPool(
        (target, flow, sessions) => connectUpstream(runtime, flow, target, sessions),
        () => engine.config,
      ),
      loopGuard,
      addresses: new AddressGuard(loopGuard, resolver),
      identities: new OriginIdentities(),
      tls,
      attribution: new Attribution(
        new ProcessLookup({ config: () => engine.config.processAttribution, metrics: engine.metrics }),
        engine.logger,
      ),
      credentials: new CredentialStore(),
      sockets: new OpenSockets(),
      isDraining: () => this.#isDraining,
    };
    engine.metrics.readFrom('openUpstreamConnections', () => runtime.pool.openCount);
    return runtime;
  }
}

/** Whether a client has said anything yet; until then it waits for nothing, and nobody has to wait for it. */
function hasSent(stream: Duplex): boolean {
  return !(stream instanceof Socket) || stream.bytesRead > 0;
}

function tcpAddresses(addresses: readonly ListenerAddress[]): readonly ListenAddress[] {
  return addresses.flatMap((address) =>
    address.kind === 'tcp' ? [{ host: address.host, port: address.port }] : [],
  );
}

async function settledWithin(promises: readonly Promise<void>[], timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const done = Promise.allSettled(promises).then((): true => true);
  const hasSettled = await Promise.race([done, late]);
  clearTimeout(timer);
  return hasSettled;
}
