// The lane of connections that a firewall redirected. What the client says first names its target, as on a direct connection;
// where it names nothing, the address that it had dialled is the target. Never is one judged and another one dialled.
import { Failure, type Flow, type SocketEndpoint } from 'mitm-core';
import { HeaderMap } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import { noAnswering } from '../arrival/answering.ts';
import { gather } from '../gather.ts';
import { peekBeginning } from '../handshake/peek.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { serveConnect } from './connect.ts';
import { serveNamedTls, serverNameOf } from './direct.ts';
import { forward, forwardStreams } from './forward.ts';
import { peekOptions } from './intercept.ts';
import type { Lane } from './lane.ts';

/** A client that has said nothing for so long waits for its origin to speak first. */
const SILENCE_MS = 500;

/** Serves a connection to a listener of kind `transparent`. */
export async function serveTransparent(
  flow: Flow,
  session: Session,
  runtime: Runtime,
): Promise<CloseReason | Lane> {
  const { originalTarget } = session;
  session.answering = noAnswering;
  if (originalTarget === undefined) {
    throw new Failure('route_planner_failed', {
      side: 'client',
      detail: 'the connection was not redirected: the system knows no other address that it was for',
    });
  }
  runtime.loopGuard.refuse(hostOf(originalTarget));
  if (!(await speaksFirst(session))) return serveByAddress(flow, runtime, originalTarget);
  const beginning = await peekBeginning(session.wire, undefined, peekOptions(flow));
  switch (beginning.kind) {
    case 'tls': {
      const { hello } = beginning;
      const { host, port } = hostOf(originalTarget);
      return serveNamedTls(flow, session, runtime, {
        hello,
        target: { host: serverNameOf(hello) ?? host, port },
      });
    }
    case 'http1':
      return forward;
    case 'http2':
      return flow.config.http2Enabled ? forwardStreams : serveByAddress(flow, runtime, originalTarget);
    case 'unknown':
    case 'upstream_first':
      return serveByAddress(flow, runtime, originalTarget);
  }
}

/** Whether the client says anything soon. @throws Failure when it leaves */
async function speaksFirst({ wire }: Session): Promise<boolean> {
  const { result } = gather(wire, {
    recognise: (bytes) => (bytes.length > 0 ? true : undefined),
    timeoutMs: SILENCE_MS,
    timeStarts: 'now',
  });
  const first = await result;
  if (first.kind === 'found') return true;
  if (first.kind === 'timeout') return false;
  throw new Failure('client_aborted', { side: 'client', detail: 'nothing was sent' });
}

function serveByAddress(flow: Flow, runtime: Runtime, original: SocketEndpoint): Promise<Lane> {
  return serveConnect(flow, runtime, { ...hostOf(original), headers: new HeaderMap([]) });
}

function hostOf({ address, port }: SocketEndpoint): { readonly host: string; readonly port: number } {
  return { host: address, port };
}
