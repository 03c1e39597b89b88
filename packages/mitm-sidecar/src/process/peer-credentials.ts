// Who connected to a Unix socket, as the kernel noted it then (`SO_PEERCRED`, unix(7)).
import { endianness } from 'node:os';
import type { Duplex } from 'node:stream';

import { descriptorOf, type SocketOptionCalls } from '../native/c-library.ts';

/** From the headers of Linux: `SOL_SOCKET`, `SO_PEERCRED`, and the size of `struct ucred`, which begins with the pid. */
const socketLevel = 1;
const peerCredentials = 17;
const credentialBytes = 12;

/** The pid of the process at the other end; 0 when it is in a pid namespace that we can't see, `undefined` when it can't be told. */
export function peerPid(stream: Duplex, calls: Pick<SocketOptionCalls, 'getOption'>): number | undefined {
  const fd = descriptorOf(stream);
  if (fd === undefined) return undefined;
  const value = Buffer.alloc(credentialBytes);
  if (calls.getOption(fd, socketLevel, peerCredentials, value) !== 0) return undefined;
  return endianness() === 'LE' ? value.readInt32LE(0) : value.readInt32BE(0);
}
