// One real HTTPS request through a proxy, as any client would send it: CONNECT, a TLS handshake verified against the proxy's
// authority alone, HTTP inside.
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { deferred } from './deferred.ts';

export interface DemoRequest {
  readonly proxy: { readonly host: string; readonly port: number };
  /** PEM of the only authority that is trusted. */
  readonly ca: string;
  /** `host:port` of the origin. */
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Ends the request when it aborts. */
  readonly signal: AbortSignal;
}

export interface DemoAnswer {
  readonly status: number;
  readonly body: string;
  /** Of the TLS connection to the proxy. */
  readonly tlsVersion: string;
  /** Common name of whoever signed the certificate that the client was shown. */
  readonly issuer: string;
}

/**
 * Sends the request and reads the whole answer.
 *
 * @throws Error when the proxy refuses the CONNECT, when its certificate cannot be verified, when a connection fails, and
 * when `signal` aborts
 */
export async function sendThroughProxy(request: DemoRequest): Promise<DemoAnswer> {
  const secure = startTls(await openTunnel(request), request);
  const abort = (): void => {
    secure.destroy(new Error('it took too long'));
  };
  request.signal.addEventListener('abort', abort, { once: true });
  try {
    await once(secure, 'secureConnect'); // rejects with the connection's error
    return await exchange(secure, request);
  } finally {
    request.signal.removeEventListener('abort', abort);
    secure.destroy();
  }
}

async function openTunnel({ proxy, authority, signal }: DemoRequest): Promise<Socket> {
  const connect = httpRequest({
    ...proxy,
    method: 'CONNECT',
    path: authority,
    headers: { host: authority },
    agent: false,
    signal,
  });
  const { promise, resolve, reject } = deferred<Socket>();
  connect.once('error', reject);
  connect.once('connect', (answer: IncomingMessage, socket: Socket) => {
    if (answer.statusCode === 200) resolve(socket);
    else {
      socket.destroy();
      reject(new Error(`the proxy answered CONNECT with ${answer.statusCode}`));
    }
  });
  connect.end();
  return promise;
}

function startTls(socket: Socket, { ca, authority }: DemoRequest): TLSSocket {
  const servername = authority.replace(/:\d+$/u, '');
  return connectTls({ socket, servername, ca, ALPNProtocols: ['http/1.1'] });
}

async function exchange(secure: TLSSocket, request: DemoRequest): Promise<DemoAnswer> {
  const outgoing = httpRequest({
    createConnection: () => secure,
    method: request.method,
    path: request.path,
    headers: {
      host: request.authority,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(request.body),
      connection: 'close',
    },
  });
  const { promise, resolve, reject } = deferred<IncomingMessage>();
  outgoing.once('error', reject);
  outgoing.once('response', resolve);
  outgoing.end(request.body);
  const answer = await promise;
  const pieces: Buffer[] = [];
  for await (const piece of answer) pieces.push(Buffer.from(piece));
  return {
    status: answer.statusCode ?? 0,
    body: Buffer.concat(pieces).toString('utf8'),
    tlsVersion: secure.getProtocol() ?? 'TLS',
    issuer: commonName(secure.getPeerCertificate().issuer.CN),
  };
}

function commonName(name: string | readonly string[] | undefined): string {
  return typeof name === 'string' ? name : (name?.[0] ?? '');
}
