// Heads of both versions as a test writes them, and an exchange's request made of one.
import {
  type H2RequestHead,
  type H2ResponseHead,
  noBody,
  parseH2Request,
  parseH2Response,
  parseRequestHead,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from 'mitm-http';

import type { OutboundRequest, RequestMessage } from '../src/relay/sides.ts';

/** A head of HTTP/1 from its lines, without the empty one. */
export function requestOf(...lines: readonly string[]): RequestHead {
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return parseRequestHead(bytes, 0, bytes.length);
}

/** As {@link requestOf}. */
export function responseOf(...lines: readonly string[]): ResponseHead {
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return parseResponseHead(bytes, 0, bytes.length);
}

/** The fields of a GET for `o.test`, with these behind them. */
export function getFields(...more: readonly string[]): string[] {
  return [':method', 'GET', ':scheme', 'https', ':authority', 'o.test', ':path', '/p', ...more];
}

/** The fields of a POST for `o.test`, with these behind them. */
export function postFields(...more: readonly string[]): string[] {
  return [':method', 'POST', ':scheme', 'https', ':authority', 'o.test', ':path', '/p', ...more];
}

/** The fields of a WebSocket for `o.test` (RFC 8441). */
export const webSocketFields: readonly string[] = [
  ':method',
  'CONNECT',
  ':protocol',
  'websocket',
  ':scheme',
  'https',
  ':authority',
  'o.test',
  ':path',
  '/ws',
];

export function h2RequestOf(fields: readonly string[], sensitiveNames?: ReadonlySet<string>): H2RequestHead {
  return parseH2Request(fields, sensitiveNames);
}

export function h2ResponseOf(
  status: number,
  more: readonly string[] = [],
  sensitiveNames?: ReadonlySet<string>,
): H2ResponseHead {
  return parseH2Response([':status', String(status), ...more], sensitiveNames);
}

/** What an origin is asked for this head: without a body and without a change, unless said. */
export function askedFor(head: RequestMessage, changes: Partial<OutboundRequest> = {}): OutboundRequest {
  return {
    head,
    framing: noBody,
    scheme: 'https',
    authority: 'o.test',
    target: '/p',
    keepUpgrade: false,
    dropExpect: false,
    ...changes,
  };
}
