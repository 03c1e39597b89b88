// WebSockets of real peers through the proxy: messages arrive whole and unchanged, the handler sees them decompressed with their
// direction, and each end is seen on the other side as it was meant.
import { randomBytes } from 'node:crypto';

import type { InterceptHandler, StreamChunk } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { openWebSocket, startWebSocketOrigin, type WebSocketClient } from '../lab/websocket-peers.ts';

const mebibyte = 1024 * 1024;
const patience = { timeout: 10_000 };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** A handler that keeps the chunks of each direction. */
function watcher() {
  const chunks: StreamChunk[] = [];
  const handler: InterceptHandler = { onStreamChunk: (chunk) => void chunks.push(chunk) };
  const of = (direction: StreamChunk['direction']): string[] =>
    chunks
      .filter((chunk) => chunk.direction === direction && chunk.frameKind !== 'websocket_close')
      .map(({ frameKind, payload }) => `${frameKind} ${Buffer.from(payload).toString('latin1')}`);
  return { chunks, handler, of };
}

async function finish(
  proxy: LabProxy,
  client: WebSocketClient,
  reason = 'websocket_completed',
): Promise<void> {
  await client.closed;
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
  const closes = proxy.events.ofFlow(2).filter(({ kind }) => kind === 'stream_closed');
  expect(closes).toMatchObject([{ reasonCode: reason, context: { protocol: 'websocket' } }]);
}

describe('messages', () => {
  test('WS-01 of text and bytes are echoed unchanged; the handler and the events tell of all of them', async () => {
    const seen = watcher();
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await openWebSocket(proxy, origin.authority);
    const bytes = randomBytes(70_000);
    const sent = ['héllo', '', bytes, 'last'];
    for (const message of sent) client.socket.send(message);
    await expect.poll(() => client.messages.length, patience).toBe(sent.length);
    expect(client.messages).toEqual(sent);
    client.socket.close(1000, 'done');
    await finish(proxy, client);
    const expected = sent.map((message) =>
      typeof message === 'string'
        ? `websocket_text ${Buffer.from(message).toString('latin1')}`
        : `websocket_binary ${message.toString('latin1')}`,
    );
    expect([seen.of('client_to_server'), seen.of('server_to_client')]).toEqual([expected, expected]);
    expect(seen.chunks.map(({ sequence }) => sequence)).toEqual(seen.chunks.map((_chunk, index) => index));
    const kinds = proxy.events.ofFlow(2).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'websocket_frame')).toHaveLength(2 * sent.length + 2);
    expect(kinds.filter((kind) => kind === 'websocket_opened')).toHaveLength(1);
    const turns = proxy.events.ofFlow(2).filter(({ kind }) => kind === 'websocket_turn_completed');
    expect(turns.at(-1)).toMatchObject({ flushReason: 'close_frame', initiatedBy: 'client_to_server' });
  });

  test('WS-02 may begin with the origin', async () => {
    await using origin = await startWebSocketOrigin({
      authority,
      onConnection: (socket) => socket.send('welcome'),
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    await expect.poll(() => client.messages, patience).toEqual(['welcome']);
    client.socket.close(1000);
    await finish(proxy, client);
    const started = proxy.events.ofFlow(2).filter(({ kind }) => kind === 'websocket_turn_started');
    expect(started).toMatchObject([{ initiatedBy: 'server_to_client' }]);
  });

  test('of 16 MiB pass both ways; the handler is shown the beginning, and how long it was', async () => {
    const seen = watcher();
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await openWebSocket(proxy, origin.authority);
    const message = Buffer.alloc(16 * mebibyte, randomBytes(1_021));
    client.socket.send(message);
    await expect.poll(() => client.messages.length, patience).toBe(1);
    expect(message.equals(Buffer.from(client.messages[0] ?? ''))).toBe(true);
    client.socket.close(1000);
    await finish(proxy, client);
    const [up] = seen.chunks;
    const { maxDecoderBytes } = proxy.handle.currentConfig().body;
    expect(up?.payload.length).toBe(maxDecoderBytes);
    expect(up?.facts).toMatchObject({ issue: 'too_large', messageBytes: message.length });
  });

  test('in fragments, with pings among them, are one for the handler and as many frames as they were', async () => {
    const seen = watcher();
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await openWebSocket(proxy, origin.authority);
    for (const part of ['one ', 'two ', 'three']) {
      client.socket.send(part, { fin: part === 'three' });
      client.socket.ping(part);
    }
    await expect.poll(() => client.messages, patience).toEqual(['one two three']);
    await expect.poll(() => client.pongs, patience).toEqual(['one ', 'two ', 'three']);
    client.socket.close(1000);
    await finish(proxy, client);
    expect(seen.of('client_to_server')).toEqual(['websocket_text one two three']);
    const frames = proxy.events.ofFlow(2).filter((event) => event.kind === 'websocket_frame');
    const up = frames.filter(
      (event) => event.kind === 'websocket_frame' && event.direction === 'client_to_server',
    );
    expect(
      up.map((event) => (event.kind === 'websocket_frame' ? `${event.opcodeLabel} ${event.fin}` : '')),
    ).toEqual([
      'text false',
      'ping true',
      'continuation false',
      'ping true',
      'continuation true',
      'ping true',
      'close true',
    ]);
  });
});

describe('permessage-deflate', () => {
  test.each([
    ['with context takeover', {}],
    ['without it', { serverNoContextTakeover: true, clientNoContextTakeover: true }],
    ['with small windows', { serverMaxWindowBits: 9, clientMaxWindowBits: 10 }],
  ])('%s stays between the peers, and the handler reads what they say', async (_how, agreed) => {
    const seen = watcher();
    const perMessageDeflate = { threshold: 0, ...agreed };
    await using origin = await startWebSocketOrigin({ authority, perMessageDeflate });
    await using proxy = await startProxy({ trusts: authority, handler: seen.handler });
    await using client = await openWebSocket(proxy, origin.authority, { perMessageDeflate });
    expect(client.socket.extensions).toContain('permessage-deflate');
    const text = 'the same thing, '.repeat(500);
    for (let count = 0; count < 5; count += 1) client.socket.send(`${count} ${text}`);
    await expect.poll(() => client.messages.length, patience).toBe(5);
    client.socket.close(1000);
    await finish(proxy, client);
    const expected = Array.from({ length: 5 }, (_, count) => `websocket_text ${count} ${text}`);
    expect([seen.of('client_to_server'), seen.of('server_to_client')]).toEqual([expected, expected]);
    const [first] = seen.chunks;
    expect(first?.facts).toMatchObject({
      isCompressed: true,
      messageBytes: text.length + 2,
      issue: undefined,
    });
    const closed = proxy.events.ofFlow(2).find((event) => event.kind === 'websocket_closed');
    expect(closed?.kind === 'websocket_closed' && closed.bytesFromClient).toBeLessThan(5_000);
  });

  test('that only one side wants is not used', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority, { perMessageDeflate: true });
    client.socket.send('plain');
    await expect.poll(() => client.messages, patience).toEqual(['plain']);
    expect(client.socket.extensions).toBe('');
    client.socket.close(1000);
    await finish(proxy, client);
  });
});

describe('the end', () => {
  const codes = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
  ];

  test('by a close frame has its code and reason on the other side, whichever it is and whoever began', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    for (const code of codes) {
      await using byClient = await openWebSocket(proxy, origin.authority);
      byClient.socket.close(code, `reason ${code}`);
      await expect.poll(() => origin.connections.length, patience).toBeGreaterThan(0);
      expect(await origin.connections.at(-1)?.closed).toBe(`${code} reason ${code}`);
      expect(await byClient.closed).toBe(`${code} reason ${code}`);
      await using byOrigin = await openWebSocket(proxy, origin.authority);
      origin.connections.at(-1)?.socket.close(code, `why ${code}`);
      expect(await byOrigin.closed).toBe(`${code} why ${code}`);
    }
    await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ websocket_completed: 2 * codes.length });
  });

  test('by an empty close frame is 1005 for both', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    client.socket.close();
    expect([await client.closed, await origin.connections[0]?.closed]).toEqual(['1005', '1005']);
    await finish(proxy, client);
  });

  test('of a client that is lost is 1006 for the origin', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    client.socket.send('x');
    await expect.poll(() => client.messages.length, patience).toBe(1);
    client.socket.terminate();
    expect(await origin.connections[0]?.closed).toBe('1006');
    await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
    await proxy.finish();
  });

  test('of an origin that is lost is 1006 for the client', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    origin.connections[0]?.socket.terminate();
    expect(await client.closed).toBe('1006');
    await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
    await proxy.finish();
  });

  test('by silence for timeouts.tunnelIdleMs is 1001 for both', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, config: { timeouts: { tunnelIdleMs: 400 } } });
    await using client = await openWebSocket(proxy, origin.authority);
    expect([await client.closed, await origin.connections[0]?.closed]).toEqual(['1001', '1001']);
    await finish(proxy, client, 'idle_watchdog_timeout');
  });

  test('WS-10 does not come where a ping passes now and then', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      config: { timeouts: { tunnelIdleMs: 1_000 } },
    });
    await using client = await openWebSocket(proxy, origin.authority);
    for (let count = 0; count < 5; count += 1) {
      client.socket.ping(String(count));
      await expect.poll(() => client.pongs.length, patience).toBe(count + 1);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    client.socket.close(1000);
    await finish(proxy, client);
  });

  // A shutdown waits for WebSockets and then cuts them.
  test('of the proxy is 1001 for both', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await openWebSocket(proxy, origin.authority);
    await proxy.finish();
    expect([await client.closed, await origin.connections[0]?.closed]).toEqual(['1001', '1001']);
  });
});
