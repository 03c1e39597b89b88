// The course of a CONNECT: judged by its target and by the program that sent it, then tunnelled, intercepted or refused.
import type { Flow } from 'mitm-core';
import type { Authority, HeaderMap } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { blockedByPolicy } from './block.ts';
import { intercept } from './intercept.ts';
import { judgeConnection } from './judge-connection.ts';
import { tunnel } from './tunnel.ts';

export interface ConnectRequest extends Authority {
  readonly headers: HeaderMap;
}

/** Serves a CONNECT, or its like in another protocol, whose head has been read and parsed. */
export async function serveConnect(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  request: ConnectRequest,
): Promise<CloseReason> {
  const { host, port, headers } = request;
  const { action, decision } = await judgeConnection(flow, runtime, { host, port }, { headers });
  switch (action) {
    case 'block':
      throw blockedByPolicy(decision);
    case 'tunnel':
      return tunnel(flow, session, runtime);
    case 'intercept':
      return intercept(flow, session, runtime);
  }
}
