// The path of a Unix socket: what is left over makes way, what is in use or no socket stays.
import { once } from 'node:events';
import { lstat, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';

import { describe, expect, test } from 'vitest';

import { runProgram } from '../../../testing/lab/programs.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { clearSocketPath, protectSocket } from '../src/unix-socket.ts';

const script = `
  const server = require('node:net').createServer();
  server.listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'));
`;

describe.skipIf(process.platform === 'win32')('the path of a socket', () => {
  test('may be free, in folders that are still to be made', async () => {
    await using folder = await temporaryDirectory();
    await clearSocketPath(folder.resolve('a', 'b', 'socket'));
    expect((await stat(folder.resolve('a', 'b'))).mode & 0o777).toBe(0o700);
  });

  test('may hold what a program that crashed left behind', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('socket');
    await runProgram(process.execPath, ['-e', script, path]);
    expect((await lstat(path)).isSocket()).toBe(true);
    await clearSocketPath(path);
    await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is left to who listens there', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    await expect(clearSocketPath(path)).rejects.toMatchObject({
      code: 'ERR_MITM_LISTEN_FAILED',
      message: `cannot listen on ${path}: another program listens there: stop it, or choose another path`,
    });
    expect((await lstat(path)).isSocket()).toBe(true);
    server.close();
  });

  test('is left to a file that is no socket', async () => {
    await using folder = await temporaryDirectory();
    const path = await folder.write('notes', 'precious');
    await expect(clearSocketPath(path)).rejects.toThrow('a file is there that is no socket');
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  test('can be impossible', async () => {
    await using folder = await temporaryDirectory();
    const path = `${await folder.write('file', '')}/socket`;
    await expect(clearSocketPath(path)).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
    await expect(protectSocket(path)).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
  });
});
