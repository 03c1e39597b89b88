// What a lane is: the course that a connection takes once its first head is known, a stretch at a time.
import type { Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';

import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';

/**
 * Returns why the connection's flow ended well, or the lane that goes on from here; throws a Failure when it did not. A connection that
 * lives for hours keeps only what its last lane holds: the heads and hellos of those before it are let go.
 */
export type Lane = (flow: Flow, session: Session, runtime: Runtime) => Promise<CloseReason | Lane>;

/** Goes along a lane and those that follow it. */
export async function follow(
  lane: Lane,
  flow: Flow,
  session: Session,
  runtime: Runtime,
): Promise<CloseReason> {
  let next = await lane(flow, session, runtime);
  while (typeof next === 'function') next = await next(flow, session, runtime);
  return next;
}
