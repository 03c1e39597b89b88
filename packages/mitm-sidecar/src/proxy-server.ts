// The running proxy: it listens, admits connections, hands each to `serveConnection`, and ends them all when it closes.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { type Engine, MitmError, type SocketFamily } from 'mitm-core';
import { type Reply, writeReply } from 'mitm-http';
import { TlsDiagnostics } from 'mitm-observe';
import type { CertStore } from 'mitm-tls';

import { AdminListener } from './admin-listener.ts';
import { serveConnection } from './connection.ts';
import { Listener } from './listener.ts';
import { Attribution } from './process/attribution.ts';
import { ProcessLookup } from './process/lookup.ts';
import type { Runtime } from './runtime.ts';
import type { Session } from './session.ts';
import { connectUpstream } from './upstream/connect.ts';
import { type ListenAddress, LoopGuard } from './upstream/loop-guard.ts';
import { UpstreamPool } from './upstream/pool.ts';
import { UpstreamTargets } from './upstream/target.ts';

export interface ProxyServerOptions {
  readonly engine: Engine;
  readonly certificates: CertStore;
}

const overCapacity: Reply = Object.freeze({
  status: 503,
  body: 'the proxy has no room for another connection\n',
});
/** A refused client gets its answer, and not more time than this. */
const REFUSAL_MS = 1_000;

export class ProxyServer {
  readonly #engine: Engine;
  readonly #certificates: CertStore;
  readonly #sessions: Map<Session, Promise<void>>;
  readonly #runtime: MutableRuntime;
  #listener: Listener | undefined;
  #admin: AdminListener | undefined;
  #isDraining: boolean;
  #closing: Promise<void> | undefined;

  /** @throws MitmError when configured CA or client certificate files can't be read */
  constructor(options: ProxyServerOptions) {
    this.#engine = options.engine;
    this.#certificates = options.certificates;
    this.#sessions = new Map();
    this.#listener = undefined;
    this.#admin = undefined;
    this.#isDraining = false;
    this.#closing = undefined;
    this.#runtime = this.#makeRuntime();
  }

  /** Where it listens; undefined before `listen` and after `close`. */
  get address(): ListenAddress | undefined {
    return this.#listener?.address;
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

  /**
   * Starts to listen; resolves when clients can connect.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED`
   */
  async listen(): Promise<ListenAddress> {
    const { bind } = this.#engine.config;
    this.#runtime.targets.warm();
    this.#listener = await Listener.open({
      host: bind.host,
      port: bind.port,
      onSocket: (socket) => this.#accept(socket),
      onError: (error) => this.#engine.logger.error({ err: error }, 'listener failed'),
    });
    await this.#listenForAdmin();
    return this.#listener.address;
  }

  /** Opens the listener for metrics, where there is to be one; if that fails, the proxy does not listen either. */
  async #listenForAdmin(): Promise<void> {
    const engine = this.#engine;
    if (engine.config.admin === undefined) return;
    try {
      const isServing = (): boolean => !this.#isDraining;
      this.#admin = await AdminListener.open({ bind: engine.config.admin.bind, engine, isServing });
    } catch (error) {
      await this.#listener?.close();
      throw error;
    }
  }

  /**
   * Takes what a reload changed: connections to origins made under other settings are used no more.
   *
   * @throws MitmError when new CA or client certificate files can't be read; nothing has changed then
   */
  prepareReload(config: Engine['config']): () => void {
    const targets = new UpstreamTargets(config, [this.#certificates.ca.fingerprint]);
    return () => {
      this.#runtime.targets = targets;
      this.#runtime.pool.empty();
    };
  }

  /**
   * Stops listening, lets exchanges in progress finish, and ends what remains at the deadline. A second call returns the
   * first one's promise.
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
    this.#isDraining = true;
    await this.#listener?.close();
    this.#listener = undefined;
    for (const session of this.#sessions.keys()) {
      if (hasSent(session.socket)) session.drain();
      else session.kill();
    }
    const hasDrained = await settledWithin([...this.#sessions.values()], timeoutMs);
    const cutCount = this.#sessions.size;
    if (!hasDrained) for (const session of this.#sessions.keys()) session.kill();
    this.#runtime.pool.close();
    this.#runtime.attribution.close();
    if (hasDrained) return;
    await settledWithin([...this.#sessions.values()], REFUSAL_MS);
    throw new MitmError(
      'ERR_MITM_SHUTDOWN_TIMEOUT',
      `${cutCount} connections were still in use after ${timeoutMs} ms and have been cut`,
    );
  }

  #accept(socket: Socket): void {
    // A reset before anybody listens would otherwise end the process.
    socket.on('error', () => {});
    if (this.#isDraining || !this.#engine.permits.tryTake()) {
      this.#refuse(socket);
      return;
    }
    let session: Session | undefined;
    const served = serveConnection(socket, socketFamily(socket), this.#runtime, (made) => {
      session = made;
    }).finally(() => {
      this.#engine.permits.release();
      if (session !== undefined) this.#sessions.delete(session);
    });
    if (session !== undefined) this.#sessions.set(session, served);
  }

  #refuse(socket: Socket): void {
    this.#engine.metrics.permitDenied();
    const timer = setTimeout(() => socket.destroy(), REFUSAL_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
    socket.end(writeReply(overCapacity));
    socket.resume();
  }

  #makeRuntime(): MutableRuntime {
    const engine = this.#engine;
    const runtime: MutableRuntime = {
      engine,
      certificates: this.#certificates,
      targets: new UpstreamTargets(engine.config, [this.#certificates.ca.fingerprint]),
      pool: new UpstreamPool(
        (target, flow, sessions) => connectUpstream(runtime, flow, target, sessions),
        () => engine.config,
      ),
      loopGuard: new LoopGuard(() =>
        [this.#listener?.address, this.#admin?.address].filter((address) => address !== undefined),
      ),
      diagnostics: new TlsDiagnostics(),
      attribution: new Attribution(
        new ProcessLookup({ config: () => engine.config.processAttribution, metrics: engine.metrics }),
        engine.logger,
      ),
      isDraining: () => this.#isDraining,
    };
    engine.metrics.readFrom('openUpstreamConnections', () => runtime.pool.openCount);
    return runtime;
  }
}

/** The runtime as its maker sees it: a reload puts other targets in place. */
type MutableRuntime = { -readonly [K in keyof Runtime]: Runtime[K] };

/** Whether a client has said anything yet; until then it waits for nothing, and nobody has to wait for it. */
function hasSent(stream: Duplex): boolean {
  return !(stream instanceof Socket) || stream.bytesRead > 0;
}

function socketFamily(socket: Socket): SocketFamily {
  const address = mapped(socket.remoteAddress ?? '0.0.0.0');
  return {
    kind: address.includes(':') ? 'tcp_v6' : 'tcp_v4',
    local: { address: mapped(socket.localAddress ?? '0.0.0.0'), port: socket.localPort ?? 0 },
    remote: { address, port: socket.remotePort ?? 0 },
  };
}

/** IPv4 clients of a dual-stack listener come as mapped IPv6 addresses. */
function mapped(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
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
