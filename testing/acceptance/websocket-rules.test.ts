// What the proxy does not let pass: handshakes that no server may accept or no client may believe, and frames that break a rule. And
// what it must not lose: frames that come with the handshake, and what one side still says after the other has ended.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';

import { block, type StreamChunk } from 'soth-mitm';
import { ProxyAgent, WebSocket as UndiciWebSocket } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, tlsOver } from '../lab/clients.ts';
import { startHttpsOrigin, startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { dialWebSocket, openWebSocket, startWebSocketOrigin } from '../lab/websocket-peers.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const patience = { timeout: 10_000 };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

async function dial(proxy: LabProxy, target: string): Promise<TLSSocket> {
  const tunnel = await connectTunnel(proxy.port, target);
  return tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
}

function ask(target: string, fields: readonly string[] = []): string {
  const lines = fields.length > 0 ? fields : ['Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`];
  return `GET /chat HTTP/1.1\r\nHost: ${target}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function switching(fields: readonly string[] = []): string {
  const lines = ['Upgrade: websocket', 'Connection: Upgrade', ...fields];
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/** A small frame of a client, with the mask 0. */
function masked(first: number, payload = ''): Buffer {
  return Buffer.concat([
    Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]),
    Buffer.from(payload, 'latin1'),
  ]);
}

/** A small frame of a server. */
function bare(first: number, payload = ''): Buffer {
  return Buffer.concat([Buffer.from([first, payload.length]), Buffer.from(payload, 'latin1')]);
}

describe('a handshake that breaks a rule', () => {
  test.each([
    ['WS-04 a key of another shape', ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: short'], 400, ''],
    ['no key', ['Sec-WebSocket-Version: 13'], 400, ''],
    [
      'another version',
      ['Sec-WebSocket-Version: 8', `Sec-WebSocket-Key: ${key}`],
      426,
      'Sec-WebSocket-Version: 13',
    ],
  ])('of a request, %s, is answered and never reaches the origin', async (_rule, fields, status, field) => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    const client = await dial(proxy, origin.authority);
    const log = new ByteLog(client);
    client.write(ask(origin.authority, fields));
    const answer = (await log.until('\r\n\r\n')).toString();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain(field);
    await destroyed(client);
    await proxy.finish();
    expect(origin.connections).toHaveLength(0);
    expect(proxy.events.kinds()).not.toContain('websocket_opened');
  });

  test.each([
    ['without an accept value', []],
    ['with a wrong accept value', ['Sec-WebSocket-Accept: AAAA']],
    [
      'with a subprotocol that nobody asked for',
      [`Sec-WebSocket-Accept: ${accept}`, 'Sec-WebSocket-Protocol: x'],
    ],
    [
      'with an extension that nobody offered',
      [`Sec-WebSocket-Accept: ${accept}`, 'Sec-WebSocket-Extensions: x-zip'],
    ],
  ])('of an answer, %s, is a 502 for the client', async (_rule, fields) => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write(Buffer.concat([Buffer.from(switching(fields)), bare(0x81, 'secret')]));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    const client = await dial(proxy, origin.authority);
    const log = new ByteLog(client);
    client.write(ask(origin.authority));
    await log.until('wrongly');
    expect(log.received.toString()).toMatch(/^HTTP\/1\.1 502 /);
    expect(log.received.toString()).not.toContain('secret');
    await destroyed(client);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'mitm_http_error' });
  });

  test('is none where the origin refuses: its answer goes to the client', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    const client = await dialWebSocket(proxy, origin.authority);
    const [, response] = await once(client.socket, 'unexpected-response');
    expect(response).toMatchObject({ statusCode: 200 });
    client.socket.terminate();
    await proxy.finish();
  });
});

test('a WebSocket that a handler blocks never reaches the origin', async () => {
  await using origin = await startWebSocketOrigin({ authority });
  await using proxy = await startProxy({
    trusts: authority,
    handler: { onRequest: ({ path }) => (path === '/chat' ? block(403, 'no') : { action: 'allow' }) },
  });
  const client = await dialWebSocket(proxy, origin.authority);
  const [, response] = await once(client.socket, 'unexpected-response');
  expect(response).toMatchObject({ statusCode: 403 });
  client.socket.terminate();
  await using other = await openWebSocket(proxy, origin.authority, { path: '/other' });
  other.socket.close(1000);
  await other.closed;
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
  expect(origin.connections).toHaveLength(1);
});

test('a subprotocol is agreed on between the peers, and told', async () => {
  await using origin = await startWebSocketOrigin({ authority, protocols: ['v2.chat', 'v1.chat'] });
  await using proxy = await startProxy({ trusts: authority });
  await using client = await openWebSocket(proxy, origin.authority, { protocols: ['v1.chat', 'v2.chat'] });
  expect([client.socket.protocol, origin.connections[0]?.socket.protocol]).toEqual(['v2.chat', 'v2.chat']);
  client.socket.close(1000);
  await client.closed;
  await proxy.finish();
  const opened = proxy.events.ofFlow(2).find(({ kind }) => kind === 'websocket_opened');
  expect(opened).toMatchObject({ subprotocol: 'v2.chat' });
});

test('the hooks come in order: head, start, messages, end', async () => {
  const lines: string[] = [];
  await using origin = await startWebSocketOrigin({ authority });
  await using proxy = await startProxy({
    trusts: authority,
    handler: {
      onResponse: ({ status, streaming }) => void lines.push(`response ${status} ${streaming}`),
      onWebSocketStart: ({ status, headers }) =>
        void lines.push(`start ${status} ${headers.get('sec-websocket-accept')?.length}`),
      onStreamChunk: ({ frameKind, direction }) => void lines.push(`${frameKind} ${direction}`),
      onStreamEnd: (_connection, flow) => void lines.push(`end ${flow}`),
    },
  });
  await using client = await openWebSocket(proxy, origin.authority);
  client.socket.send('x');
  await expect.poll(() => client.messages.length, patience).toBe(1);
  client.socket.close(1000);
  await client.closed;
  await proxy.finish();
  // The flow of the CONNECT has an order of its own.
  expect(lines).toContain('end 1');
  expect(lines.filter((line) => line !== 'end 1')).toEqual([
    'response 101 true',
    'start 101 28',
    'websocket_text client_to_server',
    'websocket_text server_to_client',
    'websocket_close client_to_server',
    'websocket_close server_to_client',
    'end 2',
  ]);
});

test('frames in the packet of the handshake are not lost, in either direction, nor unseen', async () => {
  const seen: string[] = [];
  const onStreamChunk = ({ direction, payload }: StreamChunk): void =>
    void seen.push(`${direction} ${Buffer.from(payload).toString()}`);
  await using origin = await startRawOrigin({
    tls: { authority },
    onConnection: async (socket, _index, log) => {
      await log.until('\r\n\r\n');
      socket.write(
        Buffer.concat([
          Buffer.from(switching([`Sec-WebSocket-Accept: ${accept}`])),
          bare(0x81, 'early down'),
        ]),
      );
    },
  });
  await using proxy = await startProxy({ trusts: authority, handler: { onStreamChunk } });
  const client = await dial(proxy, origin.authority);
  const log = new ByteLog(client);
  client.write(Buffer.concat([Buffer.from(ask(origin.authority)), masked(0x81, 'early up')]));
  await log.until(bare(0x81, 'early down'));
  await origin.connections[0]?.until(masked(0x81, 'early up'));
  await expect
    .poll(() => seen.toSorted(), patience)
    .toEqual(['client_to_server early up', 'server_to_client early down']);
  await destroyed(client);
});

describe('a frame that breaks a rule', () => {
  test('of the client does not reach the origin: both are told 1002, and why is told', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    const client = await dial(proxy, origin.authority);
    const log = new ByteLog(client);
    client.write(ask(origin.authority));
    await log.until('\r\n\r\n');
    client.write(Buffer.concat([masked(0x81, 'good'), bare(0x81, 'unmasked')]));
    await log.until(Buffer.from([0x88, 2, 0x03, 0xea]));
    expect(await origin.connections[0]?.closed).toBe('1002');
    expect(origin.connections[0]?.messages).toEqual(['good']);
    await destroyed(client);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({
      reasonCode: 'websocket_error',
      reasonDetail: 'websocket_codec:client_frame_unmasked',
    });
  });

  test('of the origin does not reach the client', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, _index, log) => {
        const request = (await log.until('\r\n\r\n')).toString();
        const given = /Sec-WebSocket-Key: (\S+)/i.exec(request)?.[1] ?? '';
        const value = createHash('sha1')
          .update(`${given}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64');
        socket.write(switching([`Sec-WebSocket-Accept: ${value}`]));
        socket.write(Buffer.concat([bare(0x81, 'good'), bare(0x83, 'reserved')]));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    expect(await client.closed).toBe('1002');
    expect(client.messages).toEqual(['good']);
    await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({
      reasonCode: 'websocket_error',
      reasonDetail: 'websocket_codec:reserved_opcode:0x3',
    });
  });
});

describe('other ways in', () => {
  test('without TLS inside a CONNECT, as browsers send ws:', async () => {
    await using origin = await startWebSocketOrigin();
    await using proxy = await startProxy();
    await using client = await openWebSocket(proxy, origin.authority, { isPlain: true });
    client.socket.send('plain');
    await expect.poll(() => client.messages, patience).toEqual(['plain']);
    client.socket.close(1000);
    await client.closed;
    await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ websocket_completed: 1 });
  });

  test('with the WebSocket of undici, which is that of Node', async () => {
    await using origin = await startWebSocketOrigin({ authority, perMessageDeflate: true });
    await using proxy = await startProxy({ trusts: authority });
    const dispatcher = new ProxyAgent({
      uri: `http://127.0.0.1:${proxy.port}`,
      requestTls: { ca: proxy.ca.certificatePem },
    });
    const socket = new UndiciWebSocket(`wss://${origin.authority}/`, { dispatcher });
    const heard: unknown[] = [];
    socket.addEventListener('message', ({ data }) => heard.push(data));
    await once(socket, 'open');
    socket.send('from undici');
    await expect.poll(() => heard, patience).toEqual(['from undici']);
    const closed = once(socket, 'close');
    socket.close(3001, 'enough');
    await closed;
    expect(await origin.connections[0]?.closed).toBe('3001 enough');
    await dispatcher.close();
    await proxy.finish();
  });
});
