// An origin that said nothing for too long, whichever version of HTTP it speaks: what is reported, and what its client is told.
import { Failure } from 'mitm-core';

/**
 * The failure of an exchange whose origin was silent: 504 (RFC 9110 §15.6.5).
 *
 * @param stage what was waited for, as details of failures name it
 * @param ms how long
 */
export function silentOrigin(
  reason: 'stream_stage_timeout' | 'idle_watchdog_timeout',
  stage: string,
  ms: number,
): Failure {
  return new Failure(reason, {
    side: 'upstream',
    detail: `${reason}:${stage}:${ms}ms`,
    reply: { status: 504, body: 'the origin did not answer in time\n' },
  });
}
