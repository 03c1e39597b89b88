// The lane of a target that policy refuses: an answer that names the reason, and no connection anywhere.
import { Failure } from 'mitm-core';
import type { Decision } from 'mitm-policy';

/** The answer to a refused target, for `serveConnection` and for exchanges alike. */
export function blockedByPolicy(decision: Decision): Failure {
  return new Failure('blocked', {
    side: 'internal',
    detail: decision.reason,
    reply: { status: 403, body: `${decision.reason}\n` },
  });
}
