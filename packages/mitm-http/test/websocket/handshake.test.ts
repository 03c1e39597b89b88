import { describe, expect, test } from 'vitest';

import { parseH2Request } from '../../src/h2/request-head.ts';
import type { H2RequestHead } from '../../src/h2/request-head.ts';
import { parseH2Response } from '../../src/h2/response-head.ts';
import type { RequestHead, ResponseHead } from '../../src/head.ts';
import {
  acceptOf,
  isWebSocketRequest,
  parseConnectAgreement,
  parseConnectOffer,
  parseUpgradeRequest,
  parseUpgradeResponse,
} from '../../src/websocket/handshake.ts';
import type { WebSocketOffer } from '../../src/websocket/handshake.ts';
import { codeOf, requestOf, responseOf } from '../wire-text.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const goodRequest = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${key}`,
];
const goodResponse = ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${acceptOf(key)}`];

/** A request with these fields besides Host. */
function requestWith(lines: readonly string[], requestLine = 'GET /chat HTTP/1.1'): RequestHead {
  return requestOf(requestLine, 'Host: example.com', ...lines);
}

function responseWith(
  lines: readonly string[],
  statusLine = 'HTTP/1.1 101 Switching Protocols',
): ResponseHead {
  return responseOf(statusLine, ...lines);
}

/** The lines without the one that begins so, and with others instead. */
function changed(lines: readonly string[], without: string, ...others: readonly string[]): string[] {
  return [...lines.filter((line) => !line.startsWith(without)), ...others];
}

function connect(
  fields: readonly string[] = ['sec-websocket-version', '13'],
  protocol = 'websocket',
): H2RequestHead {
  const pseudo = [':method', 'CONNECT', ':protocol', protocol, ':scheme', 'https', ':path', '/chat'];
  return parseH2Request([...pseudo, ':authority', 'example.com', ...fields]);
}

const offer: WebSocketOffer = {
  key,
  protocols: ['chat', 'superchat'],
  extensions: [
    { name: 'permessage-deflate', parameters: [] },
    { name: 'x-other', parameters: [] },
  ],
};

describe('a request over HTTP/1.1', () => {
  test('WS-31 a well-formed one', () => {
    const lines = [
      ...goodRequest,
      'Sec-WebSocket-Protocol: chat, superchat',
      'Sec-WebSocket-Protocol: third',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    ];
    expect(parseUpgradeRequest(requestWith(lines))).toEqual({
      key,
      protocols: ['chat', 'superchat', 'third'],
      extensions: [{ name: 'permessage-deflate', parameters: [['client_max_window_bits', undefined]] }],
    });
  });

  test.each([
    ['names in any case', ['connection: keep-alive, UPGRADE', 'upgrade: WebSocket', ...goodRequest.slice(2)]],
    ['more than one protocol in Upgrade', changed(goodRequest, 'Upgrade', 'Upgrade: foo, websocket')],
  ])('%s', (_rule, lines) => {
    expect(parseUpgradeRequest(requestWith(lines))).toEqual({ key, protocols: [], extensions: [] });
    expect(isWebSocketRequest(requestWith(lines))).toBe(true);
  });

  test.each([
    ['Connection lists Upgrade', changed(goodRequest, 'Connection'), 'missing_connection_upgrade'],
    ['Upgrade lists websocket', changed(goodRequest, 'Upgrade', 'Upgrade: h2c'), 'missing_upgrade_websocket'],
    ['the version is there', changed(goodRequest, 'Sec-WebSocket-V'), 'missing_sec_websocket_version'],
    [
      'WS-32 the version is 13',
      changed(goodRequest, 'Sec-WebSocket-V', 'Sec-WebSocket-Version: 12'),
      'unsupported_sec_websocket_version',
    ],
    [
      'the version stands alone',
      [...goodRequest, 'Sec-WebSocket-Version: 13'],
      'unsupported_sec_websocket_version',
    ],
    ['the key is there', changed(goodRequest, 'Sec-WebSocket-K'), 'missing_sec_websocket_key'],
    [
      'the key is not empty',
      changed(goodRequest, 'Sec-WebSocket-K', 'Sec-WebSocket-Key:'),
      'missing_sec_websocket_key',
    ],
    [
      'the key is there once',
      [...goodRequest, `Sec-WebSocket-Key: ${key}`],
      'invalid_sec_websocket_key_shape',
    ],
    [
      'a subprotocol is a name',
      [...goodRequest, 'Sec-WebSocket-Protocol: a b'],
      'invalid_sec_websocket_protocol',
    ],
    [
      'extensions are a list',
      [...goodRequest, 'Sec-WebSocket-Extensions: a b'],
      'invalid_sec_websocket_extensions',
    ],
  ])('%s', (_rule, lines, code) => {
    expect(codeOf(() => parseUpgradeRequest(requestWith(lines)))).toBe(code);
  });

  test('it is a GET', () => {
    const head = requestWith(goodRequest, 'POST /chat HTTP/1.1');
    expect(codeOf(() => parseUpgradeRequest(head))).toBe('invalid_method');
  });

  test.each([
    [key, true],
    ['AAAAAAAAAAAAAAAAAAAAAA==', true],
    ['+/AAAAAAAAAAAAAAAAAAAA==', true],
    ['AAAAAAAAAAAAAAAAAAAAA==', false],
    ['AAAAAAAAAAAAAAAAAAAAAAA=', false],
    ['AAAAAAAAAAAAAAAAAAAAAAAA', false],
    ['-_AAAAAAAAAAAAAAAAAAAA==', false],
    ['AAAAAAAAAAAAAAAAAAAAAA==AAAA', false],
  ])('WS-30 key %s: %s', (value, isGood) => {
    const lines = changed(goodRequest, 'Sec-WebSocket-K', `Sec-WebSocket-Key: ${value}`);
    const code = codeOf(() => parseUpgradeRequest(requestWith(lines)));
    expect(code).toBe(isGood ? 'accepted' : 'invalid_sec_websocket_key_shape');
  });

  test('what asks for no WebSocket', () => {
    expect(isWebSocketRequest(requestWith(changed(goodRequest, 'Upgrade')))).toBe(false);
    expect(isWebSocketRequest(requestWith(changed(goodRequest, 'Upgrade', 'Upgrade: websockets')))).toBe(
      false,
    );
    expect(isWebSocketRequest(requestWith(goodRequest, 'GET /chat HTTP/1.0'))).toBe(false);
  });

  test('one that asks wrongly asks all the same', () => {
    expect(isWebSocketRequest(requestWith(changed(goodRequest, 'Connection')))).toBe(true);
  });
});

describe('an answer over HTTP/1.1', () => {
  test('WS-37 the example of RFC 6455 §1.3', () =>
    expect(acceptOf(key)).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='));

  test('WS-33 a well-formed one', () => {
    expect(parseUpgradeResponse(responseWith(goodResponse), offer)).toEqual({
      protocol: undefined,
      extensions: [],
      deflate: undefined,
      hasUnknownExtension: false,
    });
  });

  test('a subprotocol and extensions', () => {
    const lines = [
      ...goodResponse,
      'Sec-WebSocket-Protocol: superchat',
      'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_no_context_takeover',
    ];
    expect(parseUpgradeResponse(responseWith(lines), offer)).toMatchObject({
      protocol: 'superchat',
      deflate: { serverMaxWindowBits: 10, clientMaxWindowBits: 15, clientNoContextTakeover: true },
      hasUnknownExtension: false,
    });
  });

  test('an extension that is not known here', () => {
    const head = responseWith([...goodResponse, 'Sec-WebSocket-Extensions: x-other; a=1']);
    expect(parseUpgradeResponse(head, offer)).toMatchObject({
      deflate: undefined,
      hasUnknownExtension: true,
    });
  });

  test.each([
    ['Connection lists Upgrade', changed(goodResponse, 'Connection'), 'missing_connection_upgrade'],
    ['Upgrade is websocket', changed(goodResponse, 'Upgrade', 'Upgrade: h2c'), 'missing_upgrade_websocket'],
    ['WS-36 the accept value is there', changed(goodResponse, 'Sec'), 'invalid_sec_websocket_accept'],
    [
      'WS-35 the accept value answers the key',
      changed(goodResponse, 'Sec', 'Sec-WebSocket-Accept: bogus'),
      'invalid_sec_websocket_accept',
    ],
    [
      'the accept value is there once',
      [...goodResponse, goodResponse[2] ?? ''],
      'invalid_sec_websocket_accept',
    ],
    [
      'the subprotocol was offered',
      [...goodResponse, 'Sec-WebSocket-Protocol: Chat'],
      'unoffered_sec_websocket_protocol',
    ],
    [
      'there is one subprotocol',
      [...goodResponse, 'Sec-WebSocket-Protocol: chat, superchat'],
      'invalid_sec_websocket_protocol',
    ],
    [
      'there is one field for it',
      [...goodResponse, 'Sec-WebSocket-Protocol: chat', 'Sec-WebSocket-Protocol: chat'],
      'invalid_sec_websocket_protocol',
    ],
    [
      'each extension was offered',
      [...goodResponse, 'Sec-WebSocket-Extensions: x-mine'],
      'unoffered_sec_websocket_extension',
    ],
    [
      'each extension is there once',
      [...goodResponse, 'Sec-WebSocket-Extensions: x-other, x-other'],
      'invalid_sec_websocket_extensions',
    ],
    [
      'extensions are a list',
      [...goodResponse, 'Sec-WebSocket-Extensions: ;'],
      'invalid_sec_websocket_extensions',
    ],
    [
      'their parameters are right',
      [...goodResponse, 'Sec-WebSocket-Extensions: permessage-deflate; x'],
      'invalid_sec_websocket_extensions',
    ],
  ])('%s', (_rule, lines, code) => {
    expect(codeOf(() => parseUpgradeResponse(responseWith(lines), offer))).toBe(code);
  });

  test('WS-34 any other status', () => {
    const head = responseWith(goodResponse, 'HTTP/1.1 200 OK');
    expect(() => parseUpgradeResponse(head, offer)).toThrow(
      expect.objectContaining({ detail: 'websocket_upgrade_response:invalid_status_code:200' }),
    );
  });
});

describe('over HTTP/2', () => {
  const h2Offer: WebSocketOffer = { ...offer, key: undefined };

  test('an extended CONNECT offers the same, without a key', () => {
    const head = connect(['sec-websocket-version', '13', 'sec-websocket-protocol', 'chat']);
    expect(isWebSocketRequest(head)).toBe(true);
    expect(parseConnectOffer(head)).toEqual({ key: undefined, protocols: ['chat'], extensions: [] });
  });

  test.each([
    ['of another protocol', connect(undefined, 'connect-udp'), 'missing_protocol_websocket'],
    ['without a version', connect([]), 'missing_sec_websocket_version'],
    ['of another version', connect(['sec-websocket-version', '8']), 'unsupported_sec_websocket_version'],
    [
      'that is a GET',
      parseH2Request([':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'a.example']),
      'invalid_method',
    ],
  ])('a request %s', (_what, head, code) => {
    expect(codeOf(() => parseConnectOffer(head))).toBe(code);
  });

  test('only CONNECT with this protocol asks for one', () => {
    expect(isWebSocketRequest(connect(undefined, 'connect-udp'))).toBe(false);
  });

  test('a 200 agrees', () => {
    const head = parseH2Response([':status', '200', 'sec-websocket-extensions', 'permessage-deflate']);
    expect(parseConnectAgreement(head, h2Offer)).toMatchObject({ deflate: { serverMaxWindowBits: 15 } });
  });

  test.each([
    ['a status that is no success', [':status', '403'], 'invalid_status_code'],
    [
      'a subprotocol that was not offered',
      [':status', '200', 'sec-websocket-protocol', 'x'],
      'unoffered_sec_websocket_protocol',
    ],
  ])('%s does not', (_what, fields, code) => {
    expect(codeOf(() => parseConnectAgreement(parseH2Response(fields), h2Offer))).toBe(code);
  });
});
