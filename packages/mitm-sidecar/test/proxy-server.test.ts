// The running proxy: whom it admits, and how it ends.
import { parseConfig } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { startHttpOrigin, startRawOrigin, startTcpEcho } from '../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { ProxyServer } from '../src/proxy-server.ts';
import { makeGate, openClient, reasonsOf, startProxy } from './proxy-lab.ts';
import { createRuntime } from './runtime-fixture.ts';

describe('listening', () => {
  test('has an address from listen to close', async () => {
    const { engine, runtime } = await createRuntime();
    const server = new ProxyServer({ engine, certificates: runtime.certificates });
    expect(server.address).toBeUndefined();
    const address = await server.listen();
    expect(server.address).toEqual(address);
    expect(address).toEqual({ host: '127.0.0.1', port: expect.any(Number) });
    await server.close(1_000);
    expect(server.address).toBeUndefined();
  });

  test('on a port that is taken fails with what to do', async () => {
    await using taken = await startRawOrigin();
    const { port } = taken;
    const { engine, runtime } = await createRuntime({ config: { bind: `127.0.0.1:${port}` } });
    const server = new ProxyServer({ engine, certificates: runtime.certificates });
    await expect(server.listen()).rejects.toMatchObject({
      code: 'ERR_MITM_LISTEN_FAILED',
      message: expect.stringContaining('another program listens there'),
    });
  });

  test('files of the configuration that can not be read are named at once', async () => {
    const { runtime, engine } = await createRuntime();
    await expect(
      createRuntime({ config: { upstream: { caPaths: ['/nowhere/ca.pem'] } } }),
    ).rejects.toMatchObject({
      code: 'ERR_MITM_CA_LOAD_FAILED',
    });
    const server = new ProxyServer({ engine, certificates: runtime.certificates });
    const config = parseConfig({
      interception: { destinations: ['*:*'] },
      upstream: { caPaths: ['/nowhere/ca.pem'] },
    });
    expect(() => server.prepareReload(config)).toThrow('/nowhere/ca.pem');
  });
});

describe('admission', () => {
  test('a connection above maxConcurrentFlows gets 503, and the next one is served when there is room', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: { maxConcurrentFlows: 1 } });
    const get = `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`;
    {
      await using first = await openClient(proxy.port);
      first.send(get);
      await first.receive('ok');
      await using second = await openClient(proxy.port);
      second.send(get);
      const answer = await second.rest();
      expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
      const [head = '', body = ''] = answer.split('\r\n\r\n');
      expect(head).toContain(`Content-Length: ${body.length}`);
      expect(proxy.server.connectionCount).toBe(1);
    }
    await expect.poll(() => proxy.server.connectionCount).toBe(0);
    await using third = await openClient(proxy.port);
    third.send(get);
    expect(await third.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    expect(proxy.engine.snapshot()).toMatchObject({ flowPermitDenialCount: 1, totalConnections: 2 });
  });

  test('a client that is refused is a flow of one event, and no hook hears of it', async () => {
    const hooks: string[] = [];
    const proxy = await startProxy({
      config: { maxConcurrentFlows: 1 },
      handler: {
        onConnectionOpen: () => void hooks.push('open'),
        onStreamEnd: () => void hooks.push('end'),
        onConnectionClose: () => void hooks.push('close'),
      },
    });
    {
      await using first = await openClient(proxy.port);
      await expect.poll(() => proxy.server.connectionCount).toBe(1);
      for (let count = 0; count < 3; count += 1) {
        await using refused = await openClient(proxy.port);
        expect(await refused.rest()).toMatch(/^HTTP\/1\.1 503 /);
      }
      expect(first.log.received).toHaveLength(0);
    }
    await proxy[Symbol.asyncDispose]();
    const closes = proxy.recorder.events();
    expect(closes.map(({ kind }) => kind)).toEqual(Array(4).fill('stream_closed'));
    expect(closes.slice(0, 3)).toMatchObject(
      Array.from({ length: 3 }, () => ({
        reasonCode: 'capacity_denied',
        reasonDetail: 'maxConcurrentFlows is 1',
      })),
    );
    expect(hooks).toEqual(['open', 'end', 'close']);
    const { durations, ...counts } = proxy.engine.snapshot();
    expect(counts).toMatchObject({
      totalConnections: 1,
      flowCount: 4,
      flowPermitDenialCount: 3,
      closedByReason: { capacity_denied: 3, client_aborted: 1 },
    });
    expect(durations.connection.count).toBe(1);
  });

  test('a client that is refused and does not leave is cut', async () => {
    await using proxy = await startProxy({ config: { maxConcurrentFlows: 1 } });
    await using first = await openClient(proxy.port);
    await expect.poll(() => proxy.server.connectionCount).toBe(1);
    await using second = await openClient(proxy.port);
    await second.log.ended();
    second.stream.on('error', () => {});
    await second.log.closed();
    expect(first.log.hasEnded).toBe(false);
  });
});

describe('close', () => {
  test('SK-01 leaves nothing behind', async () => {
    const before = openHandles();
    {
      await using origin = await startHttpOrigin();
      await using proxy = await startProxy();
      for (let turn = 0; turn < 3; turn += 1) {
        await using client = await openClient(proxy.port);
        client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
        await client.receive('ok');
      }
      await proxy.settled();
      expect(proxy.server.upstreamCount).toBe(1);
      await proxy.server.close(1_000);
      expect(proxy.server.upstreamCount).toBe(0);
    }
    await expectNothingLeft(before);
  });

  test('ends idle connections at once, lets an exchange finish, and admits nobody', async () => {
    const gate = makeGate();
    await using origin = await startHttpOrigin(async (seen, response) => {
      if (seen.url === '/slow') await gate.opened;
      response.end('done');
    });
    await using proxy = await startProxy();
    await using idle = await openClient(proxy.port);
    idle.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await idle.receive('done');
    await using busy = await openClient(proxy.port);
    busy.send(`GET ${origin.url}/slow HTTP/1.1\r\nHost: o\r\n\r\n`);
    await origin.request(1);
    const closing = proxy.server.close(5_000);
    expect(proxy.server.close(1)).toBe(closing);
    expect(await idle.rest()).toBe('');
    await expect(openClient(proxy.port)).rejects.toThrow('ECONNREFUSED');
    expect(busy.log.received.length).toBe(0);
    gate.open();
    expect(await busy.rest()).toContain('done');
    await closing;
    expect(new Set(reasonsOf(await proxy.settled()))).toEqual(new Set(['mitm_http_completed']));
  });

  test('a connection that has not asked anything does not hold it up', async () => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    await expect.poll(() => proxy.server.connectionCount).toBe(1);
    await proxy.server.close(5_000);
    expect(await client.rest()).toBe('');
    expect(reasonsOf(await proxy.settled())).toEqual(['shutdown']);
  });

  test('AP-17 at its deadline cuts what is left, says so, and every flow ends with shutdown', async () => {
    await using echo = await startTcpEcho();
    await using silent = await startRawOrigin();
    await using proxy = await startProxy({
      config: { interception: { destinations: ['*:*'], ignoreHosts: ['127.0.0.1'] } },
    });
    await using tunnel = await openClient(proxy.port);
    tunnel.send(`CONNECT 127.0.0.1:${echo.port} HTTP/1.1\r\n\r\nhello`);
    await tunnel.receive('hello');
    await using exchange = await openClient(proxy.port);
    exchange.send(`GET http://${silent.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await expect.poll(() => silent.connections[0]?.received.length).toBeGreaterThan(0);
    await expect(proxy.server.close(30)).rejects.toMatchObject({
      code: 'ERR_MITM_SHUTDOWN_TIMEOUT',
      message: '2 connections were still in use after 30 ms and have been cut',
    });
    await tunnel.log.closed();
    await exchange.log.closed();
    await silent.connections[0]?.ended();
    expect(reasonsOf(await proxy.settled())).toEqual(['shutdown', 'shutdown', 'shutdown']);
    expect(proxy.server.connectionCount).toBe(0);
  });
});

describe('reload', () => {
  test('idle upstream connections made under the old settings are closed, and busy ones not kept', async () => {
    const gate = makeGate();
    await using origin = await startHttpOrigin(async (seen, response) => {
      if (seen.url === '/slow') await gate.opened;
      response.end('done');
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    await using other = await openClient(proxy.port);
    const get = (path: string): string => `GET ${origin.url}${path} HTTP/1.1\r\nHost: o\r\n\r\n`;
    client.send(get('/slow'));
    await origin.request(0);
    other.send(get('/'));
    await other.receive('done');
    const next = parseConfig({
      ...proxy.engine.config,
      upstream: { ...proxy.engine.config.upstream, sniMode: 'disabled' },
    });
    proxy.server.prepareReload(next)([]);
    expect(proxy.server.upstreamCount).toBe(1);
    gate.open();
    await client.receive('done');
    await expect.poll(() => proxy.server.upstreamCount).toBe(0);
    client.send(get('/'));
    await client.receive('done');
    expect(origin.requests.map(({ connectionIndex }) => connectionIndex)).toEqual([0, 1, 2]);
  });
});
