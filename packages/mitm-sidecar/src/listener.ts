// One place where clients arrive: a TCP address, dual-stack where it listens everywhere, a Unix socket, or a socket that was opened
// for this process. It hands over sockets and knows nothing of what happens on them.
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

import { errorText, MitmError } from 'mitm-core';
import { formatAuthority } from 'mitm-http';

import { clearSocketPath, protectSocket } from './unix-socket.ts';

/** Where to listen. */
export type ListenPlace =
  /** Port 0 lets the system choose. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number };

/** Where a listener is. */
export type ListenerAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface ListenerOptions {
  readonly place: ListenPlace;
  readonly onSocket: (socket: Socket, listener: ListenerAddress) => void;
  /** The listener failed after it had been listening. */
  readonly onError: (error: Error) => void;
}

/** How many connections may wait to be accepted. */
const BACKLOG = 1_024;

export class Listener {
  readonly address: ListenerAddress;
  readonly #server: Server;

  private constructor(server: Server, address: ListenerAddress) {
    this.#server = server;
    this.address = address;
  }

  /**
   * Binds and listens.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying what stands in the way
   */
  static async open(options: ListenerOptions): Promise<Listener> {
    const { place } = options;
    if (place.kind === 'unix') await clearSocketPath(place.path);
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    });
    await listening(server, place);
    server.on('error', options.onError);
    const address = addressOf(server, place);
    // At once: a client may be there before the next step is done.
    server.on('connection', (socket) => options.onSocket(socket, address));
    try {
      if (place.kind === 'unix') await protectSocket(place.path);
      return new Listener(server, address);
    } catch (error) {
      server.close();
      throw error;
    }
  }

  /** The number by which the system knows the listening socket; undefined where it has none. */
  get descriptor(): number | undefined {
    const handle: unknown = Reflect.get(this.#server, '_handle');
    const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
    return typeof fd === 'number' && fd >= 0 ? fd : undefined;
  }

  /** Stops listening; connections that were accepted go on. The file of a Unix socket is removed. */
  close(): Promise<void> {
    // `close` waits for the sockets of the server; the place is free at once, and that is what is meant here.
    if (this.#server.listening) this.#server.close();
    return Promise.resolve();
  }
}

function listening(server: Server, place: ListenPlace): Promise<void> {
  return new Promise((resolve, reject) => {
    const onFailure = (error: NodeJS.ErrnoException): void => reject(listenError(error, place));
    server.once('error', onFailure);
    const onListening = (): void => {
      server.removeListener('error', onFailure);
      resolve();
    };
    if (place.kind === 'unix') bindPrivately(() => server.listen(listenOptions(place), onListening));
    else server.listen(listenOptions(place), onListening);
  });
}

/** The socket's file is made within this call: nobody else may ever have been able to connect. */
function bindPrivately(bind: () => void): void {
  // In a worker the mask can't be changed; its file gets its mode right after.
  if (!isMainThread) {
    bind();
    return;
  }
  const mask = process.umask(0o177);
  try {
    bind();
  } finally {
    process.umask(mask);
  }
}

function listenOptions(place: ListenPlace): ListenOptions & { readonly fd?: number } {
  if (place.kind === 'tcp') return { host: place.host, port: place.port, backlog: BACKLOG };
  return place.kind === 'unix' ? { path: place.path, backlog: BACKLOG } : { fd: place.fd, backlog: BACKLOG };
}

function addressOf(server: Server, place: ListenPlace): ListenerAddress {
  const bound = server.address();
  if (typeof bound === 'string') return { kind: 'unix', path: bound };
  if (bound !== null) return { kind: 'tcp', host: bound.address, port: bound.port };
  return place.kind === 'fd' ? { kind: 'unix', path: '' } : place;
}

const fixes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there: stop it, or choose another port (port 0 takes a free one)',
  EACCES: 'this user may not listen on this port: choose one above 1023',
  EADDRNOTAVAIL: 'this machine has no such address: use one of its own, or 127.0.0.1',
  ENOTFOUND: 'the host name does not resolve: give an address',
};

const socketFixes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something has taken the path meanwhile: try again',
  EACCES: 'this user may not make files there: choose another folder',
};

function listenError(error: NodeJS.ErrnoException, place: ListenPlace): MitmError {
  const known = place.kind === 'tcp' ? fixes : socketFixes;
  return new MitmError(
    'ERR_MITM_LISTEN_FAILED',
    `cannot listen on ${placeText(place)}: ${known[error.code ?? ''] ?? errorText(error)}`,
    { cause: error },
  );
}

/** A place as messages name it. */
function placeText(place: ListenPlace): string {
  switch (place.kind) {
    case 'tcp':
      // Port 0 is no port that an authority could have.
      return `${formatAuthority(place.host, 1).slice(0, -1)}${place.port}`;
    case 'unix':
      return place.path;
    case 'fd':
      return `file descriptor ${place.fd}`;
  }
}
