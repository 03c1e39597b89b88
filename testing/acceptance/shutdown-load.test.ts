// A proxy that stops while requests come as fast as they can: whatever it has read is answered, whatever was on its way to an idle
// connection too, and when the stop is over nothing is left.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';

import type { InterceptHandler, MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, dialLoopback, tlsOver } from '../lab/clients.ts';
import { hasFullListeners, startFullListener } from '../lab/full-listener.ts';
import { answerOf, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { KeepAliveClient } from '../lab/keep-alive-client.ts';
import { type OriginHandler, startHttpOrigin, startTcpEcho } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { expectNothingLeft, openHandles } from '../lab/resources.ts';
import { openWebSocket, startWebSocketOrigin } from '../lab/websocket-peers.ts';
import { leastRate, type OutsideLoad, rateFrom, startOutsideLoad, warmUpMs } from '../load/load.ts';

const clientCount = 64;
const measuredMs = 1_500;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const echoing: OriginHandler = (seen, response) => {
  const body = `answer to ${seen.url}`;
  response.writeHead(200, { 'content-length': body.length }).end(body);
};

async function expectNothingLost(proxy: LabProxy, load: OutsideLoad): Promise<string> {
  const read: string[] = [];
  proxy.handle.events.on('request_headers', ({ target }) => {
    read.push(new URL(target, 'http://o').pathname);
  });
  const loading = load.run({ proxyPort: proxy.port, proxyCa: proxy.ca.certificatePem, clientCount });
  await pause(warmUpMs);
  const rate = rateFrom(() => read.length);
  await pause(measuredMs);
  const reached = rate();
  const [before, start] = [read.length, performance.now()];
  await proxy.handle.shutdown(10_000);
  const tookMs = performance.now() - start;
  const { answeredCount, failedCount, unanswered } = await loading;
  expect(failedCount).toBe(0);
  expect(read.filter((path) => unanswered.includes(path))).toEqual([]);
  expect(read).toHaveLength(answeredCount);
  const { closedByReason } = proxy.handle.metrics();
  expect(closedByReason.shutdown).toBe(0);
  await proxy.finish();
  expect(reached).toBeGreaterThan(leastRate);
  return `${reached} requests a second, ${read.length - before} read during a stop of ${Math.round(tookMs)} ms, ${unanswered.length} sent to connections that were not accepted any more`;
}

const handlers: readonly [string, InterceptHandler][] = [
  ['no handler', {}],
  [
    'a handler that takes its time',
    { onRequest: () => new Promise((resolve) => setTimeout(() => resolve({ action: 'allow' }), 5)) },
  ],
];

describe.for(handlers)('a stop under load, with %s', ([, handler]) => {
  test('loses no plain request that was read', { timeout: 30_000 }, async ({ annotate }) => {
    await using load = await startOutsideLoad({ lane: 'plain', origins: 'unhurried' });
    await using proxy = await startProxy({ handler });
    await annotate(await expectNothingLost(proxy, load));
  });

  test('loses no intercepted request that was read', { timeout: 30_000 }, async ({ annotate }) => {
    await using load = await startOutsideLoad({ lane: 'tls', origins: 'unhurried' });
    await using proxy = await startProxy({ handler, config: { upstream: { caPaths: [load.caFile] } } });
    await annotate(await expectNothingLost(proxy, load));
  });
});

describe('what the second of grace is for', () => {
  test('a request that reaches an idle connection after the stop began', async () => {
    await using origin = await startHttpOrigin(echoing);
    await using proxy = await startProxy();
    const target = { proxyPort: proxy.port, authority: origin.authority };
    const client = await KeepAliveClient.dialPlain(target);
    expect((await client.ask('/1'))?.body).toBe('answer to /1');
    const stopping = proxy.handle.shutdown();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const answer = await client.ask('/2');
    expect(answer?.body).toBe('answer to /2');
    expect(answer?.head).toMatch(/\r\nconnection: close/i);
    await stopping;
    await client.close();
    await proxy.finish();
  });

  test('the first request of a connection that was accepted just before', async () => {
    await using origin = await startHttpOrigin(echoing);
    await using proxy = await startProxy();
    const target = { proxyPort: proxy.port, authority: origin.authority };
    const client = await KeepAliveClient.dialPlain(target);
    await expect.poll(() => proxy.handle.metrics().activeConnections).toBe(1);
    const stopping = proxy.handle.shutdown();
    expect((await client.ask('/1'))?.body).toBe('answer to /1');
    await stopping;
    await client.close();
    await proxy.finish();
  });

  test('it ends: an idle connection is closed, and the stop is over', async () => {
    await using origin = await startHttpOrigin(echoing);
    await using proxy = await startProxy();
    const client = await KeepAliveClient.dialPlain({ proxyPort: proxy.port, authority: origin.authority });
    await client.ask('/1');
    await proxy.handle.shutdown();
    await expect.poll(() => client.isOpen).toBe(false);
    await client.close();
    await proxy.finish();
  });
});

describe('when a stop is over', () => {
  test('nothing is left, whatever was going on, and every hook has been called', async () => {
    const before = openHandles();
    const hooks: string[] = [];
    {
      await using echo = await startTcpEcho();
      await using sockets = await startWebSocketOrigin({ authority });
      await using streams = await startHttp2Origin({
        authority,
        onStream: (stream) => stream.respond({ ':status': 200 }),
      });
      const config: Partial<MitmConfigInput> = {
        interception: { destinations: ['*:*'], ignoreHosts: ['127.0.0.1'] },
      };
      const proxy = await startProxy({
        trusts: authority,
        config,
        handler: {
          onConnectionOpen: () => void hooks.push('open'),
          onConnectionClose: () =>
            new Promise((resolve) => setTimeout(() => resolve(void hooks.push('close')), 20)),
        },
      });
      await using tunnel = await connectTunnel(proxy.port, `127.0.0.1:${echo.port}`);
      await using webSocket = await openWebSocket(proxy, sockets.authority);
      await using session = await http2ThroughProxy({ ...proxy.forClients, authority: streams.authority });
      const stream = session.request({ ':path': '/endless' });
      await once(stream, 'response');
      const ended = answerOf(stream);
      const silent = await dialLoopback(proxy.port);
      await expect.poll(() => hooks.length).toBe(4);
      const stopped = proxy.handle.shutdown(300);
      await expect(stopped).rejects.toMatchObject({ code: 'ERR_MITM_SHUTDOWN_TIMEOUT' });
      expect(hooks.filter((hook) => hook === 'close')).toHaveLength(4);
      expect(
        streams.openCount + sockets.connections.filter(({ socket }) => socket.readyState === 1).length,
      ).toBe(0);
      expect(await webSocket.closed).toContain('1001');
      await ended;
      await destroyed(silent);
      expect(tunnel.status).toBe(200);
      await proxy[Symbol.asyncDispose]();
    }
    await expectNothingLeft(before);
  });

  test('a client that never ends its connection is not waited for', async () => {
    await using origin = await startHttpOrigin(echoing);
    await using proxy = await startProxy();
    const socket = await dialLoopback(proxy.port);
    socket.allowHalfOpen = true;
    const log = new ByteLog(socket);
    socket.write(`GET ${origin.url}/1 HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`);
    await log.ended();
    const start = performance.now();
    await proxy.handle.shutdown();
    expect(performance.now() - start).toBeLessThan(8_000);
    await destroyed(socket);
  });

  test.skipIf(!hasFullListeners)(
    'connections that are being made are given up (only on Linux do they wait for long)',
    async () => {
      const before = openHandles();
      {
        await using listener = await startFullListener();
        const config: Partial<MitmConfigInput> = { upstream: { connectTimeoutMs: 60_000 } };
        await using proxy = await startProxy({ config });
        const target = `127.0.0.1:${listener.port}`;
        const clients = [await dialLoopback(proxy.port), await dialLoopback(proxy.port)];
        clients[0]?.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
        clients[1]?.write(`GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
        await proxy.events.waitFor('request_headers', 5_000);
        await expect(proxy.handle.shutdown(100)).rejects.toMatchObject({ code: 'ERR_MITM_SHUTDOWN_TIMEOUT' });
        const { activeFlows, closedByReason } = proxy.handle.metrics();
        expect([activeFlows, closedByReason.shutdown]).toEqual([0, 3]);
        for (const client of clients) await destroyed(client);
      }
      await expectNothingLeft(before);
    },
  );

  test('it can be left to `await using`', async () => {
    const before = openHandles();
    {
      await using origin = await startHttp2Origin({ authority });
      await using proxy = await startProxy({ trusts: authority });
      await using handle = proxy.handle;
      const tunnel = await connectTunnel(handle.address.port, origin.authority);
      const ca = proxy.ca.certificatePem;
      const socket = await tlsOver(tunnel.socket, { servername: 'localhost', ca, alpn: ['h2'] });
      const session = connectHttp2(`https://${origin.authority}`, { createConnection: () => socket });
      expect((await answerOf(session.request({ ':path': '/' }))).body.toString()).toBe('ok');
      session.close();
    }
    await expectNothingLeft(before);
  });
});
