// A shutdown is through when the last socket is closed, and knows of every one.
import { once } from 'node:events';
import { duplexPair } from 'node:stream';

import { expect, test } from 'vitest';

import { OpenSockets } from '../src/open-sockets.ts';
import { tcpPair } from './streams.ts';

test('a socket counts until it is closed', async () => {
  await using pair = await tcpPair();
  const sockets = new OpenSockets();
  sockets.add(pair.near);
  expect(sockets.size).toBe(1);
  pair.near.destroy();
  await once(pair.near, 'close');
  expect(sockets.size).toBe(0);
  sockets.add(pair.near);
  expect(sockets.size).toBe(0);
});

test('the end is awaited, and made when it takes too long', async () => {
  await using pair = await tcpPair();
  const sockets = new OpenSockets();
  await sockets.closed(0);
  sockets.add(pair.near);
  pair.near.on('error', () => {});
  const closed = sockets.closed(20);
  expect(pair.near.destroyed).toBe(false);
  await closed;
  expect([pair.near.destroyed, sockets.size]).toEqual([true, 0]);
});

test('whoever waits for a connection hears of the end, also one that begins after it', async () => {
  const sockets = new OpenSockets();
  const [early, late] = [duplexPair()[0], duplexPair()[0]];
  const errors = [early, late].map((socket) => once(socket, 'error'));
  sockets.add(early);
  sockets.destroyAll();
  sockets.add(late);
  expect(await Promise.all(errors)).toEqual(
    [early, late].map(() => [expect.objectContaining({ message: 'the proxy has stopped' })]),
  );
});
