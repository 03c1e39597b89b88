// The door: it says where it is, why it can't open, and is out of the way at once when closed.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { MitmError } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { destroyed, dialLoopback } from '../../../testing/lab/clients.ts';
import { refusedPort } from '../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { Listener } from '../src/listener.ts';

/** Where a TCP listener is. */
function at(listener: Listener): { readonly host: string; readonly port: number } {
  if (listener.address.kind !== 'tcp') throw new Error('not a TCP listener');
  return listener.address;
}

function open(host: string, port: number, onSocket: (socket: Socket) => void = (socket) => socket.destroy()) {
  return Listener.open({
    place: { kind: 'tcp', host, port },
    onSocket,
    onError: (error) => {
      throw error;
    },
  });
}

describe('an open listener', () => {
  test('on port 0 tells the port it was given, and hands over half-open sockets', async () => {
    const before = openHandles();
    const sockets: Socket[] = [];
    const listener = await open('127.0.0.1', 0, (socket) => sockets.push(socket));
    expect(at(listener).host).toBe('127.0.0.1');
    expect(at(listener).port).toBeGreaterThan(0);
    const client = await dialLoopback(at(listener).port);
    await expect.poll(() => sockets.length).toBe(1);
    expect(sockets[0]?.allowHalfOpen).toBe(true);
    await Promise.all([destroyed(client), ...sockets.map(destroyed)]);
    await listener.close();
    await expectNothingLeft(before);
  });

  test('on ::1 is reached over IPv6', async () => {
    const listener = await open('::1', 0);
    expect(at(listener).host).toBe('::1');
    const client = await dialLoopback(at(listener).port, '::1');
    expect(client.remoteFamily).toBe('IPv6');
    await destroyed(client);
    await listener.close();
  });

  test.each(['127.0.0.1', '::1'])('on :: is reached over %s', async (host) => {
    const listener = await open('::', 0);
    const client = await dialLoopback(at(listener).port, host);
    expect(client.remoteAddress).toBe(host);
    await destroyed(client);
    await listener.close();
  });
});

describe('a listener that is closed', () => {
  test('frees its port at once and leaves accepted connections alone', async () => {
    const sockets: Socket[] = [];
    const listener = await open('127.0.0.1', 0, (socket) => sockets.push(socket));
    const { port } = at(listener);
    const client = await dialLoopback(port);
    await expect.poll(() => sockets.length).toBe(1);
    await listener.close();
    await listener.close();
    const refused = connect(port, '127.0.0.1');
    await expect(once(refused, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const again = await open('127.0.0.1', port);
    sockets[0]?.end('still here');
    expect((await new ByteLog(client).ended()).toString()).toBe('still here');
    await destroyed(client);
    await again.close();
  });
});

describe('a listener that cannot open says why and what to do', () => {
  test('another program listens there', async () => {
    const first = await open('127.0.0.1', 0);
    const { port } = at(first);
    const error: unknown = await open('127.0.0.1', port).catch((caught: unknown) => caught);
    await first.close();
    expect(error).toBeInstanceOf(MitmError);
    expect(error).toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
    expect(String(error)).toContain(`cannot listen on 127.0.0.1:${port}: another program listens there`);
    expect(String(error)).toContain('port 0 takes a free one');
  });

  test('the machine has no such address', async () => {
    const port = await refusedPort();
    await expect(open('192.0.2.1', port)).rejects.toThrow(
      `cannot listen on 192.0.2.1:${port}: this machine has no such address`,
    );
  });

  test('port 0 and IPv6 are written as they were given', async () => {
    await expect(open('2001:db8::1', 0)).rejects.toThrow(
      'cannot listen on [2001:db8::1]:0: this machine has no such address',
    );
  });
});
