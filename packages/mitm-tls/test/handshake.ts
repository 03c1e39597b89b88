// Real TLS handshakes between two ends in this process, over a pair of streams: no ports.
import { duplexPair } from 'node:stream';
import {
  connect,
  type ConnectionOptions,
  type SecureContext,
  TLSSocket,
  type TLSSocketOptions,
} from 'node:tls';

interface Ends {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
}

/** How a handshake went, seen from both ends; an end that failed has its error. */
export interface Outcome extends Ends {
  readonly clientError: Error | undefined;
  readonly serverError: Error | undefined;
}

/** Runs a handshake to its end on both sides. */
export async function handshake(
  secureContext: SecureContext,
  clientOptions: ConnectionOptions,
  serverOptions: TLSSocketOptions = {},
): Promise<Outcome> {
  const [left, right] = duplexPair();
  const server = new TLSSocket(right, { isServer: true, secureContext, ...serverOptions });
  const client = connect({ socket: left, ...clientOptions });
  const serverDone = settled(server, 'secure');
  const clientDone = settled(client, 'secureConnect');
  const clientError = await clientDone;
  if (clientError !== undefined) {
    // The pair of streams does not carry a destroy to its other end.
    client.destroy();
    setImmediate(() => server.destroy());
  }
  return { client, server, clientError, serverError: await serverDone };
}

/** The client's error of a handshake that has to succeed, and both ends closed. */
export async function verdict(
  secureContext: SecureContext,
  clientOptions: ConnectionOptions,
): Promise<Error | undefined> {
  const { client, server, clientError } = await handshake(secureContext, clientOptions);
  client.destroy();
  server.destroy();
  return clientError;
}

function settled(socket: TLSSocket, event: 'secure' | 'secureConnect'): Promise<Error | undefined> {
  return new Promise((resolve) => {
    socket.on(event, () => resolve(undefined));
    socket.on('error', (error: Error) => resolve(error));
    socket.on('close', () => resolve(new Error('closed before the handshake was done')));
  });
}
