// Exchanges on one connection, one after the other, each with a flow of its own.
import { connect } from 'node:net';

import type { InterceptHandler } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { flowIdsOf, kindsOf } from '../../../../testing/lab/events.ts';
import { startHttpOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { play } from '../exchange-lab.ts';
import {
  type Client,
  makeGate,
  openClient,
  openTlsClient,
  reasonsOf,
  reset,
  startProxy,
} from '../proxy-lab.ts';

describe('a connection that is kept alive', () => {
  test('gives each exchange a flow with its connection as parent', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    for (let turn = 0; turn < 4; turn += 1) {
      client.send(`GET ${origin.url}/${turn} HTTP/1.1\r\nHost: o\r\n\r\n`);
      await client.receive('ok');
    }
    client.stream.end();
    const events = await proxy.settled();
    expect(new Set(flowIdsOf(events))).toEqual(new Set([1, 2, 3, 4, 5]));
    for (const flowId of [2, 3, 4, 5]) {
      expect(proxy.recorder.ofFlow(flowId)[0]).toMatchObject({ parentFlowId: 1, flowSequenceId: 1 });
    }
    // One upstream connection carried them all.
    expect(new Set(origin.requests.map(({ connectionIndex }) => connectionIndex))).toEqual(new Set([0]));
    expect(proxy.engine.snapshot()).toMatchObject({ requestCount: 4, responseCount: 4, flowCount: 5 });
  });

  const ends: readonly [string, string, string, string][] = [
    ['the client says close', 'HTTP/1.1', 'Connection: close\r\n', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['the client speaks HTTP/1.0', 'HTTP/1.0', '', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['the answer ends with its connection', 'HTTP/1.1', '', 'HTTP/1.1 200 OK\r\n\r\nbody'],
  ];
  test.each(ends)('ends when %s', async (_when, version, fields, answer) => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end(answer);
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ ${version}\r\nHost: o\r\n${fields}\r\n`);
    expect(await client.rest()).toContain('\r\nConnection: close\r\n');
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test("does not end with the origin's connection", async () => {
    const book = await play();
    const get = 'GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n';
    const upstreamGet = 'GET / HTTP/1.1\r\nHost: o\r\n\r\n';
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .expectUpstreamEnd()
      .client(get)
      .expectUpstream(upstreamGet, 1)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n', 1)
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });
});

describe('how an exchange ends its connection', () => {
  const rows: readonly [string, InterceptHandler, string][] = [
    [
      'a block is an ordinary end',
      { onRequest: () => ({ action: 'block', status: 403, body: new Uint8Array() }) },
      'mitm_http_completed',
    ],
    [
      'a handler error is passed up',
      {
        onRequest: () => {
          throw new Error('broken');
        },
      },
      'handler_error',
    ],
  ];
  test.each(rows)('%s', async (_rule, handler, reason) => {
    await using proxy = await startProxy({ handler, config: { handler: { recoverFromPanics: false } } });
    await using client = await openClient(proxy.port);
    client.send('GET http://o/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n');
    await client.log.ended();
    expect(reasonsOf(await proxy.settled()).at(-1)).toBe(reason);
  });

  test('a failure of the origin concerns its exchange alone', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end('nonsense\r\n\r\n');
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 502 /);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('a request that can not be planned has no exchange, and its answer is the last', async () => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send('GET https://o/ HTTP/1.1\r\nHost: o\r\n\r\nGET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n');
    const answer = await client.rest();
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    const events = await proxy.settled();
    expect(kindsOf(events)).toEqual(['stream_closed']);
  });

  test('when the proxy shuts down, after the exchange in progress', async () => {
    const gate = makeGate();
    await using origin = await startHttpOrigin(async (_seen, response) => {
      await gate.opened;
      response.end('done');
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    const get = `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`;
    client.send(get + get);
    await origin.request(0);
    const closing = proxy.server.close(5_000);
    gate.open();
    const answers = await client.rest();
    expect(answers).toContain('Connection: close\r\n');
    expect(answers.match(/done/g)).toHaveLength(1);
    await closing;
    expect(origin.requests).toHaveLength(1);
  });
});

describe('a switch of protocols', () => {
  test('that breaks is relay_error, and resets the other side', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(
      `GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`,
    );
    await client.receive('\r\n\r\n');
    reset(client);
    await origin.connections[0]?.closed();
    expect(origin.connections[0]?.error).toMatchObject({ code: 'ECONNRESET' });
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_error', 'mitm_http_completed']);
  });

  test('gives both connections away and closes its flow when the relay ends', async () => {
    const book = await play();
    const events = await book
      .client('GET http://o/ HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
      .expectUpstream('GET / HTTP/1.1\r\nHost: o\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      .upstream('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      .expectClient('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      .client('a')
      .expectUpstream('a')
      .upstream('bc')
      .expectClient('bc')
      .upstreamEnds()
      .expectClientEnd()
      .clientEnds()
      .expectUpstreamEnd()
      .finish();
    const close = events.find((event) => event.kind === 'stream_closed');
    expect(close).toMatchObject({ reasonCode: 'relay_eof', bytesFromClient: 1, bytesFromServer: 2 });
  });
});

describe('a client that leaves', () => {
  const leavings: readonly [string, string, (client: Client) => void][] = [
    ['before its answer, by FIN', '', (client) => client.stream.end()],
    ['before its answer, by RST', '', reset],
    ['in its answer, by FIN', 'half', (client) => client.stream.end()],
    ['in its answer, by RST', 'half', reset],
  ];
  test.each(leavings)('%s: the origin hears of it within 100 ms', async (_when, sent, leave) => {
    const goneAt: number[] = [];
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        socket.once('end', () => goneAt.push(performance.now()));
        socket.once('error', () => goneAt.push(performance.now()));
        await log.until('\r\n\r\n');
        if (sent !== '') socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n${sent}`);
      },
    });
    await using proxy = await startProxy();
    const delays: number[] = [];
    // The quickest of three: the machine may be busy with something else.
    for (let turn = 0; turn < 3; turn += 1) {
      await using client = await openClient(proxy.port);
      client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
      await expect.poll(() => origin.connections[turn]?.received.length ?? 0).toBeGreaterThan(0);
      if (sent !== '') await client.receive(sent);
      const leftAt = performance.now();
      leave(client);
      await expect.poll(() => goneAt.length).toBe(turn + 1);
      delays.push((goneAt[turn] ?? Infinity) - leftAt);
    }
    expect(Math.min(...delays)).toBeLessThan(100);
    expect(proxy.server.upstreamCount).toBe(0);
  });

  test('while waiting for a connection is passed over, and nothing is sent for it', async () => {
    const gate = makeGate();
    await using origin = await startHttpOrigin(async (_seen, response) => {
      await gate.opened;
      response.end('done');
    });
    await using proxy = await startProxy({ config: { connectionPool: { maxConnectionsPerHost: 1 } } });
    const open = async (path: string): Promise<Client> => {
      const client = await openClient(proxy.port);
      client.send(`GET ${origin.url}/${path} HTTP/1.1\r\nHost: o\r\n\r\n`);
      return client;
    };
    await using first = await open('first');
    await origin.request(0);
    await using leaver = await open('leaver');
    await expect.poll(() => proxy.engine.snapshot().requestCount).toBe(2);
    await using last = await open('last');
    await expect.poll(() => proxy.engine.snapshot().requestCount).toBe(3);
    leaver.stream.end();
    expect(await leaver.rest()).toBe('');
    await expect.poll(() => proxy.engine.snapshot().activeConnections).toBe(2);
    gate.open();
    await first.receive('done');
    await last.receive('done');
    expect(origin.requests.map(({ url }) => url)).toEqual(['/first', '/last']);
  });
});

test('a client that leaves during the TLS handshake of its exchange leaves no trace behind its close', async () => {
  await using authority = await createLabAuthority();
  const gate = makeGate();
  await using tls = await startRawOrigin({
    tls: { authority },
    onConnection: (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok;'));
    },
  });
  // In front of it, so that the second handshake begins when the test says so.
  const waiting = makeGate();
  await using front = await startRawOrigin({
    onConnection: async (socket, index, log) => {
      if (index > 0) {
        waiting.open();
        await gate.opened;
      }
      log.release();
      const behind = connect(tls.port, '127.0.0.1');
      behind.on('error', () => socket.destroy());
      socket.unshift(log.received);
      socket.pipe(behind).pipe(socket);
    },
  });
  await using proxy = await startProxy({ config: { upstream: { caPaths: [await authority.caFile()] } } });
  await using client = await openTlsClient(proxy, front.authority);
  const get = `GET / HTTP/1.1\r\nHost: ${front.authority}\r\n\r\n`;
  client.send(get);
  await client.receive('ok;');
  await expect.poll(() => proxy.server.upstreamCount).toBe(0);
  client.send(get);
  await waiting.opened;
  client.stream.destroy();
  await expect.poll(() => proxy.engine.snapshot().activeFlows).toBe(0);
  gate.open();
  await expect.poll(() => tls.connectionCount).toBe(2);
  await expect.poll(() => proxy.server.upstreamCount).toBe(1);
  expect(reasonsOf(await proxy.settled())).toEqual([
    'mitm_http_completed',
    'client_aborted',
    'client_aborted',
  ]);
});
