// The course of a CONNECT: judged by its target and by the program that sent it, then tunnelled, intercepted or refused.
import type { Flow } from 'mitm-core';
import type { Authority, HeaderMap } from 'mitm-http';

import type { Runtime } from '../runtime.ts';
import { blockedByPolicy } from './block.ts';
import { intercept } from './intercept.ts';
import { judgeConnection } from './judge-connection.ts';
import type { Lane } from './lane.ts';
import { tunnel } from './tunnel.ts';

export interface ConnectRequest extends Authority {
  readonly headers: HeaderMap;
}

/** Judges a CONNECT, or its like in another protocol, whose head has been read and parsed. */
export async function serveConnect(flow: Flow, runtime: Runtime, request: ConnectRequest): Promise<Lane> {
  const { host, port, headers } = request;
  const { action, decision } = await judgeConnection(flow, runtime, { host, port }, { headers });
  switch (action) {
    case 'block':
      throw blockedByPolicy(decision);
    case 'tunnel':
      return tunnel;
    case 'intercept':
      return intercept;
  }
}
