// The lane of a target that is let through unread: dial, say so, and copy bytes both ways.
import type { Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';

import { relayBytes } from '../relay/bytes.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { firstDial } from '../upstream/first-dial.ts';
import { reachVolatile } from '../upstream/reach.ts';

/**
 * Tunnels a CONNECT whose head has been read. Bytes that came behind the head go first.
 *
 * @returns `relay_eof`
 * @throws Failure when the target can't be reached, or the relay breaks
 */
export async function tunnel(flow: Flow, session: Session, runtime: Runtime): Promise<CloseReason> {
  const upstream = await firstDial(flow, session, (onSocket) =>
    reachVolatile(flow, flow.route, runtime, onSocket),
  );
  session.grant();
  return relayBytes(flow, session.wire, upstream, flow.config.timeouts.tunnelIdleMs);
}
