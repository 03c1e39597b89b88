// One conversation that we report on: a tunnel, or one request and its answer, or a connection's own handshakes. It
// carries all its facts itself, numbers its events, and closes exactly once.
import type { ApplicationProtocol, Authority } from 'mitm-http';
import {
  asFlowId,
  type ChunkKind,
  type CloseReason,
  type EventKind,
  type EventPayloads,
  type FlowContext,
  type FlowId,
  isChunkKind,
  type TlsPeer,
} from 'mitm-observe';
import type { Decision, PolicyInput } from 'mitm-policy';

import type { MitmConfig } from './config/index.ts';
import type { Connection } from './connection.ts';
import type { FlowRules, Settings } from './decide.ts';
import type { Engine } from './engine.ts';
import { type FlowMachine, type FlowState, nextState, promote } from './flow-state.ts';
import type { Route } from './route.ts';

/** The pieces of bodies, which are counted besides. */
type BodyKind = 'request_body_chunk' | 'response_body_chunk';

/** Where a new flow stands: a connection's own flow begins at `accepted`, an exchange on decrypted bytes at `tls_ready`. */
export interface FlowInit {
  readonly connection: Connection;
  /** The engine's present ones when absent. */
  readonly settings?: Settings | undefined;
  readonly parent?: Flow | undefined;
  readonly state?: FlowState;
  readonly protocol?: ApplicationProtocol;
  /** False for a client that is refused at the door: its duration says nothing. */
  readonly isServed?: boolean;
}

export class Flow {
  readonly id: FlowId;
  readonly engine: Engine;
  readonly connection: Connection;
  readonly parent: Flow | undefined;
  /** The configuration the flow was born with; a reload does not touch it. */
  readonly config: MitmConfig;
  readonly #settings: Settings;
  decision: Decision | undefined;
  /** Whose credentials the client gave; its flows inherit it. */
  user: string | undefined;
  bytesFromClient: number;
  bytesFromServer: number;
  /** Its stream on the client's HTTP/2 connection; undefined for any other flow. */
  http2StreamId: number | undefined;
  /** What the proxies before us said of themselves in the CONNECT (RFC 9110 §7.6.3), where the next one is to hear it. */
  receivedVia: string | undefined;
  #route: Route | undefined;
  #context: FlowContext;
  #state: FlowState;
  #machine: FlowMachine;
  #eventCount: number;
  #droppedCount: number;
  readonly #openedAtMs: number;
  readonly #isServed: boolean;
  /** When the handshake with each side began. */
  #handshakesBeganMs: Partial<Record<TlsPeer, number>> | undefined;
  #isClosed: boolean;
  #abort: AbortController | undefined;

  constructor(id: number, engine: Engine, init: FlowInit) {
    this.id = asFlowId(id);
    this.engine = engine;
    this.connection = init.connection;
    this.parent = init.parent;
    const settings = init.settings ?? engine.settings;
    this.config = settings.config;
    this.#settings = settings;
    this.decision = init.parent?.decision;
    this.user = init.parent?.user;
    this.#route = init.parent === undefined ? undefined : init.parent.#route;
    this.bytesFromClient = 0;
    this.bytesFromServer = 0;
    this.http2StreamId = undefined;
    this.receivedVia = init.parent?.receivedVia;
    // Frozen by the bus, where somebody listens: most flows end without.
    this.#context = {
      flowId: this.id,
      clientAddr: init.connection.clientAddr,
      serverHost: init.parent?.context.serverHost ?? '<unknown>',
      serverPort: init.parent?.context.serverPort ?? 0,
      protocol: init.protocol ?? 'tunnel',
    };
    this.#state = init.state ?? 'accepted';
    this.#machine = 'unknown';
    this.#eventCount = 0;
    this.#droppedCount = 0;
    this.#openedAtMs = performance.now();
    this.#isServed = init.isServed ?? true;
    this.#handshakesBeganMs = undefined;
    this.#isClosed = false;
    this.#abort = undefined;
  }

  /** Which way the flow goes. @throws Error before it has been planned */
  get route(): Route {
    if (this.#route === undefined) throw new Error('the flow has no route yet');
    return this.#route;
  }

  set route(route: Route) {
    this.#route = route;
  }

  get context(): FlowContext {
    return this.#context;
  }

  get state(): FlowState {
    return this.#state;
  }

  get machine(): FlowMachine {
    return this.#machine;
  }

  /**
   * Whether traffic may be made to wait for the handler: where the configuration says so, and while the handler has not even heard of
   * the connection, since it is not the one that is slow then.
   */
  get mayHoldBack(): boolean {
    return (
      this.config.flowRuntime.dispatchOverflow === 'backpressure' || this.connection.opened !== undefined
    );
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Aborts when the flow closes. Made when first read, since most flows never need it. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#isClosed) this.#abort.abort();
    return this.#abort.signal;
  }

  /** Names the target, once it is known; later events carry it. */
  nameTarget(target: Authority): void {
    this.#context = { ...this.#context, serverHost: target.host, serverPort: target.port };
  }

  /** Says what the flow speaks from here on. */
  speak(protocol: ApplicationProtocol): void {
    if (this.#context.protocol !== protocol) this.#context = { ...this.#context, protocol };
  }

  /** True when somebody listens to this kind, so that its payload is worth making. */
  wants(kind: EventKind): boolean {
    return this.engine.bus.wants(kind);
  }

  /**
   * Reports a fact and advances the state machine. After `close` it reports nothing, and beyond the flow's event limit nothing that
   * may come with every piece of a stream.
   */
  emit<K extends EventKind>(kind: K, payload: EventPayloads[K]): void {
    if (this.#isClosed) return;
    this.#advance(kind);
    if (this.#eventCount >= this.config.maxFlowEventBacklog && isChunkKind(kind)) this.#droppedCount += 1;
    else this.#publish(kind, payload);
  }

  /**
   * Whether an event that may come with every piece of a stream is to be emitted, so that its payload is worth making. One that nobody
   * listens to, or that is beyond the flow's event limit, is counted here, and all there is of it.
   */
  admits(kind: ChunkKind): boolean {
    if (this.#isClosed) return false;
    const hasRoom = this.#eventCount < this.config.maxFlowEventBacklog;
    if (hasRoom && this.wants(kind)) return true;
    this.#advance(kind);
    if (hasRoom) {
      this.#eventCount += 1;
      this.engine.bus.skip();
    } else this.#droppedCount += 1;
    return false;
  }

  /** Reports a fact that has no place in the state table: what a dial made for an exchange went through. */
  note<K extends EventKind>(kind: K, payload: EventPayloads[K]): void {
    if (!this.#isClosed) this.#publish(kind, payload);
  }

  /** Reports a piece of a body. Costs no object when nobody listens; beyond the flow's event limit it only counts. */
  emitBytes(kind: BodyKind, bytes: number): void {
    if (this.#isClosed || bytes === 0) return;
    if (kind === 'request_body_chunk') this.bytesFromClient += bytes;
    else this.bytesFromServer += bytes;
    this.#advance(kind);
    if (this.#eventCount >= this.config.maxFlowEventBacklog) {
      this.#droppedCount += 1;
      return;
    }
    this.#eventCount += 1;
    this.engine.bus.emitBytes(kind, this.#context, this.#eventCount, bytes, this.http2StreamId);
  }

  /** The rules the flow was born with. */
  get rules(): FlowRules {
    return this.#settings.rules;
  }

  /** Judges a target by the rules the flow was born with; see {@link Engine.decide}. */
  judge(input: PolicyInput, other?: { readonly host: string; readonly port: number }): Decision {
    return this.engine.decide(input, other, this.#settings.rules);
  }

  /**
   * Opens the flow of one exchange on this connection.
   *
   * @param init `settings` for one that is judged by itself; all others go by those of the connection
   */
  openChild(init: {
    readonly state: FlowState;
    readonly protocol: ApplicationProtocol;
    readonly settings?: Settings;
  }): Flow {
    return this.engine.openFlow({
      connection: this.connection,
      settings: init.settings ?? this.#settings,
      parent: this,
      state: init.state,
      protocol: init.protocol,
    });
  }

  /** Closes the flow: the first reason stands, later calls do nothing. */
  close(reason: CloseReason, detail?: string): void {
    if (this.#isClosed) return;
    this.#advance('stream_closed');
    // Before the event: a listener that closes the flow once more must find it closed.
    this.#isClosed = true;
    const hasBytes = this.bytesFromClient > 0 || this.bytesFromServer > 0;
    this.#publish('stream_closed', {
      reasonCode: reason,
      reasonDetail: detail,
      eventsDropped: this.#droppedCount > 0 ? this.#droppedCount : undefined,
      bytesFromClient: hasBytes ? this.bytesFromClient : undefined,
      bytesFromServer: hasBytes ? this.bytesFromServer : undefined,
    });
    this.#measureEnd();
    this.#abort?.abort();
  }

  #measureEnd(): void {
    const { metrics } = this.engine;
    const durationMs = performance.now() - this.#openedAtMs;
    metrics.flowClosed(durationMs);
    if (this.parent === undefined) {
      if (this.#isServed) metrics.took('connection', durationMs);
    } else if (this.#context.protocol !== 'websocket') metrics.took('request', durationMs);
  }

  #measureHandshake(kind: EventKind, payload: { readonly peer?: TlsPeer }): void {
    const { peer } = payload;
    if (peer === undefined) return;
    if (kind === 'tls_handshake_started') {
      this.#handshakesBeganMs = { ...this.#handshakesBeganMs, [peer]: performance.now() };
      return;
    }
    const beganMs = this.#handshakesBeganMs?.[peer];
    if (kind !== 'tls_handshake_succeeded' || beganMs === undefined) return;
    const what = peer === 'downstream' ? 'clientHandshake' : 'originHandshake';
    this.engine.metrics.took(what, performance.now() - beganMs);
  }

  #advance(kind: EventKind): void {
    this.#machine = promote(this.#machine, this.#context.protocol);
    const next = nextState(this.#state, this.#machine, kind);
    if (next === undefined) {
      this.engine.metrics.invalidTransition();
      this.engine.logger.debug(
        { flowId: this.id, kind, state: this.#state, machine: this.#machine },
        'event out of place',
      );
      this.#state = kind === 'stream_closed' ? 'closed' : 'stream_closing';
      return;
    }
    this.#state = next;
  }

  #publish<K extends EventKind>(kind: K, payload: EventPayloads[K]): void {
    this.#eventCount += 1;
    if ('peer' in payload) this.#measureHandshake(kind, payload);
    this.engine.bus.emit(
      kind,
      this.#context,
      this.#eventCount,
      payload,
      this.#eventCount === 1 ? this.parent?.id : undefined,
    );
  }
}
