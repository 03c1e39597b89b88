// What a client is told of an answer that is broken, late or cut short, and of connections between two exchanges.
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { startHttpsOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import {
  createExchangeLab,
  get,
  noContent,
  ownAnswer,
  play,
  playUsed,
  upstreamGet,
} from '../exchange-lab.ts';
import { detailsOf, openClient, openTlsClient, reasonsOf, startProxy } from '../proxy-lab.ts';

describe('what the client is told', () => {
  test.each([
    ['a malformed head', 'HTTP/1.1 abc\r\n\r\n', 'the origin sent an answer that is not valid HTTP\n'],
    [
      'an oversized head',
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
      'the origin sent an answer that is not valid HTTP\n',
    ],
  ])('%s is 502, and the connection goes on', async (_what, bytes, text) => {
    const book = await play();
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(bytes)
      .expectClient(ownAnswer('502 Bad Gateway', text))
      .client(get)
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_error', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('a reset in a head is 502', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        await new Promise<void>((resolve) => {
          socket.write('HTTP/1.1 200', () => resolve());
        });
        socket.resetAndDestroy();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('\n\r\n')).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('H1-16 no answer within upstream.timeoutMs is 504', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({ config: { upstream: { timeoutMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('in time\n')).toMatch(/^HTTP\/1\.1 504 /);
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['stream_stage_timeout', 'mitm_http_completed']);
    expect(detailsOf(events)[0]).toBe('stream_stage_timeout:http1_response_head:60ms');
  });

  test('the time for an answer begins when the request has been sent', async () => {
    await using silent = await startRawOrigin();
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('whole body');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      },
    });
    await using proxy = await startProxy({ config: { upstream: { timeoutMs: 40 } } });
    await using client = await openClient(proxy.port);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 10\r\n\r\n`);
    await proxy.recorder.waitFor('request_headers', 5_000);
    // A request that was sent later runs out of time; this one is still waiting for its client.
    await using other = await openClient(proxy.port);
    other.send(`GET http://${silent.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await other.receive('in time\n')).toMatch(/^HTTP\/1\.1 504 /);
    client.send('whole body');
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
  });

  const cuts: readonly [string, string][] = [
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ];
  test.each(cuts)('%s that the origin cuts short reaches the client as a reset', async (_framing, bytes) => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end(bytes);
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.log.closed();
    expect(client.log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(client.log.received.toString()).not.toContain('0\r\n\r\n');
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('a body that ends with its connection is cut short by a reset of that', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\n\r\nhalf');
        await log.until('go on');
        socket.resetAndDestroy();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\n`);
    await client.receive('half');
    client.send('go on');
    await client.log.closed();
    expect(client.log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('inside TLS a cut answer comes without close_notify', async () => {
    await using lab = await createLabAuthority();
    await using origin = await startHttpsOrigin({
      authority: lab,
      handler: (_seen, response) => {
        response.writeHead(200, { 'Content-Length': 9 });
        response.write('half', () => response.destroy());
      },
    });
    await using proxy = await startProxy({ config: { upstream: { caPaths: [await lab.caFile()] } } });
    await using client = await openTlsClient(proxy, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await client.log.closed();
    expect(client.log.received.toString()).toMatch(/\r\n\r\n(?:half)?$/);
    expect(reasonsOf(await proxy.settled())).toContain('mitm_http_error');
  });
});

describe('a connection between two exchanges', () => {
  test('is used again, in the order of use', async () => {
    const book = await playUsed();
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('ends when a byte arrives that nobody asked for', async () => {
    const lab = await createExchangeLab();
    const events = await lab
      .play()
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
      .expectUpstreamEnd()
      .client(get)
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });
});
