// A server that shows one certificate to whoever asks for anything: it grants every CONNECT, shakes hands, and answers the
// first request with a 200.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

import { ByteLog } from './byte-log.ts';
import { type Listening, listen } from './listening.ts';

/** Starts one on loopback. */
export async function startLeafServer(secureContext: SecureContext): Promise<Listening> {
  return await listen(
    createServer((socket) => {
      socket.on('error', () => {}); // a client that does not accept hangs up as it likes
      void serve(socket, secureContext).catch(() => socket.destroy());
    }),
  );
}

async function serve(socket: Socket, secureContext: SecureContext): Promise<void> {
  const log = new ByteLog(socket);
  await log.until('\r\n\r\n');
  log.release();
  socket.write('HTTP/1.1 200 OK\r\n\r\n');
  const secure = new TLSSocket(socket, { isServer: true, secureContext });
  secure.on('error', () => socket.destroy());
  await once(secure, 'data');
  secure.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
}
