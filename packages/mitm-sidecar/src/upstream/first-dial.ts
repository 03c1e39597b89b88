// The dial that a CONNECT waits for: made once more after a pause where `upstream.retryOnFailure` grants it and the failure
// may be over by then.

import { setTimeout as pause } from 'node:timers/promises';

import { Failure, type Flow, type Route } from 'mitm-core';

import { isPassing } from '../relay/attempt.ts';
import type { Session } from '../session.ts';
import { Wire } from '../wire.ts';
import { dial, type DialOptions } from './dial.ts';

/** Makes one connection. */
export type Dialler<T> = (route: Route, options: DialOptions) => Promise<T>;

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
  const { connectTimeoutMs, retryOnFailure, retryDelayMs } = flow.config.upstream;
  const options: DialOptions = {
    timeoutMs: connectTimeoutMs,
    onSocket: (socket) => client.sockets.add(socket),
  };
  try {
    return await measured(flow, dialler(flow.route, options));
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
  return measured(flow, dialler(flow.route, options));
}

async function measured<T>(flow: Flow, dialled: Promise<T>): Promise<T> {
  const beganMs = performance.now();
  const connection = await dialled;
  flow.engine.metrics.took('dial', performance.now() - beganMs);
  return connection;
}

/** The same, as a wire for whatever the connection turns out to carry. */
export async function firstDialled(flow: Flow, client: Pick<Session, 'wire' | 'sockets'>): Promise<Wire> {
  return new Wire(await firstDial(flow, client, dial));
}
