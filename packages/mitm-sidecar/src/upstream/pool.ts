// Keeps connections to origins for the exchanges to come, by key. Nobody above this file knows whether a connection is
// new. A used connection goes to another client only for what may be repeated; everything else gets a new one, or the one
// its own client used last. One on which a client authenticated the connection itself is that client's alone.
import { type Awaitable, Failure, type Flow, type MitmConfig } from 'mitm-core';

import { Http1Outbound, type OutboundOwner } from '../http1/outbound.ts';
import type { Wire } from '../wire.ts';
import type { SessionCache } from './connect.ts';
import { Pins } from './pins.ts';
import type { UpstreamTarget } from './target.ts';

/** What an exchange needs of a connection. */
export interface AcquireRequest {
  readonly target: UpstreamTarget;
  readonly flow: Flow;
  /** The request may be sent again on another connection when this one turns out to be dead. */
  readonly isRepeatable: boolean;
  /** Never take a used connection. */
  readonly isFresh: boolean;
}

/** Makes a new connection; the pool decides when. */
export type Connector = (target: UpstreamTarget, flow: Flow, sessions: SessionCache) => Promise<Wire>;

/** Beyond the idle bound, only what was idle for this long is closed: busy clients would handshake all the time. */
const SPARE_IDLE_MS = 1_000;
const SWEEP_MS = 1_000;
const MAX_SESSIONS = 1_024;

interface Waiter {
  readonly request: AcquireRequest;
  readonly resolve: (connection: Awaitable<Http1Outbound>) => void;
  readonly reject: (failure: Failure) => void;
  readonly timer: NodeJS.Timeout;
}

/** Connections to one key that are not pinned. Nobody waits while one is idle. */
interface Host {
  readonly place: string;
  readonly idle: Http1Outbound[];
  /** Connections that count: idle, busy, and being made. */
  open: number;
  readonly waiters: Waiter[];
}

export class UpstreamPool implements OutboundOwner {
  readonly #connect: Connector;
  readonly #config: () => MitmConfig;
  readonly #hosts: Map<string, Host>;
  /** By place, the key of the TLS connection made there last: what a client will ask for there again. */
  readonly #lastKeys: Map<string, string>;
  /** All connections, busy or idle; upgraded ones are no longer ours. */
  readonly #connections: Set<Http1Outbound>;
  readonly #pins: Pins;
  readonly #sessions: Map<string, Buffer>;
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
    this.#sessions = new Map();
    this.#sweep = undefined;
    this.#generation = 0;
    this.#isClosed = false;
  }

  /** Connections that are open or being made; upgraded and pinned ones don't count. */
  get openCount(): number {
    let count = 0;
    for (const host of this.#hosts.values()) count += host.open;
    return count;
  }

  /** True when a live connection with this key waits for use: its origin is reachable. */
  hasIdle(key: string): boolean {
    return this.#hosts.get(key)?.idle.some((connection) => connection.isIdle) ?? false;
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
  acquire(request: AcquireRequest): Awaitable<Http1Outbound> {
    if (this.#isClosed) throw shutDown();
    const { target } = request;
    if (this.#pins.clientCount > 0 && !request.isFresh) {
      const own = this.#pins.find(request.flow.connection, target.key);
      if (own !== undefined) return own;
    }
    const found = this.#takeIdle(this.#host(target), request);
    if (found !== undefined) return found;
    const { maxConnectionsPerHost } = this.#config().connectionPool;
    // One that this request may not use makes room for one that it may; the oldest is the likeliest to be dead.
    if (this.#host(target).open >= maxConnectionsPerHost) this.#host(target).idle[0]?.abort();
    return this.#host(target).open >= maxConnectionsPerHost ? this.#wait(request) : this.#make(request);
  }

  /** The exchange of this flow waits no longer for a connection: its client is gone. */
  cancel(target: UpstreamTarget, flow: Flow): void {
    const waiters = this.#hosts.get(target.key)?.waiters ?? [];
    const at = waiters.findIndex(({ request }) => request.flow === flow);
    const [waiter] = at === -1 ? [] : waiters.splice(at, 1);
    if (waiter === undefined) return;
    clearTimeout(waiter.timer);
    waiter.reject(new Failure('client_aborted', { side: 'client' }));
  }

  /** A client connection has ended: what belongs to it alone is closed. */
  clientGone(client: object): void {
    if (this.#pins.clientCount === 0) return;
    for (const connection of this.#pins.drop(client)) connection.abort();
  }

  /** Takes a connection that was made elsewhere (the handshake of an intercepted connection) and waits for use. */
  adopt(target: UpstreamTarget, wire: Wire, flow: Flow): void {
    if (this.#isClosed) {
      wire.destroy();
      return;
    }
    this.#host(target).open += 1;
    const connection = new Http1Outbound(wire, target.key, flow.config, this);
    // One that is dead already has told `gone`.
    if (!connection.isIdle) return;
    connection.generation = this.#generation;
    this.#connections.add(connection);
    this.idle(connection);
  }

  /** Sessions of handshakes made elsewhere are kept here too. */
  get sessions(): SessionCache {
    return {
      get: (key) => this.#sessions.get(key),
      set: (key, session) => {
        this.#sessions.delete(key);
        this.#sessions.set(key, session);
        if (this.#sessions.size <= MAX_SESSIONS) return;
        const [oldest] = this.#sessions.keys();
        if (oldest !== undefined) this.#sessions.delete(oldest);
      },
    };
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
    const [waiter] = host.waiters;
    if (waiter === undefined) {
      host.idle.push(connection);
      this.#beginWait(connection);
    } else if (this.#mayUse(connection, waiter.request)) {
      clearTimeout(waiter.timer);
      host.waiters.shift();
      waiter.resolve(this.#lend(connection, waiter.request));
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
    const idle = this.#hosts.get(connection.key)?.idle ?? [];
    const at = idle.indexOf(connection);
    if (at !== -1) idle.splice(at, 1);
    this.#closed(connection.key);
  }

  pinned(connection: Http1Outbound): void {
    if (connection.lastUser !== undefined) this.#pins.add(connection.lastUser, connection);
    this.#closed(connection.key);
  }

  /** Closes what is idle, and what is busy as soon as it is done: settings changed that connections were made under. */
  empty(): void {
    this.#generation += 1;
    for (const host of this.#hosts.values()) for (const connection of host.idle.slice()) connection.abort();
    for (const connection of this.#pins.idle()) connection.abort();
    this.#sessions.clear();
  }

  /** Closes everything at once, and for good: exchanges that use or await a connection fail. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    for (const host of this.#hosts.values()) {
      for (const waiter of host.waiters.splice(0)) {
        clearTimeout(waiter.timer);
        waiter.reject(shutDown());
      }
    }
    this.empty();
    // The stream rather than the wire: the exchange on it shall hear of the end.
    for (const connection of this.#connections) connection.wire.socket.destroy();
  }

  #host(target: UpstreamTarget): Host {
    const { key, place } = target;
    let host = this.#hosts.get(key);
    if (host === undefined) {
      host = { place, idle: [], open: 0, waiters: [] };
      this.#hosts.set(key, host);
      if (target.tls !== undefined) this.#lastKeys.set(place, key);
    }
    return host;
  }

  #mayUse(connection: Http1Outbound, request: AcquireRequest): boolean {
    if (request.isFresh) return false;
    return (
      request.isRepeatable ||
      connection.lastUser === undefined ||
      connection.lastUser === request.flow.connection
    );
  }

  /** The connection used last is the likeliest to be alive. */
  #takeIdle(host: Host, request: AcquireRequest): Http1Outbound | undefined {
    for (let i = host.idle.length - 1; i >= 0; i -= 1) {
      const connection = host.idle[i];
      if (connection === undefined || !connection.isIdle || !this.#mayUse(connection, request)) continue;
      if (i === host.idle.length - 1) host.idle.pop();
      else host.idle.splice(i, 1);
      return this.#lend(connection, request);
    }
    return undefined;
  }

  #lend(connection: Http1Outbound, request: AcquireRequest): Http1Outbound {
    connection.lastUser = request.flow.connection;
    return connection;
  }

  async #make(request: AcquireRequest): Promise<Http1Outbound> {
    const { key } = request.target;
    const generation = this.#generation;
    this.#host(request.target).open += 1;
    let wire: Wire;
    try {
      wire = await this.#connect(request.target, request.flow, this.sessions);
    } catch (error) {
      this.#closed(key);
      throw error;
    }
    if (this.#isClosed) {
      wire.destroy();
      this.#closed(key);
      throw shutDown();
    }
    const connection = new Http1Outbound(wire, key, request.flow.config, this);
    // An origin that hangs up, or talks, before it was asked: `gone` has been told.
    if (!connection.isIdle) throw uselessConnection(request);
    connection.generation = generation;
    this.#connections.add(connection);
    return this.#lend(connection, request);
  }

  #wait(request: AcquireRequest): Promise<Http1Outbound> {
    const { waiters } = this.#host(request.target);
    const timeoutMs = request.flow.config.upstream.connectTimeoutMs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const at = waiters.findIndex((waiter) => waiter.timer === timer);
        waiters.splice(at, 1);
        reject(noneFree(request, timeoutMs));
      }, timeoutMs);
      waiters.push({ request, resolve, reject, timer });
    });
  }

  /** A connection less that counts: whoever waits first gets a new one in its place. */
  #closed(key: string): void {
    const host = this.#hosts.get(key);
    if (host === undefined) return;
    host.open -= 1;
    if (host.open < this.#config().connectionPool.maxConnectionsPerHost) {
      const waiter = host.waiters.shift();
      if (waiter !== undefined) {
        clearTimeout(waiter.timer);
        waiter.resolve(this.#make(waiter.request));
        return;
      }
    }
    if (host.open > 0) return;
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

function noneFree(request: AcquireRequest, timeoutMs: number): Failure {
  const { host } = request.target.route.target;
  return new Failure('upstream_connect_failed', {
    side: 'internal',
    detail: `upstream_connect_failed[${request.target.route.mode}]: no connection became free: timed out after ${timeoutMs} ms`,
    reply: { status: 504, body: `all connections to ${host} are in use\n` },
  });
}

function uselessConnection(request: AcquireRequest): Failure {
  const { route } = request.target;
  return new Failure('upstream_connect_failed', {
    side: 'upstream',
    detail: `upstream_connect_failed[${route.mode}]: the origin ended the connection, or spoke, before it was asked`,
    reply: { status: 502, body: `the proxy could not use its connection to ${route.target.host}\n` },
    cause: Object.assign(new Error('the origin was not ready'), { code: 'ECONNRESET' }),
  });
}

function shutDown(): Failure {
  return new Failure('shutdown', {
    side: 'internal',
    reply: { status: 503, body: 'the proxy is shutting down\n' },
  });
}
