// The least that drives a session over a socket: one write per turn, memory given back when the kernel has it, and the
// session told when the socket is full.
import type { Socket } from 'node:net';

import type { SessionListener, SessionOptions } from '../../src/h2/session-types.ts';
import { H2Session } from '../../src/h2/session.ts';

/** Runs a session on a socket until either ends. */
export function driveSession(
  socket: Socket,
  options: SessionOptions,
  makeListener: (pump: () => void) => SessionListener,
): H2Session {
  let isScheduled = false;
  const flush = (): void => {
    isScheduled = false;
    if (socket.writableNeedDrain || socket.destroyed) return;
    const output = session.takeOutput();
    if (output === undefined) return;
    const isTaken = socket.write(output);
    if (socket.writableLength === 0) session.releaseOutput();
    if (!isTaken) session.setCongested(true);
  };
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    process.nextTick(flush);
  };
  const session = new H2Session(options, makeListener(schedule));
  socket.on('data', (chunk: Buffer) => session.receive(chunk, performance.now()));
  socket.on('drain', () => {
    session.setCongested(false);
    schedule();
  });
  socket.on('close', () => session.end());
  socket.on('error', () => socket.destroy());
  session.start(performance.now());
  return session;
}
