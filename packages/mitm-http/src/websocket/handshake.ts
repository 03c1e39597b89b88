// The opening handshake as a proxy sees it: is this a WebSocket, what was offered, was it answered rightly. Over HTTP/1.1 by
// RFC 6455 §4, over HTTP/2 by RFC 8441 §5, where key and accept don't exist.
import { createHash } from 'node:crypto';

import { quoted } from '../errors.ts';
import { isToken } from '../field-lines.ts';
import type { H2RequestHead } from '../h2/request-head.ts';
import type { H2ResponseHead } from '../h2/response-head.ts';
import type { RequestHead, ResponseHead } from '../head.ts';
import type { HeaderMap } from '../header-map.ts';
import { parseDeflateAgreement, parseExtensions, permessageDeflate } from './extension.ts';
import type { DeflateAgreement, WebSocketExtension } from './extension.ts';
import { WebSocketRequestError, WebSocketResponseError } from './handshake-error.ts';

/** The only version of the protocol. */
export const webSocketVersion = '13';
const acceptGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
// 16 bytes as base64.
const keyForm = /^[A-Za-z0-9+/]{22}==$/;

/** What a client asks for. */
export interface WebSocketOffer {
  /** `undefined` over HTTP/2. */
  readonly key: string | undefined;
  /** Subprotocols, the preferred first. */
  readonly protocols: readonly string[];
  readonly extensions: readonly WebSocketExtension[];
}

/** What both ends agreed on. */
export interface WebSocketAgreement {
  /** The subprotocol. */
  readonly protocol: string | undefined;
  readonly extensions: readonly WebSocketExtension[];
  /** Set when messages may be compressed. */
  readonly deflate: DeflateAgreement | undefined;
  /** Whether there is an extension that is not known here. */
  readonly hasUnknownExtension: boolean;
}

/** Whether the request asks for a WebSocket, rightly or not: HTTP/1.1 with `websocket` in Upgrade, or CONNECT with it in `:protocol`. */
export function isWebSocketRequest(head: RequestHead | H2RequestHead): boolean {
  if (head.version === 'HTTP/2') return head.protocol === 'websocket';
  return head.minorVersion === 1 && isListed(head.upgrade, 'websocket');
}

/**
 * What a request over HTTP/1.1 offers (RFC 6455 §4.2.1).
 * @throws {WebSocketRequestError} when it must be refused.
 */
export function parseUpgradeRequest(head: RequestHead): WebSocketOffer {
  requireMethod(head.method, 'GET');
  if (!head.hasConnectionOption('upgrade')) {
    throw new WebSocketRequestError('missing_connection_upgrade', 'Connection does not list "Upgrade"');
  }
  if (!isListed(head.upgrade, 'websocket')) {
    const message = `Upgrade is ${quoted(head.upgrade)} and does not list "websocket"`;
    throw new WebSocketRequestError('missing_upgrade_websocket', message);
  }
  requireVersion(head.headers);
  return { key: keyOf(head.headers), ...wishesOf(head.headers) };
}

/**
 * What an extended CONNECT offers (RFC 8441 §5).
 * @throws {WebSocketRequestError} when it must be refused.
 */
export function parseConnectOffer(head: H2RequestHead): WebSocketOffer {
  requireMethod(head.method, 'CONNECT');
  if (head.protocol !== 'websocket') {
    const message = `:protocol is ${quoted(head.protocol)} and not "websocket"`;
    throw new WebSocketRequestError('missing_protocol_websocket', message);
  }
  requireVersion(head.headers);
  return { key: undefined, ...wishesOf(head.headers) };
}

/** The accept value that answers a key (RFC 6455 §4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + acceptGuid)
    .digest('base64');
}

/**
 * What an answer over HTTP/1.1 agrees to (RFC 6455 §4.1). Whether the parameters of an extension are those that were offered is left
 * to the client, whom they concern.
 * @throws {WebSocketResponseError} when the client would have to fail the connection, or what follows could not be read.
 */
export function parseUpgradeResponse(head: ResponseHead, offer: WebSocketOffer): WebSocketAgreement {
  if (head.status !== 101) throw statusError(head.status, '101');
  if (!head.hasConnectionOption('upgrade')) {
    throw new WebSocketResponseError('missing_connection_upgrade', 'Connection does not list "Upgrade"');
  }
  if (head.upgrade !== 'websocket') {
    const message = `Upgrade is ${quoted(head.upgrade)} and not "websocket"`;
    throw new WebSocketResponseError('missing_upgrade_websocket', message);
  }
  const accepts = head.headers.getAll('sec-websocket-accept');
  if (offer.key !== undefined && (accepts.length !== 1 || accepts[0] !== acceptOf(offer.key))) {
    const message = `Sec-WebSocket-Accept is ${quoted(accepts.join(', '))}, which does not answer the key`;
    throw new WebSocketResponseError('invalid_sec_websocket_accept', message);
  }
  return agreementOf(head.headers, offer);
}

/**
 * What an answer over HTTP/2 agrees to (RFC 8441 §5).
 * @throws {WebSocketResponseError} as {@link parseUpgradeResponse}.
 */
export function parseConnectAgreement(head: H2ResponseHead, offer: WebSocketOffer): WebSocketAgreement {
  if (head.status < 200 || head.status > 299) throw statusError(head.status, '200');
  return agreementOf(head.headers, offer);
}

function requireMethod(method: string, wanted: string): void {
  if (method === wanted) return;
  throw new WebSocketRequestError(
    'invalid_method',
    `a WebSocket is opened with ${wanted}, not ${quoted(method)}`,
  );
}

function requireVersion(headers: HeaderMap): void {
  const version = headers.getAll('sec-websocket-version').join(', ');
  if (version === webSocketVersion) return;
  if (version === '') {
    const message = `Sec-WebSocket-Version is missing: send ${webSocketVersion}`;
    throw new WebSocketRequestError('missing_sec_websocket_version', message);
  }
  const message = `Sec-WebSocket-Version is ${quoted(version)}: send ${webSocketVersion}`;
  throw new WebSocketRequestError('unsupported_sec_websocket_version', message, version.slice(0, 80));
}

function keyOf(headers: HeaderMap): string {
  const keys = headers.getAll('sec-websocket-key');
  const [key] = keys;
  if (key === undefined || key === '') {
    throw new WebSocketRequestError('missing_sec_websocket_key', 'Sec-WebSocket-Key is missing');
  }
  if (keys.length === 1 && keyForm.test(key)) return key;
  const message = `Sec-WebSocket-Key is ${quoted(keys.join(', '))}: send 16 random bytes as base64, once`;
  throw new WebSocketRequestError('invalid_sec_websocket_key_shape', message);
}

function wishesOf(headers: HeaderMap): Pick<WebSocketOffer, 'protocols' | 'extensions'> {
  const protocolText = headers.getAll('sec-websocket-protocol').join(',');
  const protocols = protocolText.split(',').flatMap((member) => member.trim() || []);
  if (!protocols.every((protocol) => isToken(protocol))) {
    const message = `Sec-WebSocket-Protocol ${quoted(protocolText)} is no list of names`;
    throw new WebSocketRequestError('invalid_sec_websocket_protocol', message);
  }
  const extensionValues = headers.getAll('sec-websocket-extensions');
  const extensions = parseExtensions(extensionValues);
  if (extensions === undefined) {
    const message = `Sec-WebSocket-Extensions ${quoted(extensionValues.join(', '))} can't be read`;
    throw new WebSocketRequestError('invalid_sec_websocket_extensions', message);
  }
  return { protocols, extensions };
}

function agreementOf(headers: HeaderMap, offer: WebSocketOffer): WebSocketAgreement {
  const extensions = agreedExtensions(headers.getAll('sec-websocket-extensions'), offer);
  const deflateEntry = extensions.find(({ name }) => name === permessageDeflate);
  const deflate = deflateEntry === undefined ? undefined : parseDeflateAgreement(deflateEntry);
  if (deflateEntry !== undefined && deflate === undefined) {
    const message = `the parameters of ${permessageDeflate} are wrong: ${quoted(JSON.stringify(deflateEntry.parameters))}`;
    throw new WebSocketResponseError('invalid_sec_websocket_extensions', message);
  }
  return {
    protocol: agreedProtocol(headers.getAll('sec-websocket-protocol'), offer),
    extensions,
    deflate,
    hasUnknownExtension: extensions.some(({ name }) => name !== permessageDeflate),
  };
}

function agreedExtensions(values: readonly string[], offer: WebSocketOffer): readonly WebSocketExtension[] {
  const extensions = parseExtensions(values);
  if (extensions === undefined || new Set(extensions.map(({ name }) => name)).size < extensions.length) {
    const message = `Sec-WebSocket-Extensions ${quoted(values.join(', '))} can't be read, or names one twice`;
    throw new WebSocketResponseError('invalid_sec_websocket_extensions', message);
  }
  for (const { name } of extensions) {
    if (offer.extensions.some((offered) => offered.name === name)) continue;
    const message = `the extension ${quoted(name)} was not offered`;
    throw new WebSocketResponseError('unoffered_sec_websocket_extension', message);
  }
  return extensions;
}

function agreedProtocol(values: readonly string[], offer: WebSocketOffer): string | undefined {
  const [protocol] = values;
  if (protocol === undefined) return undefined;
  if (values.length > 1 || !isToken(protocol)) {
    const message = `Sec-WebSocket-Protocol ${quoted(values.join(', '))} is not one name`;
    throw new WebSocketResponseError('invalid_sec_websocket_protocol', message);
  }
  if (offer.protocols.includes(protocol)) return protocol;
  const message = `the subprotocol ${quoted(protocol)} was not offered`;
  throw new WebSocketResponseError('unoffered_sec_websocket_protocol', message);
}

function statusError(status: number, wanted: string): WebSocketResponseError {
  const message = `status ${status} opens no WebSocket, only ${wanted} does`;
  return new WebSocketResponseError('invalid_status_code', message, String(status));
}

// `upgrade` of a head is lower-case members joined by commas.
function isListed(list: string, member: string): boolean {
  return list === member || (list.includes(',') && list.split(',').includes(member));
}
