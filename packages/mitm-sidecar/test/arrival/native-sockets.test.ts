// What the C library is asked about sockets, and what is said where it can't be. Real redirects are tried where a test may make
// network namespaces.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { destroyed, dialLoopback } from '../../../../testing/lab/clients.ts';
import { loadNativeSockets, NativeSockets } from '../../src/arrival/native-sockets.ts';
import type { SocketOptionCalls } from '../../src/native/c-library.ts';

const asked: unknown[] = [];

/** A library that answers with these bytes, or refuses. */
function library(answer: Buffer | undefined, error = 0): SocketOptionCalls {
  asked.length = 0;
  return {
    getOption: (_fd, level, name, value) => {
      asked.push([level, name]);
      if (answer === undefined) return -1;
      answer.copy(value);
      return 0;
    },
    setOption: (_fd, level, name, value) => {
      asked.push([level, name, value]);
      return error === 0 && level === 0 ? 0 : -1;
    },
    errorNumber: () => error,
  };
}

const server = createServer();
let accepted: Socket;
let client: Socket;
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const connection = once(server, 'connection');
  client = await dialLoopback(port);
  [accepted] = await connection;
});
afterAll(async () => {
  await destroyed(client);
  await destroyed(accepted);
  server.close();
});

test('SO_ORIGINAL_DST gives the address that an IPv4 client had dialled', () => {
  const answer = Buffer.from('020001bbc0000201', 'hex');
  const native = new NativeSockets(library(answer));
  expect(native.originalTarget(accepted)).toEqual({ address: '192.0.2.1', port: 443 });
  expect(asked).toEqual([[0, 80]]);
});

test('what the system does not remember, or is no socket, has no such address', () => {
  expect(new NativeSockets(library(undefined)).originalTarget(accepted)).toBeUndefined();
  expect(new NativeSockets(library(undefined)).originalTarget(new Duplex())).toBeUndefined();
});

test('behind TPROXY it is the address of our own end', () => {
  const native = new NativeSockets(library(undefined));
  expect(native.localAddress(accepted)).toEqual({ address: '127.0.0.1', port: accepted.localPort });
  expect(native.localAddress(new Duplex())).toBeUndefined();
});

describe('IP_TRANSPARENT', () => {
  test('is set for the family that the socket has', () => {
    new NativeSockets(library(undefined)).allowTransparent(7);
    expect(asked).toEqual([
      [0, 19, 1],
      [41, 75, 1],
    ]);
  });

  test.each([
    [1, 7, 'CAP_NET_ADMIN'],
    [92, 7, 'error 92 and 92'],
    [0, undefined, 'no descriptor'],
  ])('that is refused (%i) is explained', (error, fd, text) => {
    expect(() => new NativeSockets(library(undefined, error)).allowTransparent(fd)).toThrow(text);
  });
});

function withoutPackage(): Promise<never> {
  return Promise.reject(new Error('Cannot find package'));
}

describe('what is missing is said at once', () => {
  test('another system', async () => {
    await expect(loadNativeSockets('darwin')).rejects.toMatchObject({
      code: 'ERR_MITM_LISTEN_FAILED',
      message: expect.stringContaining('this is darwin'),
    });
  });

  test('the optional package', async () => {
    await expect(loadNativeSockets('linux', withoutPackage)).rejects.toThrow('npm install koffi');
  });
});

test.skipIf(process.platform !== 'linux')(
  'the real library knows of no redirect where there was none',
  async () => {
    const native = await loadNativeSockets();
    const found = native.originalTarget(accepted);
    // Some kernels answer with the address of our own end, which the loop guard refuses.
    expect([undefined, '127.0.0.1']).toContain(found?.address);
  },
);
