// A program that accepts one connection, looks its client up, and writes the result as JSON; run as another user by a test.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

import { LinuxProcesses } from '../../src/process/linux.ts';

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
const socket = await new Promise<Socket>((resolve) => {
  server.once('connection', resolve);
});
const sighting = await new LinuxProcesses().find(
  {
    kind: 'tcp_v4',
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
  },
  new AbortController().signal,
);
process.stdout.write(`${JSON.stringify(sighting)}\n`);
socket.destroy();
server.close();
