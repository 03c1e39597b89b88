// Connections that stand between a peer and the proxy and break as a fault says. Towards the peers they always speak plainly, so
// that a fault can be put inside TLS as well as below it.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';

import type { IssuedCertificate } from '../lab/certificates.ts';
import { connectTunnel } from '../lab/clients.ts';
import { listen, type Listening } from '../lab/listening.ts';
import { type Fault, pump, type Side } from './fault.ts';
import { Random } from './random.ts';

/** How long the proxy may take to answer a CONNECT, or a handshake, unless told otherwise: longer than the limits that matter. */
const usualBeginningMs = 4_000;

export interface Bridge extends AsyncDisposable {
  readonly port: number;
  /** Accepted connections that are open. */
  readonly openCount: number;
  /** Breaks all connections off, as a peer that crashes does. */
  destroyAll(): void;
  /** Lets whatever a fault holds up move again, so that the ends of connections are noticed. */
  resumeAll(): void;
}

/** Opens the onward connection for one that was accepted; rejects where that fails. */
type Onward = (accepted: Socket) => Promise<Side>;

interface BridgeOptions {
  readonly server: Server;
  /** Named by the server whose sockets are to be used. */
  readonly event: 'connection' | 'secureConnection';
  readonly onward: Onward;
  /** The side that connects is the client's: what it sends goes up. */
  readonly fault: Fault | undefined;
}

async function startBridge({ server, event, onward, fault }: BridgeOptions): Promise<Bridge> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {}); // the pump passes it on
    socket.once('close', () => sockets.delete(socket));
  };
  const listening: Listening = await listen(server);
  let index = -1;
  let isOver = false;
  server.on(event, (accepted: Socket) => {
    index += 1;
    const own = fault !== undefined && fault.connectionIndex === index ? fault : undefined;
    track(accepted);
    accepted.pause();
    onward(accepted).then(
      (far) => {
        track(far.socket);
        const near = sideOf(accepted);
        if (isOver || accepted.destroyed) {
          far.reset();
          return;
        }
        const random = new Random(own?.noise ?? 0);
        pump(near, far, own?.direction === 'up' ? own : undefined, random);
        pump(far, near, own?.direction === 'down' ? own : undefined, random);
        for (const { socket } of [near, far]) socket.resume();
      },
      () => accepted.destroy(),
    );
  });
  return {
    port: listening.port,
    get openCount() {
      return listening.openCount;
    },
    destroyAll: () => {
      isOver = true;
      for (const socket of sockets) socket.destroy();
    },
    resumeAll: () => {
      for (const socket of sockets) socket.resume();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}

/** @param below the TCP socket under TLS, which alone can be reset */
function sideOf(socket: Socket, below: Socket = socket): Side {
  return {
    socket,
    reset: () => {
      // Only a bare TCP socket of our own making can send one; for the rest an end without goodbye is as abrupt.
      if (below !== socket || isTls(socket)) below.destroy();
      // Node loses the descriptor of a socket that is reset while its own end is on the way.
      else if (socket.writableEnded && !socket.writableFinished)
        socket.once('finish', () => socket.resetAndDestroy());
      else socket.resetAndDestroy();
    },
  };
}

function isTls(socket: Socket): socket is TLSSocket {
  return 'encrypted' in socket;
}

function dialled(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function plainServer(): Server {
  return createServer({ allowHalfOpen: true, noDelay: true });
}

/** Passes TCP on to a port as it is. */
export function startWireBridge(port: number, fault: Fault | undefined): Promise<Bridge> {
  const onward: Onward = async () => sideOf(await dialled(port));
  return startBridge({ server: plainServer(), event: 'connection', onward, fault });
}

export interface ClientBridgeOptions {
  readonly proxyPort: number;
  /** The CONNECT target; without one, plain proxy requests pass as they are. */
  readonly authority: string | undefined;
  /** Speaks TLS with this ALPN inside the CONNECT. */
  readonly alpn: readonly string[] | undefined;
  readonly caPem: string;
  readonly fault: Fault | undefined;
  readonly beginningMs?: number;
}

/** What a client connects to: it goes on to the proxy by CONNECT and TLS, as the options say. */
export function startClientBridge(options: ClientBridgeOptions): Promise<Bridge> {
  const { proxyPort, authority, alpn, caPem, beginningMs = usualBeginningMs } = options;
  const onward: Onward = async () => {
    if (authority === undefined) return sideOf(await dialled(proxyPort));
    const tunnel = await connectTunnel(proxyPort, authority, { deadlineMs: beginningMs });
    const { socket, rest } = tunnel;
    if (tunnel.status !== 200) {
      socket.destroy();
      throw new Error(`CONNECT was answered ${tunnel.statusLine}`);
    }
    if (rest.length > 0) socket.unshift(rest);
    if (alpn === undefined) return sideOf(socket);
    return sideOf(await secured(socket, { caPem, alpn, beginningMs }), socket);
  };
  return startBridge({ server: plainServer(), event: 'connection', onward, fault: options.fault });
}

function secured(
  socket: Socket,
  options: { readonly caPem: string; readonly alpn: readonly string[]; readonly beginningMs: number },
): Promise<Socket> {
  const secure = connectTls({
    socket,
    servername: 'localhost',
    ca: options.caPem,
    ALPNProtocols: [...options.alpn],
  });
  secure.allowHalfOpen = true;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      secure.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error('no TLS in time')), options.beginningMs);
    secure.once('error', fail);
    secure.once('close', () => fail(new Error('the connection closed during the TLS handshake')));
    secure.once('secureConnect', () => {
      clearTimeout(timer);
      secure.pause();
      resolve(secure);
    });
  });
}

export interface OriginBridgeOptions {
  /** Where the plain origin listens. */
  readonly originPort: number;
  /** Speaks TLS with this ALPN to whoever connects. */
  readonly tls: { readonly certificate: IssuedCertificate; readonly alpn: readonly string[] } | undefined;
  readonly fault: Fault | undefined;
  readonly beginningMs?: number;
}

/** What the proxy finds in the place of the origin. */
export function startOriginBridge(options: OriginBridgeOptions): Promise<Bridge> {
  const { originPort, tls, fault, beginningMs = usualBeginningMs } = options;
  const onward: Onward = async () => sideOf(await dialled(originPort));
  if (tls === undefined) return startBridge({ server: plainServer(), event: 'connection', onward, fault });
  const server = createTlsServer({
    key: tls.certificate.keyPem,
    cert: tls.certificate.certPem,
    ALPNProtocols: [...tls.alpn],
    handshakeTimeout: beginningMs / 2,
    noDelay: true,
  });
  server.on('tlsClientError', () => {}); // a handshake that broke is what some faults are for
  return startBridge({ server, event: 'secureConnection', onward, fault });
}
