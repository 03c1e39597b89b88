// A handshake that breaks a rule is refused before it goes on, in either direction; what is no WebSocket is none of its business.
import { Failure, type StreamChunk } from 'mitm-core';
import { acceptOf, type WebSocketOffer } from 'mitm-http';
import type { MitmEvent } from 'mitm-observe';
import { describe, expect, test } from 'vitest';

import { clientFrame, frame } from '../../../../testing/lab/websocket-wire.ts';
import { agreedWebSocket, offeredWebSocket } from '../../src/relay/websocket-handshake.ts';
import { ownAnswer, play } from '../exchange-lab.ts';
import { h2RequestOf, h2ResponseOf, requestOf, responseOf } from '../messages.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const asked = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'];
const connect =
  ':method CONNECT :protocol websocket :scheme https :path / :authority o sec-websocket-version 13'.split(
    ' ',
  );

function request(...fields: readonly string[]) {
  return requestOf('GET /chat HTTP/1.1', 'Host: o', ...fields);
}

describe('a request', () => {
  test('that asks rightly is an offer', () => {
    const head = request(
      ...asked,
      `Sec-WebSocket-Key: ${key}`,
      'Sec-WebSocket-Protocol: chat, superchat',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    );
    expect(offeredWebSocket(head)).toEqual({
      key,
      protocols: ['chat', 'superchat'],
      extensions: [{ name: 'permessage-deflate', parameters: [['client_max_window_bits', undefined]] }],
    });
  });

  test('of HTTP/2 needs no key (RFC 8441 §5)', () => {
    expect(offeredWebSocket(h2RequestOf(connect))).toEqual({ key: undefined, protocols: [], extensions: [] });
  });

  const others: readonly [string, Parameters<typeof offeredWebSocket>[0]][] = [
    ['without Upgrade', request()],
    ['for another protocol', request('Upgrade: SPDY/3.1', 'Connection: Upgrade')],
    [
      'by another method, where Upgrade is what it always is',
      requestOf('POST / HTTP/1.1', 'Host: o', ...asked),
    ],
    ['of HTTP/1.0, which knows no Upgrade', requestOf('GET / HTTP/1.0', 'Host: o', ...asked)],
    [
      'of HTTP/2 that is an ordinary one',
      h2RequestOf([':method', 'GET', ':scheme', 'https', ':path', '/', ':authority', 'o']),
    ],
    ['of HTTP/2 for another protocol', h2RequestOf(connect.with(3, 'connect-udp'))],
  ];
  test.each(others)('%s asks for no WebSocket', (_what, head) => {
    expect(offeredWebSocket(head)).toBeUndefined();
  });

  const keyField = `Sec-WebSocket-Key: ${key}`;
  const wrong: readonly [string, Parameters<typeof offeredWebSocket>[0], number, string][] = [
    ['without a key', request(...asked), 400, 'missing_sec_websocket_key'],
    [
      'WS-04 with a key of another shape',
      request(...asked, 'Sec-WebSocket-Key: short'),
      400,
      'invalid_sec_websocket_key_shape',
    ],
    ['without a version', request(...asked.slice(0, 2), keyField), 400, 'missing_sec_websocket_version'],
    [
      'for another version',
      request(...asked.slice(0, 2), 'Sec-WebSocket-Version: 8', keyField),
      426,
      'unsupported_sec_websocket_version:8',
    ],
    [
      'with extensions that can not be read',
      request(...asked, keyField, 'Sec-WebSocket-Extensions: a;;'),
      400,
      'invalid_sec_websocket_extensions',
    ],
    ['of HTTP/2 without a version', h2RequestOf(connect.slice(0, -2)), 400, 'missing_sec_websocket_version'],
  ];
  test.each(wrong)('%s is refused', (_what, head, status, detail) => {
    const failure = offeredWebSocket(head);
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({
      reason: 'mitm_http_error',
      side: 'client',
      detail: `websocket_upgrade_request:${detail}`,
      reply: { status, headers: status === 426 ? ['Sec-WebSocket-Version', '13'] : [] },
    });
  });
});

describe('an answer', () => {
  const offer: WebSocketOffer = {
    key,
    protocols: ['chat'],
    extensions: [{ name: 'permessage-deflate', parameters: [] }],
  };
  const h2Offer: WebSocketOffer = { ...offer, key: undefined };
  const switching = 'HTTP/1.1 101 Switching Protocols';
  const accepted = ['Upgrade: websocket', 'Connection: Upgrade'];
  const accept = `Sec-WebSocket-Accept: ${acceptOf(key)}`;

  test('that accepts is an agreement', () => {
    const fields = [
      ...accepted,
      accept,
      'Sec-WebSocket-Protocol: chat',
      'Sec-WebSocket-Extensions: permessage-deflate',
    ];
    expect(agreedWebSocket(responseOf(switching, ...fields), offer)).toMatchObject({
      protocol: 'chat',
      deflate: { serverNoContextTakeover: false, clientMaxWindowBits: 15 },
      hasUnknownExtension: false,
    });
    expect(agreedWebSocket(h2ResponseOf(200, ['sec-websocket-protocol', 'chat']), h2Offer)).toMatchObject({
      protocol: 'chat',
      deflate: undefined,
    });
  });

  test.each([
    ['that refuses', responseOf('HTTP/1.1 403 Forbidden'), offer],
    ['that would redirect', responseOf('HTTP/1.1 302 Found', 'Location: /'), offer],
    ['of HTTP/2 that refuses', h2ResponseOf(404, []), h2Offer],
    ['to a request that did not ask', responseOf(switching, ...accepted), undefined],
  ] as const)('%s opens none', (_what, head, asking) => {
    expect(agreedWebSocket(head, asking)).toBeUndefined();
  });

  const wrong: readonly [string, Parameters<typeof agreedWebSocket>[0], WebSocketOffer, string][] = [
    ['with no accept value', responseOf(switching, ...accepted), offer, 'invalid_sec_websocket_accept'],
    [
      'with that of another key',
      responseOf(switching, ...accepted, 'Sec-WebSocket-Accept: AAAA'),
      offer,
      'invalid_sec_websocket_accept',
    ],
    [
      'without Connection',
      responseOf(switching, accepted[0] ?? '', accept),
      offer,
      'missing_connection_upgrade',
    ],
    [
      'with a subprotocol that was not offered',
      responseOf(switching, ...accepted, accept, 'Sec-WebSocket-Protocol: other'),
      offer,
      'unoffered_sec_websocket_protocol',
    ],
    [
      'of HTTP/2 with an extension that was not offered',
      h2ResponseOf(200, ['sec-websocket-extensions', 'x-zip']),
      h2Offer,
      'unoffered_sec_websocket_extension',
    ],
  ];
  test.each(wrong)('%s is a 502, and its reason is told', (_what, head, asking, detail) => {
    const failure = agreedWebSocket(head, asking);
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({
      reason: 'mitm_http_error',
      side: 'upstream',
      detail: `websocket_upgrade_response:${detail}`,
      reply: { status: 502 },
    });
  });
});

function opening(accept: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nConnection: Upgrade\r\n\r\n`;
}

describe('in passing', () => {
  const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`;
  const offered = `${fields}Sec-WebSocket-Key: ${key}\r\n`;
  const ask = `GET http://o/chat HTTP/1.1\r\nHost: o\r\n${offered}\r\n`;
  const forwarded = `GET /chat HTTP/1.1\r\nHost: o\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;
  const forwardedWhole = `${forwarded}Sec-WebSocket-Key: ${key}\r\nConnection: Upgrade\r\n\r\n`;
  const up = clientFrame({ payload: 'early up' }).toString('latin1');
  const down = frame({ payload: 'early down' }).toString('latin1');
  const closeUp = clientFrame({ opcode: 8 }).toString('latin1');
  const closeDown = frame({ opcode: 8 }).toString('latin1');

  test('frames in the packet of the handshake are not lost, in either direction, nor unseen', async () => {
    const seen: string[] = [];
    const onStreamChunk = (chunk: StreamChunk): void =>
      void seen.push(`${chunk.direction} ${Buffer.from(chunk.payload).toString()}`);
    const book = await play({ handler: { onStreamChunk } });
    const events = await book
      .client(ask + up)
      .expectUpstream(forwardedWhole)
      .upstream(opening(acceptOf(key)) + down)
      .expectClient(opening(acceptOf(key)) + down)
      .expectUpstream(up)
      .client(closeUp)
      .expectUpstream(closeUp)
      .upstream(closeDown)
      .expectClient(closeDown)
      .upstreamEnds()
      .expectClientEnd()
      .clientEnds()
      .finish();
    expect(seen.toSorted().slice(0, 4)).toEqual([
      'client_to_server ',
      'client_to_server early up',
      'server_to_client ',
      'server_to_client early down',
    ]);
    expect(reasonsOf(events)).toEqual(['websocket_completed', 'mitm_http_completed']);
    expect(events.filter(({ kind }) => kind === 'websocket_frame')).toHaveLength(4);
  });

  test('a wrong request never reaches the origin, and is answered', async () => {
    const book = await play();
    const text = 'Sec-WebSocket-Key is missing\n';
    const events = await book
      .client(`GET http://o/chat HTTP/1.1\r\nHost: o\r\n${fields}\r\n`)
      .expectClient(ownAnswer('400 Bad Request', text))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)[0]).toBe('mitm_http_error');
    expect(events.map(({ kind }) => kind)).not.toContain('websocket_opened');
  });

  test('a wrong answer never reaches the client, which gets a 502', async () => {
    const book = await play();
    const why = `Sec-WebSocket-Accept is "AAAA", which does not answer the key`;
    const text = `the origin answered a WebSocket handshake wrongly: ${why}\n`;
    const events = await book
      .client(ask)
      .expectUpstream(forwardedWhole)
      .upstream(opening('AAAA') + down)
      .expectClient(ownAnswer('502 Bad Gateway', text))
      .expectUpstreamEnd()
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)[0]).toBe('mitm_http_error');
  });
});

function reasonsOf(events: readonly MitmEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'stream_closed' ? [event.reasonCode] : []));
}
