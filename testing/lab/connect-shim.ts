// Lets programs that know no proxy speak through one: each connection to it goes through a CONNECT of its own.
import { createServer, type Socket } from 'node:net';

import { connectTunnel } from './clients.ts';
import { type Listening, listen } from './listening.ts';

export interface ConnectShimOptions {
  readonly proxyPort: number;
  /** The CONNECT target. */
  readonly authority: string;
}

/** Starts a listener whose connections come out of the proxy's tunnel. */
export async function startConnectShim(options: ConnectShimOptions): Promise<Listening> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    client.on('error', () => {});
    client.on('close', () => open.delete(client));
    client.pause();
    connectTunnel(options.proxyPort, options.authority).then(
      ({ socket }) => {
        socket.on('error', () => client.destroy());
        client.on('close', () => socket.destroy());
        socket.on('close', () => client.destroy());
        client.pipe(socket);
        socket.pipe(client);
      },
      () => client.destroy(),
    );
  });
  const listening = await listen(server);
  return {
    ...listening,
    async [Symbol.asyncDispose]() {
      for (const client of open) client.destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}
