// One client connection while it is served: the wire it is on at the moment, and how a shutdown reaches it.
import type { Duplex } from 'node:stream';

import { Wire } from './wire.ts';

/** Whoever serves exchanges on a connection. */
export interface ConnectionServer {
  /** The proxy is shutting down: a connection without a request in progress ends now, others after theirs. */
  drain(): void;
}

export class Session {
  /** The accepted stream, below any TLS. */
  readonly socket: Duplex;
  /** What is read and written now; after a handshake, the wire inside TLS. */
  wire: Wire;
  /** Set while exchanges are served on the connection. */
  server: ConnectionServer | undefined;
  #isKilled: boolean;

  constructor(socket: Duplex) {
    this.socket = socket;
    this.wire = new Wire(socket);
    this.server = undefined;
    this.#isKilled = false;
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
