// WebSockets on both ends with `ws`, which shares no code with the relay under test: an origin that does with each connection what a
// test says, and a client that talks through a CONNECT.
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';

import { type ClientOptions, type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';

import type { LabAuthority } from './certificates.ts';
import { connectTunnel, tlsOver } from './clients.ts';
import { within } from './deadline.ts';
import { loopbackNames } from './http-origins.ts';
import { listen } from './listening.ts';
import type { LabProxy } from './proxy.ts';

const patienceMs = 10_000;

export interface WebSocketOriginOptions {
  /** Speaks TLS with a certificate of this authority; plain without. */
  readonly authority?: LabAuthority;
  readonly perMessageDeflate?: boolean | PerMessageDeflateOptions;
  /** Chosen in this order among what a client offers. */
  readonly protocols?: readonly string[];
  /** Echoes unless given. */
  readonly onConnection?: (socket: WebSocket) => void;
}

export interface WebSocketOrigin extends AsyncDisposable {
  readonly port: number;
  /** `localhost:<port>`. */
  readonly authority: string;
  /** The connections that were accepted, each with how it ended, in order. */
  readonly connections: readonly Connected[];
}

/** One end of a WebSocket, with what it heard. */
interface Connected {
  readonly socket: WebSocket;
  readonly messages: readonly (string | Buffer)[];
  readonly pings: readonly string[];
  readonly pongs: readonly string[];
  /** `code reason` of its end. */
  readonly closed: Promise<string>;
}

/** Writes down what a socket hears. */
function connected(socket: WebSocket): Connected {
  const messages: (string | Buffer)[] = [];
  const pings: string[] = [];
  const pongs: string[] = [];
  socket.binaryType = 'nodebuffer';
  socket.on('message', (data: Buffer, isBinary: boolean) => messages.push(isBinary ? data : data.toString()));
  socket.on('ping', (data: Buffer) => pings.push(data.toString()));
  socket.on('pong', (data: Buffer) => pongs.push(data.toString()));
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => {
    socket.once('close', (code: number, reason: Buffer) => resolve(`${code} ${reason.toString()}`.trim()));
  });
  return { socket, messages, pings, pongs, closed: within(closed, patienceMs, 'the end of a WebSocket') };
}

function echo(socket: WebSocket): void {
  socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary }));
}

/** An origin of WebSockets. */
export async function startWebSocketOrigin(options: WebSocketOriginOptions = {}): Promise<WebSocketOrigin> {
  const { authority, perMessageDeflate = false, protocols = [], onConnection = echo } = options;
  const certificate = await authority?.issue(loopbackNames);
  const server =
    certificate === undefined
      ? createHttpServer()
      : createHttpsServer({ cert: certificate.certPem, key: certificate.keyPem });
  const connections: Connected[] = [];
  const webSockets = new WebSocketServer({
    server,
    perMessageDeflate,
    maxPayload: 64 * 1024 * 1024,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
  });
  webSockets.on('connection', (socket: WebSocket) => {
    const one = connected(socket);
    one.closed.catch(() => {}); // whoever waits for it is told
    connections.push(one);
    onConnection(socket);
  });
  const listening = await listen(server);
  return {
    port: listening.port,
    authority: `localhost:${listening.port}`,
    connections,
    async [Symbol.asyncDispose]() {
      for (const client of webSockets.clients) client.terminate();
      await listening[Symbol.asyncDispose]();
    },
  };
}

export interface WebSocketClient extends Connected, AsyncDisposable {}

export interface WebSocketClientOptions extends ClientOptions {
  readonly protocols?: readonly string[];
  readonly path?: string;
  /** Without TLS, `ws:`. */
  readonly isPlain?: boolean;
}

/** A client inside a tunnel of the proxy whose handshake may still fail. */
export async function dialWebSocket(
  proxy: LabProxy,
  authority: string,
  { protocols = [], path = '/chat', isPlain = false, ...options }: WebSocketClientOptions = {},
): Promise<WebSocketClient> {
  const tunnel = await connectTunnel(proxy.port, authority);
  const ca = proxy.ca.certificatePem;
  // What reads the answer to a CONNECT leaves the socket paused.
  if (isPlain) tunnel.socket.resume();
  const stream = isPlain ? tunnel.socket : await tlsOver(tunnel.socket, { servername: 'localhost', ca });
  const socket = new WebSocket(`${isPlain ? 'ws' : 'wss'}://${authority}${path}`, [...protocols], {
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    ...options,
    createConnection: () => stream,
  });
  const one = connected(socket);
  one.closed.catch(() => {}); // whoever waits for it is told
  return {
    ...one,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await one.closed;
    },
  };
}

/** A client whose handshake is done. */
export async function openWebSocket(
  proxy: LabProxy,
  authority: string,
  options: WebSocketClientOptions = {},
): Promise<WebSocketClient> {
  const client = await dialWebSocket(proxy, authority, options);
  await within(once(client.socket, 'open'), patienceMs, 'the opening of a WebSocket');
  return client;
}
