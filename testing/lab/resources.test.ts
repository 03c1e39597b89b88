// The leak check sees what was opened and waits for what is closing.
import { createServer } from 'node:net';

import { expect, test } from 'vitest';

import { dialLoopback } from './clients.ts';
import { listen } from './listening.ts';
import { expectNothingLeft, openedSince, openHandles } from './resources.ts';

test('an open server is a surplus until it is closed', async () => {
  const before = openHandles();
  const listening = await listen(createServer());
  expect(openedSince(before).get('TCPServerWrap')).toBe(1);
  await expect(expectNothingLeft(before, 20)).rejects.toThrow('still open after 20 ms: 1 TCPServerWrap');
  await listening[Symbol.asyncDispose]();
  await expectNothingLeft(before);
});

test('disposing of a listener closes the connections that clients left open', async () => {
  const before = openHandles();
  {
    await using listening = await listen(createServer());
    const client = await dialLoopback(listening.port);
    client.on('error', () => {});
    client.resume();
    expect(listening.connectionCount).toBe(1);
  }
  await expectNothingLeft(before);
});
