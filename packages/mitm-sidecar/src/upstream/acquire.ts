// What the pool is asked for, and what it asks of whoever makes its connections.
import type { Flow } from 'mitm-core';

import type { Connected, SessionCache } from './connect.ts';
import type { UpstreamTarget } from './target.ts';

/** What an exchange needs of a connection. */
export interface AcquireRequest {
  readonly target: UpstreamTarget;
  readonly flow: Flow;
  /** The request may be sent again on another connection when this one turns out to be dead. */
  readonly isRepeatable: boolean;
  /** Never take a used connection. */
  readonly isFresh: boolean;
  /** The request authenticates its connection, which is its client's alone from then on. */
  readonly isAuthenticating?: boolean;
}

/** Makes a new connection; the pool decides when. */
export type Connector = (target: UpstreamTarget, flow: Flow, sessions: SessionCache) => Promise<Connected>;
