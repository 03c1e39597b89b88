// What a lane is: the course that a connection takes once its first head is known.
import type { Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';

import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';

/** Returns why the connection's flow ended well, and throws a Failure when it did not. */
export type Lane = (flow: Flow, session: Session, runtime: Runtime) => Promise<CloseReason>;
