// A real peer, the WebSocket of Node, against a server made of nothing but the pieces of this folder.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { findHeadEnd, parseRequestHead } from '../../src/head.ts';
import { deflateOf, parseDeflateAgreement } from '../../src/websocket/extension.ts';
import type { WebSocketExtension } from '../../src/websocket/extension.ts';
import { encodeCloseFrame } from '../../src/websocket/frame-encoder.ts';
import { FrameReader } from '../../src/websocket/frame-reader.ts';
import { acceptOf, parseUpgradeRequest } from '../../src/websocket/handshake.ts';
import { MessageReader } from '../../src/websocket/message-reader.ts';
import { Deflater, frame } from './wire.ts';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Opened {
  readonly client: WebSocket;
  readonly socket: Socket;
  /** What the server read, as text with its kind, or as the close code. */
  readonly read: string[];
  /** Compresses what the server says, as agreed. */
  readonly deflater: Deflater | undefined;
}

/** Opens a connection; `extension` is agreed to as it stands. */
async function open(extension?: string): Promise<Opened> {
  const server = createServer();
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, ['chat']);
  client.binaryType = 'arraybuffer';
  const opening = once(client, 'open');
  const [socket]: Socket[] = await once(server, 'connection');
  if (socket === undefined) throw new Error('no connection');
  const read: string[] = [];
  const deflater = await serve(socket, read, extension);
  await opening;
  return { client, socket, read, deflater };
}

async function serve(
  socket: Socket,
  read: string[],
  extension: string | undefined,
): Promise<Deflater | undefined> {
  let bytes = Buffer.alloc(0);
  while (findHeadEnd(bytes, 0) < 0) {
    const [chunk]: Buffer[] = await once(socket, 'data');
    bytes = Buffer.concat([bytes, chunk ?? Buffer.alloc(0)]);
  }
  const offer = parseUpgradeRequest(parseRequestHead(bytes, 0, findHeadEnd(bytes, 0)));
  expect(offer.protocols).toEqual(['chat']);
  expect(offer.extensions.map(({ name }) => name)).toEqual(['permessage-deflate']);
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${acceptOf(offer.key ?? '')}`,
    'Sec-WebSocket-Protocol: chat',
    ...(extension === undefined ? [] : [`Sec-WebSocket-Extensions: ${extension}`]),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const agreement = extension === undefined ? undefined : parseDeflateAgreement(entryOf(extension));
  const reader = new FrameReader({ direction: 'client_to_server', hasDeflate: agreement !== undefined });
  const deflate = agreement && deflateOf(agreement, 'client_to_server');
  const sink = new MessageReader({ maxBytes: 1_000_000, deflate }, (payload, facts) => {
    read.push(
      facts.kind === 'websocket_close'
        ? `${facts.code} ${facts.reason}`
        : `${facts.kind} ${payload.toString()}`,
    );
  });
  socket.on('data', (chunk: Buffer) => reader.push(chunk, sink));
  return agreement && new Deflater(!agreement.serverNoContextTakeover);
}

function entryOf(text: string): WebSocketExtension {
  const [name = '', ...rest] = text.split('; ');
  return { name, parameters: rest.map((parameter) => [parameter, undefined] as const) };
}

async function messageOf(client: WebSocket): Promise<unknown> {
  const [event]: MessageEvent[] = await once(client, 'message');
  return event?.data;
}

describe('the WebSocket of Node', () => {
  test('what it sends is read, and what we close with reaches it', async () => {
    const { client, socket, read } = await open();
    client.send('hello');
    client.send(Buffer.from('x'.repeat(70_000)));
    client.send('');
    await expect.poll(() => read.length).toBe(3);
    expect(read).toEqual([
      'websocket_text hello',
      `websocket_binary ${'x'.repeat(70_000)}`,
      'websocket_text ',
    ]);
    const closing = once(client, 'close');
    socket.write(encodeCloseFrame(1008, 'not here', undefined));
    await expect.poll(() => read.at(-1)).toMatch(/^1008/);
    socket.end();
    const [event]: unknown[] = await closing;
    expect(event).toMatchObject({ code: 1008, reason: 'not here', wasClean: true });
  });

  test('its close frame is read', async () => {
    const { client, socket, read } = await open();
    client.close(3001, 'done');
    await expect.poll(() => read).toEqual(['3001 done']);
    socket.end(encodeCloseFrame(3001, 'done', undefined));
  });

  test.each(['permessage-deflate', 'permessage-deflate; server_no_context_takeover'])(
    '%s: it reads what the peer of these tests compresses',
    async (extension) => {
      const { client, socket, read, deflater } = await open(extension);
      for (const text of ['one and the same', 'one and the same', 'one and the same and more']) {
        const payload = await deflater?.deflate(text);
        const message = messageOf(client);
        socket.write(frame({ rsv: 4, payload: payload ?? '' }));
        expect(await message).toBe(text);
      }
      client.send('plain');
      await expect.poll(() => read).toEqual(['websocket_text plain']);
      socket.destroy();
    },
  );
});
