// Where clients arrive: a TCP listener, dual-stack where it listens everywhere. It hands over sockets and knows nothing of
// what happens on them.
import { createServer, type Server, type Socket } from 'node:net';

import { MitmError } from 'mitm-core';
import { formatAuthority } from 'mitm-http';

import type { ListenAddress } from './upstream/loop-guard.ts';

export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly onSocket: (socket: Socket) => void;
  /** The listener failed after it had been listening. */
  readonly onError: (error: Error) => void;
}

/** How many connections may wait to be accepted. */
const BACKLOG = 1_024;

export class Listener {
  readonly address: ListenAddress;
  readonly #server: Server;

  private constructor(server: Server, address: ListenAddress) {
    this.#server = server;
    this.address = address;
  }

  /**
   * Binds and listens.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying what stands in the way
   */
  static open(options: ListenerOptions): Promise<Listener> {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    return new Promise((resolve, reject) => {
      const onFailure = (error: NodeJS.ErrnoException): void => reject(listenError(error, options));
      server.once('error', onFailure);
      server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, () => {
        server.removeListener('error', onFailure);
        server.on('error', options.onError);
        server.on('connection', options.onSocket);
        resolve(new Listener(server, addressOf(server, options)));
      });
    });
  }

  /** Stops listening; connections that were accepted go on. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#server.listening) resolve();
      else {
        // `close` waits for the sockets of the server; the port is free at once, and that is what is meant here.
        this.#server.close();
        resolve();
      }
    });
  }
}

function addressOf(server: Server, options: ListenerOptions): ListenAddress {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null
    ? { host: bound.address, port: bound.port }
    : { host: options.host, port: options.port };
}

function listenError(error: NodeJS.ErrnoException, options: ListenerOptions): MitmError {
  const place = formatAuthority(options.host, options.port === 0 ? 1 : options.port).replace(
    /:1$/,
    options.port === 0 ? ':0' : ':1',
  );
  const fixes: Record<string, string> = {
    EADDRINUSE: 'another program listens there: stop it, or choose another port (port 0 takes a free one)',
    EACCES: 'this user may not listen on this port: choose one above 1023',
    EADDRNOTAVAIL: 'this machine has no such address: use one of its own, or 127.0.0.1',
    ENOTFOUND: 'the host name does not resolve: give an address',
  };
  const fix = fixes[error.code ?? ''] ?? error.message;
  return new MitmError('ERR_MITM_LISTEN_FAILED', `cannot listen on ${place}: ${fix}`, { cause: error });
}
