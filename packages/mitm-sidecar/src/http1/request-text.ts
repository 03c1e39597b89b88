// Requests as an origin of HTTP/1 reads them, whichever version they came in.

import { Failure } from 'mitm-core';
import { H2MessageError, H2RequestHead, http1RequestText, writeRequestHead } from 'mitm-http';

import type { OutboundRequest } from '../relay/sides.ts';

/**
 * The head to write.
 *
 * @throws Failure for an HTTP/2 request that HTTP/1 can't say: 501 for a CONNECT, else 400
 */
export function requestText(request: OutboundRequest): string {
  const { head, target, host, dropExpect } = request;
  const fields = addedFields(request);
  if (head instanceof H2RequestHead) {
    const text = translated(head, request);
    return fields === undefined ? text : `${text.slice(0, -2)}${fields}\r\n`;
  }
  return writeRequestHead(head, {
    target,
    host,
    keepUpgrade: request.keepUpgrade,
    dropExpect,
    maxForwards: request.maxForwards,
    fields,
  });
}

/** Lines of our own, each with its CRLF. */
function addedFields({ via, handedTo }: OutboundRequest): string | undefined {
  const own = via === undefined ? undefined : `Via: ${via}\r\n`;
  return handedTo === undefined ? own : `${own ?? ''}${handedTo.fields}`;
}

function translated(head: H2RequestHead, request: OutboundRequest): string {
  const { target, host, framing, dropExpect, maxForwards } = request;
  try {
    return http1RequestText(head, { target, host: host ?? head.host, framing, dropExpect, maxForwards });
  } catch (error) {
    if (!(error instanceof H2MessageError)) throw error;
    throw new Failure('mitm_http_error', {
      side: 'client',
      detail: `${error.code}: ${error.message}`,
      reply: { status: error.code === 'untranslatable' ? 501 : 400, body: `${error.message}\n` },
    });
  }
}
