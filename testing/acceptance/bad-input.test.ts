// Bad input, from either side: each kind gets its documented answer and close reason, and the proxy goes on serving.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, dialLoopback, httpsThroughProxy, httpThroughProxy, tlsOver } from '../lab/clients.ts';
import { refusedPort, startHttpsOrigin, startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, type LabProxyOptions, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** The close reason and detail of the connection's own flow, the last one that was closed. */
function lastClose(proxy: LabProxy): { reasonCode: string; reasonDetail: string | undefined } {
  const event = proxy.events.events().at(-1);
  if (event?.kind !== 'stream_closed') throw new Error(`the last event is ${event?.kind}`);
  return { reasonCode: event.reasonCode, reasonDetail: event.reasonDetail };
}

/** After whatever went wrong, an ordinary request still works. */
async function expectStillServing(proxy: LabProxy): Promise<void> {
  await using origin = await startHttpsOrigin({ authority });
  const answer = await httpsThroughProxy({
    ...proxy.forClients,
    url: `${origin.url}/`,
  });
  expect(answer.status).toBe(200);
}

const options = (config: LabProxyOptions['config'] = {}): LabProxyOptions => ({ trusts: authority, config });
const scaled = { timeouts: { headMs: 60, handshakeMs: 60 } };

describe('the first bytes of a client', () => {
  test.each([
    ['garbage', Buffer.from([0, 1, 2, 3, 0xff, 0xfe]), 400, 'invalid_request_line'],
    [
      'a TLS hello on the plain port',
      Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
      400,
      'invalid_request_line',
    ],
    ['a method in lower case', 'connect localhost:443 HTTP/1.1\r\n\r\n', 400, 'method_not_connect'],
    ['no port', 'CONNECT localhost HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'missing_port'],
    ['port 0', 'CONNECT localhost:0 HTTP/1.1\r\nHost: localhost:0\r\n\r\n', 400, 'invalid_port'],
    ['port 65536', 'CONNECT localhost:65536 HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'invalid_port'],
    [
      'a host that is none',
      'CONNECT user@localhost:443 HTTP/1.1\r\nHost: a\r\n\r\n',
      400,
      'invalid_authority',
    ],
    ['1 MiB of header', `CONNECT a.test:443 HTTP/1.1\r\nX: ${'x'.repeat(1 << 20)}`, 431, 'header_too_large'],
  ])('%s', async (_name, bytes, status, code) => {
    await using proxy = await startProxy(options());
    const socket = await dialLoopback(proxy.port);
    const log = new ByteLog(socket);
    socket.on('error', () => {});
    socket.write(bytes);
    await log.until('\r\n\r\n');
    expect(log.received.toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(log.received.toString()).toContain('Connection: close\r\n');
    socket.destroy();
    await proxy.events.waitFor('stream_closed', 5_000);
    expect(lastClose(proxy)).toEqual({ reasonCode: 'connect_parse_failed', reasonDetail: code });
    await expectStillServing(proxy);
    await proxy.finish();
  });

  test('a head that stalls gets 408 at its deadline', async () => {
    await using proxy = await startProxy(options(scaled));
    const socket = await dialLoopback(proxy.port);
    const log = new ByteLog(socket);
    socket.write('CONNECT localhost:443 HT');
    await log.ended();
    expect(log.received.toString()).toMatch(/^HTTP\/1\.1 408 /);
    await proxy.events.waitFor('stream_closed', 5_000);
    expect(lastClose(proxy).reasonCode).toBe('connect_parse_failed');
    socket.destroy();
    await proxy.finish();
  });

  test('a ClientHello that stalls is a handshake that timed out', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy(options(scaled));
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    tunnel.socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]));
    const failed = await proxy.events.waitFor('tls_handshake_failed', 5_000);
    expect(failed).toMatchObject({ peer: 'downstream', tlsFailureReason: 'timeout' });
    await proxy.events.waitFor('stream_closed', 5_000);
    expect(lastClose(proxy).reasonCode).toBe('tls_handshake_failed');
    await proxy.finish();
  });

  test('bytes that begin like TLS and can not be read are refused, never tunnelled', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy(options());
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    tunnel.socket.write(Buffer.from([0x16, 3, 1, 0, 4, 0x7f, 0, 0, 0]));
    await proxy.events.waitFor('stream_closed', 5_000);
    expect(lastClose(proxy).reasonCode).toBe('tls_handshake_failed');
    expect(origin.connections[0]?.received.length ?? 0).toBe(0);
    await proxy.finish();
  });

  test('a client that says nothing is a quiet end, not a parse failure', async () => {
    await using proxy = await startProxy(options());
    const socket = await dialLoopback(proxy.port);
    socket.end();
    await proxy.events.waitFor('stream_closed', 5_000);
    expect(lastClose(proxy).reasonCode).toBe('client_aborted');
    expect(proxy.handle.metrics().decoderFailureCount).toBe(0);
    socket.destroy();
    await proxy.finish();
  });
});

describe('an origin that', () => {
  test('refuses the connection is a 502 to the CONNECT', async () => {
    await using proxy = await startProxy(options());
    await using tunnel = await connectTunnel(proxy.port, `localhost:${await refusedPort()}`);
    expect(tunnel.status).toBe(502);
    await proxy.finish();
    expect(lastClose(proxy).reasonCode).toBe('upstream_connect_failed');
    expect(proxy.handle.metrics().upstreamConnectErrorCount).toBe(1);
  });

  test.each([
    ['ends in the middle of its head', 'HTTP/1.1 200 OK\r\nContent-Le', /without an answer/],
    ['sends a head that is not HTTP', 'HTTP/1.1 2OO OK\r\n\r\n', /not valid HTTP/],
    [
      'sends two lengths that differ',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      /not valid HTTP/,
    ],
    [
      'sends both kinds of framing',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /not valid HTTP/,
    ],
  ])('%s is a 502', async (_name, bytes, sentence) => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end(bytes);
      },
    });
    await using proxy = await startProxy(options());
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `https://${origin.authority}/`,
    });
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).toMatch(sentence);
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({
      kind: 'stream_closed',
      reasonCode: 'mitm_http_error',
    });
    await proxy.finish();
  });

  test('resets the connection in the middle of its head is a 502', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\nContent-Le', () => socket.resetAndDestroy());
      },
    });
    await using proxy = await startProxy(options());
    const answer = await httpThroughProxy({ proxyPort: proxy.port, url: `http://${origin.authority}/` });
    expect([answer.status, answer.body.toString()]).toEqual([
      502,
      'the origin closed the connection without an answer\n',
    ]);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'mitm_http_error' });
  });

  test('ends a body too early gives the client an aborted message, never a complete-looking one', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
      },
    });
    await using proxy = await startProxy(options());
    const url = `https://${origin.authority}/`;
    await expect(httpsThroughProxy({ ...proxy.forClients, url })).rejects.toThrow(
      /aborted|hang up|ECONNRESET/,
    );
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'mitm_http_error' });
  });
});

describe('a request inside TLS that', () => {
  test.each([
    ['has both kinds of framing', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', 400],
    ['has two Host fields', 'Host: other.test\r\n', 400],
    ['has an unknown transfer coding', 'Transfer-Encoding: gzip\r\n', 501],
    ['is larger than a head may be', `X-Large: ${'x'.repeat(70_000)}\r\n`, 431],
  ])('%s is refused, and nothing of it reaches the origin', async (_name, fields, status) => {
    await using origin = await startRawOrigin({ tls: { authority } });
    await using proxy = await startProxy(options());
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const tls = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
    const log = new ByteLog(tls);
    tls.write(`POST / HTTP/1.1\r\nHost: ${origin.authority}\r\n${fields}\r\n`);
    await log.until('\r\n\r\n');
    expect(log.received.toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    tls.destroy();
    await proxy.finish();
    expect(origin.connections.map((connection) => connection.received.length)).toEqual([0]);
    expect(lastClose(proxy).reasonCode).toBe('mitm_http_error');
  });
});
