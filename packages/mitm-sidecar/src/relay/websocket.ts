// Relays a WebSocket after its handshake: frames as they came, masks, fragments and compression included, each judged by its head before
// any part of it is passed on. Whoever breaks a rule ends it for both sides, with a close frame that says so.
import { randomBytes } from 'node:crypto';

import type { Exchange } from 'mitm-core';
import {
  closeCodeFor,
  encodeCloseFrame,
  FrameReader,
  type FrameSink,
  type WebSocketAgreement,
  type WebSocketDirection,
} from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { linger } from '../linger.ts';
import type { ConnectionServer, Session } from '../session.ts';
import type { Wire, WireReader } from '../wire.ts';

/** How long the other side may take to answer a close frame, and to end its connection (RFC 6455 §7.1.1). */
const CLOSE_MS = 5_000;
/** How long a side is read on after we have ended it. */
const LINGER_MS = 1_000;

/** The gate looks at heads only; the observation behind it reads what has passed. */
const nobody: FrameSink = { frameHead: () => {}, framePayload: () => {}, frameEnd: () => {} };

/** How a WebSocket ended. */
export interface WebSocketEnd {
  readonly reason: CloseReason;
  readonly detail: string | undefined;
}

/**
 * Relays until both sides have ended. Never rejects.
 *
 * @param session whom a shutdown reaches the WebSocket through while it is open
 */
export async function relayWebSocket(
  exchange: Exchange,
  sides: { readonly client: Wire; readonly upstream: Wire },
  agreement: WebSocketAgreement,
  session: Pick<Session, 'server'>,
): Promise<WebSocketEnd> {
  const { server } = session;
  const end = await new Promise<WebSocketEnd>((resolve) => {
    const relay = new WebSocketRelay(exchange, sides.client, sides.upstream, agreement, resolve);
    session.server = relay;
    relay.start();
  });
  session.server = server;
  return end;
}

/** One direction: whom it is read from and written to, and what the gate knows of it. */
interface Lane {
  readonly from: Wire;
  readonly to: Wire;
  readonly direction: WebSocketDirection;
  readonly gate: FrameReader;
  isEnded: boolean;
}

class WebSocketRelay implements ConnectionServer {
  readonly #exchange: Exchange;
  readonly #up: Lane;
  readonly #down: Lane;
  readonly #resolve: (end: WebSocketEnd) => void;
  #closeTimer: NodeJS.Timeout | undefined;
  #isOver: boolean;

  constructor(
    exchange: Exchange,
    client: Wire,
    upstream: Wire,
    agreement: WebSocketAgreement,
    resolve: (end: WebSocketEnd) => void,
  ) {
    const lane = (direction: WebSocketDirection, from: Wire, to: Wire): Lane => ({
      from,
      to,
      direction,
      gate: new FrameReader({
        direction,
        hasDeflate: agreement.deflate !== undefined,
        hasUnknownExtension: agreement.hasUnknownExtension,
      }),
      isEnded: false,
    });
    this.#exchange = exchange;
    this.#up = lane('client_to_server', client, upstream);
    this.#down = lane('server_to_client', upstream, client);
    this.#resolve = resolve;
    this.#closeTimer = undefined;
    this.#isOver = false;
  }

  start(): void {
    const { config, mayHoldBack } = this.#exchange.flow;
    if (mayHoldBack) {
      this.#exchange.onRelieved(() => {
        for (const { from, to } of [this.#up, this.#down]) if (to.pendingBytes === 0) from.resume();
      });
    }
    // One of them is enough: each hears of silence in both of its directions.
    this.#up.from.watchQuiet(config.timeouts.tunnelIdleMs);
    this.#up.from.attach(this.#reader(this.#up, this.#down));
    this.#down.from.attach(this.#reader(this.#down, this.#up));
  }

  /** The proxy is shutting down: both sides are told, and may say goodbye. */
  drain(): void {
    this.#say(this.#up, closeCodeFor.shutdown);
    this.#say(this.#down, closeCodeFor.shutdown);
    this.#finish({ reason: 'shutdown', detail: undefined });
  }

  #reader(lane: Lane, other: Lane): WireReader {
    return {
      onData: (chunk) => this.#pass(lane, other, chunk),
      onEnd: () => this.#ended(lane, other),
      onClose: (error) => this.#lost(lane, error),
      onDrain: () => {
        if (!this.#exchange.isBehind) other.from.resume();
      },
      onQuiet: () => this.#silent(lane, other),
    };
  }

  #pass(lane: Lane, other: Lane, chunk: Buffer): void {
    if (this.#isOver || lane.isEnded) return;
    const { gate, to, from } = lane;
    const { held } = gate;
    const count = gate.push(chunk, nobody);
    if (count > 0) {
      if (held.length > 0) to.write(held);
      const passed = count === chunk.length ? chunk : chunk.subarray(0, count);
      const isReady = from.isVolatile ? to.writeView(passed) : to.write(passed);
      if (held.length > 0) this.#observe(lane, held);
      this.#observe(lane, passed);
      if (!isReady || this.#exchange.isBehind) from.pause();
    }
    if (gate.fault !== undefined) this.#violated(lane, other);
    else if (gate.close !== undefined) this.#awaitClose();
  }

  #observe({ direction }: Lane, bytes: Buffer): void {
    if (direction === 'client_to_server') this.#exchange.requestPiece(bytes);
    else this.#exchange.responsePiece(bytes);
  }

  /** A side sends nothing more. */
  #ended(lane: Lane, other: Lane): void {
    if (this.#isOver) return;
    lane.isEnded = true;
    lane.gate.end();
    const { fault } = lane.gate;
    if (fault !== undefined) {
      this.#abort({ reason: 'websocket_error', detail: fault.detail });
      return;
    }
    lane.to.end(() => {
      if (other.isEnded) this.#finish({ reason: 'websocket_completed', detail: this.#missingClose() });
    });
    this.#awaitClose();
  }

  /** A connection is gone: the other side shall see it as it would have directly. */
  #lost(lane: Lane, error: Error | undefined): void {
    if (this.#isOver) return;
    if (error === undefined && lane.isEnded) {
      lane.to.end(() => this.#finish({ reason: 'websocket_completed', detail: this.#missingClose() }));
      return;
    }
    const side = lane.direction === 'client_to_server' ? 'client' : 'upstream';
    this.#abort({ reason: 'websocket_error', detail: `${side}: ${error?.message ?? 'connection closed'}` });
  }

  /** Once one side has said goodbye, the other one has so long to do the same. */
  #awaitClose(): void {
    this.#closeTimer ??= setTimeout(() => {
      for (const { to } of [this.#up, this.#down]) to.end();
      this.#finish({ reason: 'websocket_completed', detail: this.#missingClose() });
    }, CLOSE_MS);
  }

  #missingClose(): string | undefined {
    const hasClose = this.#up.gate.close !== undefined || this.#down.gate.close !== undefined;
    return hasClose ? undefined : 'ended without a close frame (1006)';
  }

  #violated(lane: Lane, other: Lane): void {
    const { fault } = lane.gate;
    if (fault === undefined) return;
    this.#say(lane, fault.closeCode);
    this.#say(other, fault.closeCode);
    this.#finish({ reason: 'websocket_error', detail: fault.detail });
  }

  #silent(lane: Lane, other: Lane): void {
    if (this.#isOver) return;
    this.#say(lane, closeCodeFor.idle);
    this.#say(other, closeCodeFor.idle);
    const ms = this.#exchange.flow.config.timeouts.tunnelIdleMs;
    this.#finish({ reason: 'idle_watchdog_timeout', detail: `idle_watchdog_timeout:websocket:${ms}ms` });
  }

  /** A close frame of our own, where it can follow what has passed in this direction. */
  #say({ gate, to, direction }: Lane, code: number): void {
    if (gate.close !== undefined || !gate.isBetweenFrames) return;
    const maskKey = direction === 'client_to_server' ? randomBytes(4).readUInt32BE() : undefined;
    to.write(encodeCloseFrame(code, '', maskKey));
  }

  #abort(end: WebSocketEnd): void {
    if (this.#isOver) return;
    this.#up.to.abort();
    this.#down.to.abort();
    this.#settle(end);
  }

  #finish(end: WebSocketEnd): void {
    if (this.#isOver) return;
    for (const { to } of [this.#up, this.#down]) {
      to.end();
      linger(to, LINGER_MS);
    }
    this.#settle(end);
  }

  #settle(end: WebSocketEnd): void {
    this.#isOver = true;
    clearTimeout(this.#closeTimer);
    this.#up.from.watchQuiet(0);
    this.#resolve(end);
  }
}
