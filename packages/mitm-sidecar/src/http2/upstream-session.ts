// One HTTP/2 connection to an origin, shared by the exchanges of all clients that may share it. It takes new streams until the
// origin, or we, end it; then it goes when its last stream has.
import { errorText, type Flow, type MitmConfig } from 'mitm-core';
import { h2Code, h2CodeName, H2Session, type SessionListener } from 'mitm-http';

import type { Wire } from '../wire.ts';
import { Http2Outbound, type OutboundSession } from './outbound.ts';
import { type PumpOwner, SessionPump } from './pump.ts';
import { sessionOptions } from './session-options.ts';

/** Who keeps the connection between exchanges. */
export interface UpstreamSessionOwner {
  /** A stream ended, or the origin changed its mind about how many there may be. */
  roomChanged(session: Http2UpstreamSession): void;
  /** It takes no more streams; those that it has go on. */
  draining(session: Http2UpstreamSession): void;
  /** The connection is gone, and no stream is left. */
  sessionGone(session: Http2UpstreamSession): void;
}

/** Silence after which a connection may be dead without our knowing yet. */
const STALE_AFTER_MS = 1_000;
/** Streams that were reset on one connection before the next ones go to another; guards of origins begin well above. */
const MAX_RESETS = 100;
/** How long an origin may take to say that it is still there. */
const PROOF_MS = 2_000;

export class Http2UpstreamSession implements SessionListener, PumpOwner, OutboundSession {
  readonly key: string;
  /** Under which settings it was made, as the pool counts them. */
  readonly generation: number;
  /** The one client that authenticated it, if any did. */
  soleUser: object | undefined;
  /** When its last stream ended, on the monotonic clock in milliseconds. */
  idleSinceMs: number;
  readonly #config: MitmConfig;
  readonly #logger: Flow['engine']['logger'];
  readonly #owner: UpstreamSessionOwner;
  readonly #session: H2Session;
  readonly #pump: SessionPump;
  readonly #streams: Set<Http2Outbound>;
  readonly #touched: Http2Outbound[];
  readonly #goawayListeners: Set<(code: number) => void>;
  #lastUser: object | undefined;
  /** Never used by a second client. */
  #isOneUser: boolean;
  #useCount: number;
  #resetCount: number;
  /** Takes no more streams, though nobody has told the origin. */
  #isWorn: boolean;
  #lastHeardMs: number;
  #fault: string | undefined;
  #lossError: Error | undefined;
  #isGone: boolean;
  #proofs: ((isAlive: boolean) => void)[];
  #known: (() => void)[];

  constructor(
    wire: Wire,
    flow: Flow,
    owner: UpstreamSessionOwner,
    place: { readonly key: string; readonly generation: number },
  ) {
    this.key = place.key;
    this.generation = place.generation;
    this.soleUser = undefined;
    this.idleSinceMs = performance.now();
    const { config } = flow;
    this.#config = config;
    this.#logger = flow.engine.logger;
    this.#owner = owner;
    this.#session = new H2Session(sessionOptions(config, 'client', false), this);
    this.#streams = new Set();
    this.#touched = [];
    this.#goawayListeners = new Set();
    this.#lastUser = undefined;
    this.#isOneUser = true;
    this.#useCount = 0;
    this.#resetCount = 0;
    this.#isWorn = false;
    this.#lastHeardMs = performance.now();
    this.#fault = undefined;
    this.#lossError = undefined;
    this.#isGone = false;
    this.#proofs = [];
    this.#known = [];
    this.#pump = new SessionPump(wire, this.#session, this);
  }

  /** Begins to speak; the owner must know it by then. */
  start(): void {
    this.#pump.start(this.#config.connectionPool.idleTimeoutMs);
  }

  /** True while a stream can be opened at once. */
  get hasRoom(): boolean {
    return this.#session.canOpen && !this.#isWorn;
  }

  /** True while it takes new streams, now or when another one has ended. */
  get isUsable(): boolean {
    return !this.#session.isDraining && !this.#session.isOver && !this.#isGone && !this.#isWorn;
  }

  get isIdle(): boolean {
    return this.#streams.size === 0;
  }

  get fault(): string | undefined {
    const error = this.#session.failure;
    return error === undefined ? this.#fault : `upstream broke HTTP/2: ${error.message}`;
  }

  get lossError(): Error | undefined {
    return this.#lossError;
  }

  /** Whether the origin takes WebSockets over HTTP/2 (RFC 8441); false until its settings have come. */
  get allowsConnectProtocol(): boolean {
    return this.#session.peerAllowsConnectProtocol;
  }

  /** Whether this client may use it, as far as authentication goes. */
  isFor(client: object): boolean {
    return this.soleUser === undefined || this.soleUser === client;
  }

  /** Makes it this client's alone, which is possible only where nobody else uses it. */
  claim(client: object): boolean {
    if (this.soleUser === client) return true;
    const isAnothers = this.#lastUser !== undefined && this.#lastUser !== client;
    if (this.soleUser !== undefined || !this.#isOneUser || isAnothers) return false;
    this.soleUser = client;
    return true;
  }

  /** A client has left: what it had authenticated ends with it. Whoever came before that goes on to the end. */
  clientGone(client: object): void {
    if (this.soleUser !== client) return;
    if (this.#isOneUser) this.close('its client is gone');
    else this.retire();
  }

  /** Its only user has left, and said why: so does it. */
  leftBy(client: object, code: number): void {
    if (this.isIdle && this.#lastUser === client && this.#isOneUser) this.retire(code);
  }

  /** Silent for so long that it may be dead. */
  get isDoubtful(): boolean {
    return performance.now() - this.#lastHeardMs > STALE_AFTER_MS;
  }

  /** Opens a stream; only while `hasRoom`. */
  open(client: object): Http2Outbound {
    this.#useCount += 1;
    this.#isOneUser &&= this.#lastUser === undefined || this.#lastUser === client;
    this.#lastUser = client;
    const outbound = new Http2Outbound(this, this.#config, {
      client,
      isReused: this.#useCount > 1,
      isBound: this.soleUser !== undefined,
    });
    outbound.attach(this.#session.openStream(outbound));
    this.#streams.add(outbound);
    this.#pump.wake();
    return outbound;
  }

  /** Asks the origin for a sign of life. Resolves to false when none comes; the connection is closed then. */
  prove(): Promise<boolean> {
    this.#session.ping();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
        this.close('the origin did not answer a PING');
      }, PROOF_MS);
      this.#proofs.push((isAlive) => {
        clearTimeout(timer);
        resolve(isAlive);
      });
    });
  }

  /** Resolves when the origin's settings have come, or after so long. */
  known(limitMs: number): Promise<void> {
    if (this.#session.isPeerKnown || this.#isGone) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#known.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Calls back when the origin announces the end of the connection, for as long as the returned function is not called. */
  onGoaway(listener: (code: number) => void): () => void {
    this.#goawayListeners.add(listener);
    return () => this.#goawayListeners.delete(listener);
  }

  /** Takes no more streams, and goes when it has none. */
  retire(code: number = h2Code.noError): void {
    if (!this.isUsable) return;
    this.#session.goaway(code);
    this.#owner.draining(this);
    if (this.isIdle) this.#pump.end();
  }

  /** Ends the connection now; its streams fail. */
  close(fault: string, code: number = h2Code.noError): void {
    this.#fault ??= fault;
    if (!this.#session.isOver) this.#session.abort(code);
    this.#pump.end();
  }

  streamOver(outbound: Http2Outbound, isReset: boolean): void {
    if (!this.#streams.delete(outbound)) return;
    if (isReset) this.#countReset();
    if (this.#streams.size === 0) {
      this.idleSinceMs = performance.now();
      if (this.#session.isDraining || this.#isWorn) {
        if (!this.#session.isDraining) this.#session.goaway();
        this.#pump.end();
        return;
      }
    }
    this.#owner.roomChanged(this);
  }

  /**
   * Origins end connections on which many streams were reset: whoever resets much shall not take its neighbours along. The origin hears
   * of it last: some refuse what is on its way to them once they were told of an end.
   */
  #countReset(): void {
    this.#resetCount += 1;
    if (this.#resetCount < MAX_RESETS || !this.isUsable) return;
    this.#isWorn = true;
    this.#owner.draining(this);
  }

  touched(outbound: Http2Outbound): void {
    this.#touched.push(outbound);
  }

  authenticated(client: object): void {
    // Whoever shares it already goes on; nobody else comes.
    this.soleUser ??= client;
  }

  request(): void {
    // An origin sends no requests; the session refuses them.
  }

  headTooLarge(): void {
    // As above.
  }

  settings(): void {
    for (const tell of this.#known.splice(0)) tell();
    this.#owner.roomChanged(this);
  }

  goaway(_lastStreamId: number, code: number, debug: string): void {
    if (code !== h2Code.noError)
      this.#fault ??= `upstream sent GOAWAY ${h2CodeName(code)}${debug === '' ? '' : `: ${debug}`}`;
    this.#owner.draining(this);
    for (const listener of this.#goawayListeners) listener(code);
    if (this.isIdle) this.#pump.end();
  }

  failed(): void {
    this.#pump.flushSoon();
  }

  outputReady(): void {
    this.#pump.flushSoon();
  }

  received(): void {
    this.#lastHeardMs = performance.now();
    if (this.#proofs.length > 0) for (const tell of this.#proofs.splice(0)) tell(true);
    const touched = this.#touched;
    for (let i = 0; i < touched.length; i += 1) touched[i]?.flushReceiver();
    touched.length = 0;
  }

  ticked(): void {
    for (const outbound of this.#streams) outbound.tick();
  }

  quiet(quietMs: number): void {
    if (this.isIdle && quietMs >= this.#config.connectionPool.idleTimeoutMs) this.retire();
  }

  faulted(error: unknown): void {
    this.#fault ??= `internal error: ${errorText(error)}`;
    this.#logger.error({ err: error }, 'connection to an origin failed unexpectedly');
  }

  lost(error: Error | undefined): void {
    this.#fault ??= error?.message;
    this.#lossError = error;
  }

  gone(): void {
    this.#isGone = true;
    for (const tell of this.#proofs.splice(0)) tell(false);
    for (const tell of this.#known.splice(0)) tell();
    this.#owner.sessionGone(this);
  }
}
