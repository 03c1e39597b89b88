// The life of one client connection, and the only place that turns failures into answers, closes its flow, and cleans up.
import type { Duplex } from 'node:stream';

import { Connection, Failure, type Flow, type SocketFamily } from 'mitm-core';

import { isForwarder, readSender, type Sender } from './arrival/read-proxy-header.ts';
import { plainWayIn, type WayIn } from './arrival/way-in.ts';
import { chooseLane } from './choose-lane.ts';
import { isBackoffOn } from './handshake/tls-memory.ts';
import { follow } from './lanes/lane.ts';
import { linger } from './linger.ts';
import type { Runtime } from './runtime.ts';
import { Session } from './session.ts';

/**
 * Serves a client connection to its end. Never rejects.
 *
 * @param wayIn what the listener offers; a plain proxy unless given
 * @param onSession told the session before anything else happens, so that a shutdown can reach it
 */
export async function serveConnection(
  socket: Duplex,
  family: SocketFamily,
  runtime: Runtime,
  onSession: (session: Session) => void,
  wayIn: WayIn = plainWayIn,
): Promise<void> {
  const { engine } = runtime;
  const session = new Session(socket, wayIn, runtime.sockets, engine.budget);
  onSession(session);
  engine.metrics.connectionOpened();
  const sender = isForwarder(session, family)
    ? await readSender(session, family, engine.config.timeouts.handshakeMs)
    : localSender(session, family);
  const connection = new Connection(sender.family, undefined, sender.forwarder);
  const flow = engine.openFlow({ connection });
  const isAttributed = flow.config.processAttribution.enabled;
  const isProcessRead = engine.hasOwnPolicy || engine.handler.readsProcess || isBackoffOn(flow.config);
  if (isAttributed && isProcessRead) runtime.attribution.begin(connection, socket);
  engine.handler.connectionOpened(connection, flow.config);
  try {
    if (sender.failure !== undefined) throw sender.failure;
    // A policy of the caller's own is asked first thing, and may go by the process.
    if (engine.hasOwnPolicy) await connection.attributed;
    const reason = await follow(chooseLane, flow, session, runtime);
    flow.close(session.isKilled ? 'shutdown' : reason);
  } catch (error) {
    closeFailed(flow, session, runtime, Failure.from(error));
  } finally {
    endSession(session);
    engine.metrics.connectionClosed();
    await engine.handler.streamEnded(flow);
    await connection.settled();
    await engine.handler.connectionClosed(connection, flow.config);
  }
}

/** The client at the other end of the socket. Where a firewall redirected it, it had dialled another address than ours. */
function localSender({ originalTarget }: Session, family: SocketFamily): Sender {
  return originalTarget === undefined || family.kind === 'unix_domain'
    ? { family }
    : { family: { ...family, local: originalTarget } };
}

function closeFailed(flow: Flow, session: Session, runtime: Runtime, failure: Failure): void {
  if (failure.isUnexpected) {
    runtime.engine.logger.error({ err: failure.cause, flowId: flow.id }, 'connection failed unexpectedly');
  }
  if (session.isKilled) {
    flow.close('shutdown');
    return;
  }
  const refusal = session.refusal(failure);
  if (refusal !== undefined) session.wire.write(refusal);
  flow.close(failure.reason, failure.detail);
}

/** Lets what was written leave, and then ends the stream; a peer that does not read is not waited for. */
function endSession({ socket, wire }: Session): void {
  if (socket.destroyed) {
    wire.destroy();
    return;
  }
  wire.end();
  linger(wire);
}
