// The dial that a CONNECT waits for: made once more after a pause where `upstream.retryOnFailure` grants it and the failure
// may be over by then.

import { setTimeout as pause } from 'node:timers/promises';

import { Failure, type Flow } from 'mitm-core';

import { isPassing } from '../relay/attempt.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import type { Wire } from '../wire.ts';
import type { DialOptions } from './dial.ts';
import { reach } from './reach.ts';

/** Makes one connection, and tells of its socket as soon as that is made. */
export type Dialler<T> = (onSocket: NonNullable<DialOptions['onSocket']>) => Promise<T>;

/**
 * Reaches the next hop of a flow.
 *
 * @param client whoever waits for it: with nobody there any more, no second attempt is made
 * @throws Failure as the dialler does, or `client_aborted` when the client left during the pause
 */
export async function firstDial<T>(
  flow: Flow,
  client: Pick<Session, 'wire' | 'sockets'>,
  dialler: Dialler<T>,
): Promise<T> {
  const { retryOnFailure, retryDelayMs } = flow.config.upstream;
  const onSocket: Parameters<Dialler<T>>[0] = (socket) => client.sockets.add(socket);
  try {
    return await measured(flow, dialler(onSocket));
  } catch (error) {
    if (!retryOnFailure || !(error instanceof Failure) || !isPassing(error)) throw error;
  }
  await pause(retryDelayMs);
  if (client.wire.isClosed) {
    throw new Failure('client_aborted', {
      side: 'client',
      detail: 'client left while the origin was dialled',
    });
  }
  return measured(flow, dialler(onSocket));
}

async function measured<T>(flow: Flow, dialled: Promise<T>): Promise<T> {
  const beganMs = performance.now();
  const connection = await dialled;
  flow.engine.metrics.took('dial', performance.now() - beganMs);
  return connection;
}

/** The same, as a wire for whatever the connection turns out to carry. */
export function firstDialled(
  flow: Flow,
  client: Pick<Session, 'wire' | 'sockets'>,
  runtime: Runtime,
): Promise<Wire> {
  return firstDial(flow, client, (onSocket) => reach(flow, flow.route, runtime, onSocket));
}
