// The limit that a client may set on how far TRACE and OPTIONS travel (RFC 9110 §7.6.2). It concerns proxies that are asked
// by name; an intercepted request goes on as it is.

import { Failure } from 'mitm-core';

import type { RequestMessage } from '../relay/sides.ts';

/** Fields that a TRACE answer must not repeat (RFC 9110 §9.3.8). */
const secretFields: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
]);

const allowed = 'GET, HEAD, POST, PUT, DELETE, PATCH, CONNECT, OPTIONS, TRACE';

/**
 * What Max-Forwards is to say on the next hop; undefined where it says nothing that concerns us.
 *
 * @throws Failure with our own answer to a request that may go no further
 */
export function remainingForwards(head: RequestMessage): number | undefined {
  if (head.method !== 'TRACE' && head.method !== 'OPTIONS') return undefined;
  const value = head.headers.get('max-forwards');
  if (value === undefined || !/^\d{1,9}$/.test(value)) return undefined;
  const hops = Number(value);
  if (hops > 0) return hops - 1;
  throw new Failure('mitm_http_completed', {
    side: 'internal',
    detail: 'max_forwards',
    reply:
      head.method === 'OPTIONS'
        ? { status: 200, headers: ['Allow', allowed] }
        : { status: 200, headers: ['Content-Type', 'message/http'], body: traced(head) },
  });
}

function traced(head: RequestMessage): Buffer {
  let text = `${head.method} ${head.target} ${head.version}\r\n`;
  for (const [name, value] of head.headers) {
    if (!secretFields.has(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
