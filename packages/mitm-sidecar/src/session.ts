// One client connection while it is served: the wire it is on at the moment, and how a shutdown reaches it.
import type { Duplex } from 'node:stream';

import type { Http1Inbound } from './http1/inbound.ts';
import { Wire } from './wire.ts';

export class Session {
  /** The accepted stream, below any TLS. */
  readonly socket: Duplex;
  /** What is read and written now; after a handshake, the wire inside TLS. */
  wire: Wire;
  /** Set while HTTP/1 is served on the connection. */
  http1: Http1Inbound | undefined;
  #isKilled: boolean;

  constructor(socket: Duplex) {
    this.socket = socket;
    this.wire = new Wire(socket);
    this.http1 = undefined;
    this.#isKilled = false;
  }

  /** True when a shutdown cut the connection off. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  /** The proxy is shutting down: a connection without a request in progress ends now, others after theirs. */
  drain(): void {
    if (this.http1?.isIdle === true) this.http1.close();
  }

  /** Ends the connection whatever it does. */
  kill(): void {
    this.#isKilled = true;
    this.socket.destroy();
  }
}
