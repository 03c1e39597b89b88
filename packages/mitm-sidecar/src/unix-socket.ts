// The file of a Unix socket: what a program that crashed left behind makes way, whatever else is there stays, and nobody but its
// owner may connect.
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';

import { errorCode, errorText, MitmError } from 'mitm-core';

/** How long somebody who listens there has to take a connection. */
const ANSWER_MS = 1_000;

/**
 * Makes room for a socket: its folder is there, and no stale file is in its place.
 *
 * @throws MitmError `ERR_MITM_LISTEN_FAILED` when something is there that is not ours to remove
 */
export async function clearSocketPath(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const found = await lstat(path).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found === undefined) return;
    if (!found.isSocket())
      throw refused(path, 'a file is there that is no socket: choose another path, or remove it');
    if (await isAnswered(path))
      throw refused(path, 'another program listens there: stop it, or choose another path');
    await unlink(path);
  } catch (error) {
    if (error instanceof MitmError) throw error;
    throw refused(path, errorText(error), error);
  }
}

/** Takes from everybody but the owner the right to connect. @throws MitmError `ERR_MITM_LISTEN_FAILED` */
export async function protectSocket(path: string): Promise<void> {
  try {
    await chmod(path, 0o600);
  } catch (error) {
    throw refused(path, errorText(error), error);
  }
}

/** Whether somebody listens on a socket. What can't be found out counts as yes: nothing is taken from anybody. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (isThere: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(isThere);
    };
    const timer = setTimeout(() => settle(true), ANSWER_MS);
    socket.on('connect', () => settle(true));
    // ENOENT: it has been removed meanwhile.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

function refused(path: string, why: string, cause?: unknown): MitmError {
  return new MitmError('ERR_MITM_LISTEN_FAILED', `cannot listen on ${path}: ${why}`, { cause });
}
