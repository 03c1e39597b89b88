// The port leaves its callers waiting.
import { connect } from 'node:net';

import { expect, test } from 'vitest';

import { hasFullListeners, startFullListener } from './full-listener.ts';

test.skipIf(!hasFullListeners)(
  'a connection is neither made nor refused (only Linux has such ports)',
  async () => {
    await using listener = await startFullListener();
    const socket = connect({ host: '127.0.0.1', port: listener.port });
    const outcomes: string[] = [];
    socket.on('connect', () => outcomes.push('connected'));
    socket.on('error', () => outcomes.push('refused'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([socket.connecting, outcomes]).toEqual([true, []]);
    socket.destroy();
  },
);
