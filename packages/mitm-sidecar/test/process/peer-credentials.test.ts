// Who connected to a Unix socket: this process, and a library that can't tell.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';

import { expect, test } from 'vitest';

import { destroyed } from '../../../../testing/lab/clients.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { loadCLibrary } from '../../src/native/c-library.ts';
import { peerPid } from '../../src/process/peer-credentials.ts';

test.skipIf(process.platform !== 'linux')('the peer of a Unix socket has a pid', async () => {
  await using directory = await temporaryDirectory('peer-');
  const path = join(directory.path, 'socket');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const connection: Promise<Socket[]> = once(server, 'connection');
  const client = connect(path);
  const [accepted] = await connection;
  if (accepted === undefined) throw new Error('no connection');
  expect(peerPid(accepted, await loadCLibrary())).toBe(process.pid);
  expect(peerPid(accepted, { getOption: () => -1 })).toBeUndefined();
  await destroyed(client);
  await destroyed(accepted);
  expect(peerPid(accepted, await loadCLibrary())).toBeUndefined();
  server.close();
});

test('what is no socket has no peer', () => {
  expect(peerPid(new Duplex(), { getOption: () => 0 })).toBeUndefined();
});
