// WebSockets over HTTP/2 (RFC 8441) with node:http2 on both ends, and the other kinds of CONNECT, which are not relayed.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  createSecureServer,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';

import { block } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { endHeaders } from '../lab/h2-frames.ts';
import { dialRawPeer } from '../lab/h2-raw-peers.ts';
import { loopbackNames } from '../lab/http-origins.ts';
import {
  answerOf,
  askHttp2,
  type Http2Client,
  http2ThroughProxy,
  startHttp2Origin,
} from '../lab/http2-peers.ts';
import { listen } from '../lab/listening.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { openWebSocket } from '../lab/websocket-peers.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

async function dial(proxy: LabProxy, target: string): Promise<Http2Client> {
  const client = await http2ThroughProxy({ ...proxy.forClients, authority: target });
  await within(once(client, 'remoteSettings'), 5_000, "the proxy's settings");
  return client;
}

/** Answers a WebSocket by an echo, and everything else as usual. */
function echoWebSockets(stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>): void {
  stream.respond({ ':status': 200 });
  if (headers[':method'] === 'CONNECT') stream.pipe(stream);
  else stream.end('ok');
}

function startWebSocketOrigin() {
  return startHttp2Origin({ authority, settings: { enableConnectProtocol: true }, onStream: echoWebSockets });
}

function connectFields(protocol = 'websocket'): Record<string, string> {
  return {
    ':method': 'CONNECT',
    ':protocol': protocol,
    ':scheme': 'https',
    ':path': '/chat',
    'sec-websocket-version': '13',
  };
}

function open(client: ClientHttp2Session, protocol?: string): ClientHttp2Stream {
  return client.request(connectFields(protocol), { endStream: false });
}

/** A text frame of a client (RFC 6455 §5.2). */
function textFrame(text: string): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const payload = Buffer.from(text).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload]);
}

describe('a WebSocket over HTTP/2', () => {
  test('is opened, relayed both ways, and closed, beside other streams', async () => {
    await using origin = await startWebSocketOrigin();
    const seen: string[] = [];
    await using proxy = await startProxy({
      trusts: authority,
      handler: {
        onRequest: ({ method, path }) => {
          seen.push(`${method} ${path}`);
          return { action: 'allow' };
        },
      },
    });
    await using client = await dial(proxy, origin.authority);
    expect(client.remoteSettings.enableConnectProtocol).toBe(true);
    const stream = open(client);
    const answered = answerOf(stream);
    await within(once(stream, 'response'), 5_000, 'the answer');
    for (const text of ['hello', 'again']) {
      const frame = textFrame(text);
      const echoed = within(once(stream, 'data'), 5_000, 'the echo');
      stream.write(frame);
      expect((await echoed)[0]).toEqual(frame);
    }
    expect((await askHttp2(client, { ':path': '/' })).body.toString()).toBe('ok');
    stream.end();
    const answer = await answered;
    expect([answer.headers[':status'], answer.rstCode]).toEqual([200, 0]);
    expect(origin.heads[0]?.slice(0, 4)).toEqual([':method', 'CONNECT', ':protocol', 'websocket']);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(seen).toEqual(['CONNECT /chat', 'GET /']);
  });

  test('that a handler blocks never reaches the origin', async () => {
    await using origin = await startWebSocketOrigin();
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onRequest: () => block(403, 'no') },
    });
    await using client = await dial(proxy, origin.authority);
    const answer = await within(answerOf(open(client)), 3_000, 'the end of the stream');
    expect([answer.headers[':status'], answer.body.toString()]).toEqual([403, 'no']);
    expect(origin.heads).toEqual([]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('that the client resets is reset at the origin', async () => {
    const codes: number[] = [];
    await using origin = await startHttp2Origin({
      authority,
      settings: { enableConnectProtocol: true },
      onStream: (stream) => {
        stream.respond({ ':status': 200 });
        stream.on('close', () => codes.push(stream.rstCode ?? -1));
        stream.resume();
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const stream = open(client);
    stream.on('error', () => {});
    await within(once(stream, 'response'), 5_000, 'the answer');
    stream.close(8);
    await expect.poll(() => codes, { timeout: 5_000 }).toEqual([8]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('is not offered where the origin does not take it', async () => {
    await using origin = await startHttp2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    expect(client.remoteSettings.enableConnectProtocol ?? false).toBe(false);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});

test('with http2Bridge, a WebSocket over HTTP/1.1 goes to an origin of both versions in HTTP/1.1', async () => {
  const { certPem, keyPem } = await authority.issue(loopbackNames);
  const server = createSecureServer({ cert: certPem, key: keyPem, allowHTTP1: true }, (request, response) => {
    response.end(request.httpVersion);
  });
  const webSockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    webSockets.handleUpgrade(request, socket, head, (opened) => {
      opened.on('message', (data: Buffer) => opened.send(`${data.toString()} over ${request.httpVersion}`));
    });
  });
  await using listening = await listen(server);
  await using proxy = await startProxy({ trusts: authority, config: { http2Bridge: true } });
  const target = `localhost:${listening.port}`;
  const answer = await httpsThroughProxy({
    ...proxy.forClients,
    url: `https://${target}/`,
  });
  expect(answer.body.toString()).toBe('2.0');
  await using client = await openWebSocket(proxy, target);
  client.socket.send('hello');
  await expect.poll(() => client.messages, { timeout: 5_000 }).toEqual(['hello over 1.1']);
  client.socket.close(1000);
  expect(await client.closed).toBe('1000');
  await expect.poll(() => proxy.handle.metrics().activeFlows, { timeout: 5_000 }).toBe(0);
  await proxy.finish();
  expect(proxy.handle.metrics().closedByReason).toMatchObject({ websocket_completed: 1 });
});

describe('what is not relayed', () => {
  test('another :protocol, and CONNECT itself, are answered 501', async () => {
    await using origin = await startWebSocketOrigin();
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const other = await within(answerOf(open(client, 'connect-udp')), 3_000, 'the end of the stream');
    expect(other.headers[':status']).toBe(501);
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    const id = peer.ask([':method', 'CONNECT', ':authority', 'elsewhere.test:443']);
    expect((await peer.over(id)).heads[0]?.slice(0, 2)).toEqual([':status', '501']);
    expect(origin.heads).toEqual([]);
    await client[Symbol.asyncDispose]();
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('a WebSocket that an origin of HTTP/1 does not accept is not open for its client', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, config: { http2Bridge: true } });
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    const pseudo = { ...connectFields(), ':authority': origin.authority };
    const list = Object.entries(pseudo).toSorted(([name]) => (name.startsWith(':') ? -1 : 1));
    const seen = await peer.over(peer.ask(list.flat(), endHeaders));
    const status = Number(seen.heads[0]?.[1] ?? 0);
    expect(status >= 200 && status < 300).toBe(false);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });
});
