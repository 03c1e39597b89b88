// What an exchange is told when the pool has no connection for it.
import { Failure } from 'mitm-core';

import type { UpstreamTarget } from './target.ts';

/** All connections stayed in use for as long as it may wait. */
export function noneFree(target: UpstreamTarget, timeoutMs: number): Failure {
  const { host } = target.route.target;
  return new Failure('upstream_connect_failed', {
    side: 'internal',
    detail: `upstream_connect_failed[${target.route.mode}]: no connection became free: timed out after ${timeoutMs} ms`,
    reply: { status: 504, body: `all connections to ${host} are in use\n` },
  });
}

/** The new connection was over, or spoke, before it was asked. */
export function uselessConnection({ route }: UpstreamTarget): Failure {
  return new Failure('upstream_connect_failed', {
    side: 'upstream',
    detail: `upstream_connect_failed[${route.mode}]: the origin ended the connection, or spoke, before it was asked`,
    reply: { status: 502, body: `the proxy could not use its connection to ${route.target.host}\n` },
    cause: Object.assign(new Error('the origin was not ready'), { code: 'ECONNRESET' }),
  });
}

/** The proxy is shutting down. */
export function shutDown(): Failure {
  return new Failure('shutdown', {
    side: 'internal',
    reply: { status: 503, body: 'the proxy is shutting down\n' },
  });
}
