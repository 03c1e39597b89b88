// Keeps connections to origins for the exchanges to come, by key. Nobody above this file knows whether a connection is
// new. A used connection goes to another client only for what may be repeated; everything else gets a new one, or the one
// its own client used last. One on which a client authenticated the connection itself is that client's alone.
import { type Awaitable, Failure, type Flow, type MitmConfig } from 'mitm-core';
import type { AlpnProtocol } from 'mitm-http';

import { Http1Outbound, type OutboundOwner } from '../http1/outbound.ts';
import { Http2UpstreamSession, type UpstreamSessionOwner } from '../http2/upstream-session.ts';
import type { Outbound } from '../relay/sides.ts';
import type { Wire } from '../wire.ts';
import type { AcquireRequest, Connector } from './acquire.ts';
import type { Connected } from './connect.ts';
import { mayUse, takeIdle } from './idle-connections.ts';
import { Pins } from './pins.ts';
import { noneFree, shutDown, uselessConnection } from './pool-failures.ts';
import { PoolHost } from './pool-host.ts';
import { SharedSessions } from './shared-sessions.ts';
import type { UpstreamTarget } from './target.ts';
import { TlsSessions } from './tls-sessions.ts';

/** Beyond the idle bound, only what was idle for this long is closed: busy clients would handshake all the time. */
const SPARE_IDLE_MS = 1_000;
const SWEEP_MS = 1_000;

export class UpstreamPool implements OutboundOwner, UpstreamSessionOwner {
  readonly #connect: Connector;
  readonly #config: () => MitmConfig;
  readonly #hosts: Map<string, PoolHost>;
  /** By place, the key of the TLS connection made there last: what a client will ask for there again. */
  readonly #lastKeys: Map<string, string>;
  /** All connections, busy or idle; upgraded ones are no longer ours. */
  readonly #connections: Set<Http1Outbound>;
  readonly #pins: Pins;
  readonly #shared: SharedSessions;
  /** Connections being made that may turn out to be shared: whoever else needs one waits for it. */
  readonly #making: Map<string, Promise<unknown>>;
  /** TLS sessions; of handshakes made elsewhere too. */
  readonly sessions: TlsSessions;
  #sweep: NodeJS.Timeout | undefined;
  /** Counts the calls of `empty`: what was begun before one is outdated when it is done. */
  #generation: number;
  #isClosed: boolean;

  constructor(connect: Connector, config: () => MitmConfig) {
    this.#connect = connect;
    this.#config = config;
    this.#hosts = new Map();
    this.#lastKeys = new Map();
    this.#connections = new Set();
    this.#pins = new Pins();
    this.#shared = new SharedSessions();
    this.#making = new Map();
    this.sessions = new TlsSessions();
    this.#sweep = undefined;
    this.#generation = 0;
    this.#isClosed = false;
  }

  /** Connections that are open or being made; upgraded ones, pinned ones and those that carry a stream don't count. */
  get openCount(): number {
    let count = 0;
    for (const host of this.#hosts.values()) count += host.open;
    return count;
  }

  /** True when a live connection with this key waits for use: its origin is reachable. */
  hasIdle(key: string): boolean {
    if (this.#shared.has(key)) return true;
    return this.#hosts.get(key)?.idle.some((connection) => connection.isIdle) ?? false;
  }

  /** What the origin speaks, as far as a live connection with this key tells. */
  protocolOf(key: string): AlpnProtocol | undefined {
    if (this.#shared.has(key)) return 'h2';
    return this.hasIdle(key) ? 'http/1.1' : undefined;
  }

  /** The HTTP/2 connection that this client's next stream would use. */
  sharedFor(target: UpstreamTarget, client: object): Http2UpstreamSession | undefined {
    return this.#shared.find(target.key, client);
  }

  /** True when a live TLS connection to this place waits for use, under the server name that was asked for there last. */
  hasIdleAt(place: string): boolean {
    const key = this.#lastKeys.get(place);
    return key !== undefined && this.hasIdle(key);
  }

  /**
   * Gives a connection for one exchange, at once where there is one.
   *
   * @throws Failure when no connection can be made, or none becomes free within the connect deadline
   */
  acquire(request: AcquireRequest): Awaitable<Outbound> {
    if (this.#isClosed) throw shutDown();
    const { target } = request;
    if (target.http2 !== 'never') {
      const stream = this.#acquireStream(request);
      if (stream !== undefined) return stream;
    }
    if (this.#pins.clientCount > 0 && !request.isFresh) {
      const own = this.#pins.find(request.flow.connection, target.key);
      if (own !== undefined) return own;
    }
    const found = takeIdle(this.#host(target).idle, request);
    if (found !== undefined) return this.#lend(found, request);
    const { maxConnectionsPerHost } = this.#config().connectionPool;
    // Those that this request may not use make room for one that it may, the oldest first, since they are the likeliest to be dead. Of
    // several that handshakes brought in beyond the limit, one would not be enough.
    const { idle } = this.#host(target);
    for (const oldest of idle.slice()) {
      if (this.#host(target).open < maxConnectionsPerHost) break;
      oldest.abort();
    }
    if (idle.length === 0 && this.#host(target).open >= maxConnectionsPerHost)
      this.#shared.idle(target.key)?.retire();
    return this.#host(target).open >= maxConnectionsPerHost ? this.#wait(request) : this.#make(request);
  }

  /** A stream on a shared connection, now or when one has been made; undefined where a connection must be made. */
  #acquireStream(request: AcquireRequest): Awaitable<Outbound> | undefined {
    const { key } = request.target;
    const client = request.flow.connection;
    const session =
      request.isAuthenticating === true ? this.#shared.claim(key, client) : this.#shared.find(key, client);
    if (session !== undefined) {
      if (request.isRepeatable || !session.isDoubtful) return session.open(client);
      // It may be dead, and what it carries now must not be sent twice.
      return session.prove().then(() => this.acquire(request));
    }
    // One that speaks HTTP/1 will not be shared.
    if (this.#hosts.get(key)?.isHttp1 === true) return undefined;
    return this.#making.get(key)?.then(() => this.acquire(request));
  }

  /** The exchange of this flow waits no longer for a connection: its client is gone. */
  cancel(target: UpstreamTarget, flow: Flow): void {
    this.#hosts.get(target.key)?.waiters.leave(flow, () => new Failure('client_aborted', { side: 'client' }));
  }

  /** A client connection has ended: what belongs to it alone is closed. */
  clientGone(client: object): void {
    for (const session of this.#shared.all()) session.clientGone(client);
    if (this.#pins.clientCount === 0) return;
    for (const connection of this.#pins.drop(client)) connection.abort();
  }

  /** Takes a connection that was made elsewhere (the handshake of an intercepted connection) and waits for use. */
  adopt(target: UpstreamTarget, connected: Connected, flow: Flow): void {
    const { wire } = connected;
    if (this.#isClosed) {
      wire.destroy();
      return;
    }
    this.#host(target).open += 1;
    if (speaksHttp2(target, connected)) {
      this.#share(target, wire, flow);
      return;
    }
    wire.countIn(flow.engine.budget);
    const connection = new Http1Outbound(wire, target.key, flow.config, this);
    // One that is dead already has told `gone`.
    if (!connection.isIdle) return;
    connection.generation = this.#generation;
    this.#connections.add(connection);
    this.idle(connection);
  }

  idle(connection: Http1Outbound): void {
    if (this.#isClosed || connection.generation !== this.#generation) {
      connection.abort();
      return;
    }
    if (connection.isPinned) {
      this.#keepPinned(connection);
      return;
    }
    const host = this.#hosts.get(connection.key);
    if (host === undefined) return;
    const { maxConnectionsPerHost } = this.#config().connectionPool;
    const longest = host.waiters.first;
    if (connection.isStreaming && !host.countAgain(connection, maxConnectionsPerHost)) connection.abort();
    else if (longest === undefined) {
      host.idle.push(connection);
      this.#beginWait(connection);
    } else if (mayUse(connection, longest.request)) {
      host.waiters.take()?.resolve(this.#lend(connection, longest.request));
    } else {
      // Whoever waits longest is served first, and where it may not use this connection, by a new one in its place.
      connection.abort();
    }
  }

  gone(connection: Http1Outbound): void {
    this.#connections.delete(connection);
    if (connection.isPinned) {
      if (connection.lastUser !== undefined) this.#pins.remove(connection.lastUser, connection);
      return;
    }
    const host = this.#hosts.get(connection.key);
    if (connection.isStreaming && host !== undefined) host.streaming -= 1;
    const at = host?.idle.indexOf(connection) ?? -1;
    if (at !== -1) host?.idle.splice(at, 1);
    this.#closed(connection.key, connection.isStreaming ? 0 : 1);
  }

  pinned(connection: Http1Outbound): void {
    if (connection.lastUser !== undefined) this.#pins.add(connection.lastUser, connection);
    this.#closed(connection.key);
  }

  streams(connection: Http1Outbound): void {
    const host = this.#hosts.get(connection.key);
    if (connection.isPinned || host === undefined) return;
    connection.isStreaming = true;
    host.streaming += 1;
    this.#closed(connection.key);
  }

  roomChanged(session: Http2UpstreamSession): void {
    const line = this.#hosts.get(session.key)?.waiters;
    if (line === undefined) return;
    while (session.hasRoom) {
      const waiter = line.take(({ flow, isAuthenticating }) =>
        isAuthenticating === true ? session.claim(flow.connection) : session.isFor(flow.connection),
      );
      if (waiter === undefined) return;
      waiter.resolve(session.open(waiter.request.flow.connection));
    }
  }

  draining(session: Http2UpstreamSession): void {
    this.#shared.retire(session);
  }

  sessionGone(session: Http2UpstreamSession): void {
    if (this.#shared.remove(session)) this.#closed(session.key);
  }

  /** Closes what is idle, and what is busy as soon as it is done: settings changed that connections were made under. */
  empty(): void {
    this.#generation += 1;
    for (const host of this.#hosts.values()) for (const connection of host.idle.slice()) connection.abort();
    for (const connection of this.#pins.idle()) connection.abort();
    for (const session of this.#shared.all()) session.retire();
    this.sessions.clear();
  }

  /** Closes everything at once, and for good: exchanges that use or await a connection fail. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    for (const host of this.#hosts.values()) host.waiters.dismiss(shutDown);
    this.empty();
    // The stream rather than the wire: the exchange on it shall hear of the end.
    for (const connection of this.#connections) connection.wire.socket.destroy();
    for (const session of this.#shared.all()) session.close('the proxy is shutting down');
  }

  #host(target: UpstreamTarget): PoolHost {
    const { key, place } = target;
    let host = this.#hosts.get(key);
    if (host === undefined) {
      host = new PoolHost(place);
      this.#hosts.set(key, host);
      if (target.tls !== undefined) this.#lastKeys.set(place, key);
    }
    return host;
  }

  #lend(connection: Http1Outbound, request: AcquireRequest): Http1Outbound {
    connection.lastUser = request.flow.connection;
    return connection;
  }

  #make(request: AcquireRequest): Promise<Outbound> {
    const { key, http2 } = request.target;
    const made = this.#makeNow(request);
    if (http2 === 'never' || this.#making.has(key)) return made;
    this.#making.set(key, made);
    const settled = (): void => void this.#making.delete(key);
    made.then(settled, settled);
    return made;
  }

  async #makeNow(request: AcquireRequest): Promise<Outbound> {
    const { target, flow } = request;
    const generation = this.#generation;
    this.#host(target).open += 1;
    let connected: Connected;
    try {
      connected = await this.#connect(target, flow, this.sessions);
    } catch (error) {
      this.#closed(target.key);
      throw error;
    }
    const { wire } = connected;
    if (this.#isClosed) {
      wire.destroy();
      this.#closed(target.key);
      throw shutDown();
    }
    if (speaksHttp2(target, connected)) {
      const session = this.#share(target, wire, flow, generation);
      if (request.isAuthenticating === true) session.claim(flow.connection);
      if (!session.hasRoom) throw uselessConnection(target);
      const stream = session.open(flow.connection);
      // Settings changed while it was made: it serves whoever waited for it, and nobody else.
      if (generation !== this.#generation) session.retire();
      return stream;
    }
    wire.countIn(flow.engine.budget);
    const connection = new Http1Outbound(wire, target.key, flow.config, this);
    // An origin that hangs up, or talks, before it was asked: `gone` has been told.
    if (!connection.isIdle) throw uselessConnection(target);
    connection.generation = generation;
    this.#host(target).isHttp1 = true;
    this.#connections.add(connection);
    return this.#lend(connection, request);
  }

  #share(
    { key }: UpstreamTarget,
    wire: Wire,
    flow: Flow,
    generation: number = this.#generation,
  ): Http2UpstreamSession {
    const session = new Http2UpstreamSession(wire, flow, this, { key, generation });
    this.#shared.add(session);
    session.start();
    return session;
  }

  #wait(request: AcquireRequest): Promise<Outbound> {
    const { waiters } = this.#host(request.target);
    const timeoutMs = request.flow.config.upstream.connectTimeoutMs;
    return waiters.join(request, timeoutMs, () => noneFree(request.target, timeoutMs));
  }

  /** A connection less that counts: whoever waits first gets a new one in its place. */
  #closed(key: string, count = 1): void {
    const host = this.#hosts.get(key);
    if (host === undefined) return;
    host.open -= count;
    if (host.open < this.#config().connectionPool.maxConnectionsPerHost) {
      const waiter = host.waiters.take();
      if (waiter !== undefined) {
        waiter.resolve(this.#make(waiter.request));
        return;
      }
    }
    if (!host.isOver) return;
    this.#hosts.delete(key);
    if (this.#lastKeys.get(host.place) === key) this.#lastKeys.delete(host.place);
  }

  #keepPinned(connection: Http1Outbound): void {
    const { lastUser } = connection;
    if (lastUser !== undefined && this.#pins.has(lastUser, connection)) this.#beginWait(connection);
    else connection.abort();
  }

  #beginWait(connection: Http1Outbound): void {
    connection.idleSinceMs = performance.now();
    this.#sweep ??= setInterval(() => this.#sweepIdle(), SWEEP_MS).unref();
  }

  #sweepIdle(): void {
    const now = performance.now();
    const { idleTimeoutMs, maxIdlePerHost } = this.#config().connectionPool;
    let idleCount = 0;
    for (const connection of this.#pins.idle()) {
      if (now - connection.idleSinceMs > idleTimeoutMs) connection.abort();
      else idleCount += 1;
    }
    for (const host of this.#hosts.values()) {
      // Oldest first, as they were put there.
      for (const connection of host.idle.slice()) {
        const idleMs = now - connection.idleSinceMs;
        const isSpare = host.idle.length > maxIdlePerHost && idleMs > SPARE_IDLE_MS;
        if (idleMs > idleTimeoutMs || isSpare) connection.abort();
      }
      idleCount += host.idle.length;
    }
    if (idleCount > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}

function speaksHttp2(target: UpstreamTarget, connected: Connected): boolean {
  return target.http2 === 'prior_knowledge' || connected.alpn === 'h2';
}
