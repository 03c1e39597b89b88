// One client connection while it is served: the wire it is on at the moment, and how a shutdown reaches it.
import type { Duplex } from 'node:stream';

import type { ByteBudget, Failure, SocketEndpoint } from 'mitm-core';

import { type Answering, httpAnswering } from './arrival/answering.ts';
import { plainWayIn, type WayIn } from './arrival/way-in.ts';
import { OpenSockets } from './open-sockets.ts';
import { Wire } from './wire.ts';

/** Whoever serves exchanges on a connection. */
export interface ConnectionServer {
  /** The proxy is shutting down: a connection without a request in progress ends now, others after theirs. */
  drain(): void;
}

export class Session {
  /** The accepted stream, below any TLS. */
  readonly socket: Duplex;
  /** How it came in. */
  readonly wayIn: WayIn;
  /** The address that the client of a redirected connection had dialled. */
  readonly originalTarget: SocketEndpoint | undefined;
  /** Where connections that are made for it are counted. */
  readonly sockets: OpenSockets;
  readonly #budget: ByteBudget | undefined;
  #wire: Wire;
  /** Set while exchanges are served on the connection. */
  server: ConnectionServer | undefined;
  /** How the client is told what became of the connection that it asked for. */
  answering: Answering;
  #isGranted: boolean;
  #isKilled: boolean;

  /** @param budget counts what is held of what the client sends */
  constructor(
    socket: Duplex,
    wayIn: WayIn = plainWayIn,
    sockets: OpenSockets = new OpenSockets(),
    budget?: ByteBudget,
  ) {
    this.socket = socket;
    this.sockets = sockets;
    this.wayIn = wayIn;
    this.originalTarget = wayIn.originalTarget?.(socket);
    this.#budget = budget;
    this.#wire = new Wire(socket);
    this.wire = this.#wire;
    this.server = undefined;
    this.answering = httpAnswering;
    this.#isGranted = false;
    this.#isKilled = false;
  }

  /** What is read and written now; after a handshake, the wire inside TLS. */
  get wire(): Wire {
    return this.#wire;
  }

  set wire(wire: Wire) {
    this.#wire = wire;
    if (this.#budget !== undefined) wire.countIn(this.#budget);
  }

  /** Tells the client that its connection stands: what it sends from here on is for its target. */
  grant(): void {
    const { granted } = this.answering;
    if (granted !== '') this.wire.writeText(granted);
    this.#isGranted = true;
  }

  /** What tells the client of a failure; undefined where it would read that as something else, or has been told. */
  refusal(failure: Failure): Buffer | undefined {
    if (this.#isGranted || this.wire.isClosed) return undefined;
    return this.answering.refusal(failure, this.wire.hasWritten);
  }

  /** True when a shutdown cut the connection off. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  /** The proxy is shutting down: a connection without a request in progress ends now, others after theirs. */
  drain(): void {
    this.server?.drain();
  }

  /** Ends the connection whatever it does. */
  kill(): void {
    this.#isKilled = true;
    this.socket.destroy();
  }
}
