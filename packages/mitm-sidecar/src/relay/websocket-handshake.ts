// The opening handshake of a WebSocket on its way through: refused before it is forwarded where the request breaks a rule, and before it
// is passed on where the answer does, so that whatever follows a passed handshake can be read.
import { Failure } from 'mitm-core';
import {
  H2RequestHead,
  H2ResponseHead,
  isWebSocketRequest,
  parseConnectAgreement,
  parseConnectOffer,
  parseUpgradeRequest,
  parseUpgradeResponse,
  type WebSocketAgreement,
  type WebSocketOffer,
  WebSocketRequestError,
  WebSocketResponseError,
  webSocketVersion,
} from 'mitm-http';

import type { RequestMessage, ResponseMessage } from './sides.ts';

/**
 * What a request asks for; undefined for one that asks for no WebSocket, and a Failure with a 400, or a 426 that names the version, for
 * one that no server may accept.
 */
export function offeredWebSocket(head: RequestMessage): WebSocketOffer | Failure | undefined {
  if (head instanceof H2RequestHead ? head.protocol === '' : head.upgrade === '') return undefined;
  // Only a GET asks for one; with any other method Upgrade is what it is for every protocol.
  if (!isWebSocketRequest(head) || (head.method !== 'GET' && head.method !== 'CONNECT')) return undefined;
  try {
    return head instanceof H2RequestHead ? parseConnectOffer(head) : parseUpgradeRequest(head);
  } catch (error) {
    if (!(error instanceof WebSocketRequestError)) throw error;
    return new Failure('mitm_http_error', {
      side: 'client',
      detail: error.detail,
      reply: {
        status: error.status,
        headers: error.status === 426 ? ['Sec-WebSocket-Version', webSocketVersion] : [],
        body: `${error.message}\n`,
      },
      cause: error,
    });
  }
}

/**
 * What an answer agrees to; undefined for one that opens no WebSocket, and a Failure with a 502 for one that the client would have to
 * give up on.
 */
export function agreedWebSocket(
  head: ResponseMessage,
  offer: WebSocketOffer | undefined,
): WebSocketAgreement | Failure | undefined {
  if (offer === undefined) return undefined;
  const isAccepted = offer.key === undefined ? head.status >= 200 && head.status < 300 : head.status === 101;
  if (!isAccepted) return undefined;
  try {
    return head instanceof H2ResponseHead
      ? parseConnectAgreement(head, offer)
      : parseUpgradeResponse(head, offer);
  } catch (error) {
    if (!(error instanceof WebSocketResponseError)) throw error;
    return new Failure('mitm_http_error', {
      side: 'upstream',
      detail: error.detail,
      reply: { status: 502, body: `the origin answered a WebSocket handshake wrongly: ${error.message}\n` },
      cause: error,
    });
  }
}
