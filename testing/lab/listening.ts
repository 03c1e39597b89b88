// What every lab server shares: a port of its own on loopback, a count of its connections, and an end that closes them all.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** A server on loopback. Disposing of it destroys its connections and resolves when the last one is closed. */
export interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connectionCount: number;
  /** Connections open now. */
  readonly openCount: number;
}

export interface ListenOptions {
  /** Listens on `::1` as well, on the same port. */
  readonly ipv6?: boolean;
}

const portAttempts = 20;

async function bind(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port });
  await once(server, 'listening'); // rejects with the server's error
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`no port: ${address}`);
  return address.port;
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
  });
}

// The second address hands its sockets to the first server, so that one server, of whatever kind, sees all connections.
async function bindBoth(server: Server, twin: Server): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await bind(server, '127.0.0.1', 0);
    try {
      return await bind(twin, '::1', port);
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
      await close(server);
      if (!isTaken || attempt === portAttempts) throw error;
    }
  }
}

/** Binds a server to a free loopback port and takes charge of its sockets. */
export async function listen(server: Server, options: ListenOptions = {}): Promise<Listening> {
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  server.on('connection', (socket: Socket) => {
    connectionCount += 1;
    track(socket);
  });
  server.on('secureConnection', track);
  const twin = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    server.emit('connection', socket);
  });
  const port = options.ipv6 === true ? await bindBoth(server, twin) : await bind(server, '127.0.0.1', 0);
  return {
    port,
    get connectionCount() {
      return connectionCount;
    },
    get openCount() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      const closing = Promise.all([close(server), close(twin)]);
      for (const socket of sockets) socket.destroy();
      await closing;
    },
  };
}
