// The calls of the C library, on real sockets.
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Duplex } from 'node:stream';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { destroyed, dialLoopback } from '../../../../testing/lab/clients.ts';
import { descriptorOf, loadCLibrary } from '../../src/native/c-library.ts';

const isLinux = process.platform === 'linux';
const socketLevel = 1;
const acceptsConnections = 30;
const reuseAddress = 2;
const badDescriptor = 9;

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((socket) => void socket.resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});
afterAll(() => void server.close());

test.skipIf(!isLinux)('options of a socket are set and read', async () => {
  const library = await loadCLibrary();
  const client = await dialLoopback(port);
  const fd = descriptorOf(client) ?? -1;
  const value = Buffer.alloc(4);
  expect(library.getOption(fd, socketLevel, acceptsConnections, value)).toBe(0);
  expect(value.readInt8(0)).toBe(0);
  expect(library.setOption(fd, socketLevel, reuseAddress, 1)).toBe(0);
  library.getOption(fd, socketLevel, reuseAddress, value);
  expect(value.readInt8(0)).toBe(1);
  await destroyed(client);
});

test.skipIf(!isLinux)('what fails says why', async () => {
  const library = await loadCLibrary();
  expect(library.getOption(-1, socketLevel, reuseAddress, Buffer.alloc(4))).toBe(-1);
  expect(library.errorNumber()).toBe(badDescriptor);
  expect(library.send(-1, Buffer.alloc(1))).toBe(-1);
  expect(library.receive(-1, Buffer.alloc(1))).toBe(-1);
  expect(library.close(-1)).toBe(-1);
});

test.skipIf(!isLinux)('a socket of another family opens, has nothing to say, and closes', async () => {
  const library = await loadCLibrary();
  const fd = library.open(16, 3, 4);
  expect(fd).toBeGreaterThan(0);
  expect(library.receive(fd, Buffer.alloc(16))).toBe(-1);
  expect(library.close(fd)).toBe(0);
});

test.skipIf(process.platform === 'win32')('an open socket has a descriptor', async () => {
  const client = await dialLoopback(port);
  expect(descriptorOf(client)).toBeGreaterThan(0);
  await destroyed(client);
  expect(descriptorOf(client)).toBeUndefined();
  expect(descriptorOf(new Duplex())).toBeUndefined();
});
