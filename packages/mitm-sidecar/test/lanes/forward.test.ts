// Plain proxy requests: each is judged and routed by the host that it names, one exchange at a time.
import type { InterceptHandler } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { httpThroughProxy } from '../../../../testing/lab/clients.ts';
import { kindsOf } from '../../../../testing/lab/events.ts';
import { refusedPort, startHttpOrigin } from '../../../../testing/lab/origins.ts';
import { play } from '../exchange-lab.ts';
import { detailsOf, makeGate, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';

const noContent = 'HTTP/1.1 204 No Content\r\n\r\n';

describe('the request that goes on', () => {
  const rows: readonly [string, string, string][] = [
    [
      'H1-06 absolute form becomes origin form, and its authority replaces a Host that differs',
      'GET http://o:8080/p?q=1 HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n',
      'GET /p?q=1 HTTP/1.1\r\nHost: o:8080\r\nAccept: */*\r\n\r\n',
    ],
    [
      'origin form goes where its Host says',
      'GET /p HTTP/1.1\r\nHost: o\r\n\r\n',
      'GET /p HTTP/1.1\r\nHost: o\r\n\r\n',
    ],
    [
      'a default port is left out',
      'GET http://o:80 HTTP/1.1\r\nHost: o\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: o\r\n\r\n',
    ],
    [
      'OPTIONS for the whole server',
      'OPTIONS http://o HTTP/1.1\r\nHost: o\r\n\r\n',
      'OPTIONS * HTTP/1.1\r\nHost: o\r\n\r\n',
    ],
    [
      'H1-07 an HTTP/1.0 request is sent on as HTTP/1.1',
      'GET http://o/ HTTP/1.0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: o\r\n\r\n',
    ],
    [
      'H1-14 what concerns the client connection stays here, and credentials for us too',
      'GET http://o/ HTTP/1.1\r\nHost: o\r\nUser-Agent: u\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: trailers\r\nX-End: 2\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: o\r\nUser-Agent: u\r\nX-End: 2\r\n\r\n',
    ],
  ];
  test.each(rows)('%s', async (_rule, sent, expected) => {
    const book = await play();
    const isOld = sent.includes('HTTP/1.0');
    const events = await book
      .client(sent)
      .expectUpstream(expected)
      .upstream(noContent)
      .expectClient(isOld ? 'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n' : noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  describe('to an origin whose answers are repaired by name', () => {
    const rule = {
      ruleId: 'old',
      hostPattern: 'o',
      responseLeniency: ['bare_lf', 'space_before_colon'],
    } as const;
    const faulty = 'HTTP/1.1 200 OK\nX-A : 1\nContent-Length: 2\n\nok';

    test('gets its answer repaired, wherever it is cut', async () => {
      const book = await play({ config: { compatibilityOverrides: [rule] } });
      const events = await book
        .client('GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n')
        .expectUpstream('GET / HTTP/1.1\r\nHost: o\r\n\r\n')
        .upstream(faulty.slice(0, 20))
        .upstream(faulty.slice(20))
        .expectClient('HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok')
        .clientEnds()
        .expectClientEnd()
        .finish();
      expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
    });

    test('and to any other origin is a 502', async () => {
      const book = await play({ config: { compatibilityOverrides: [{ ...rule, hostPattern: 'another' }] } });
      const events = await book
        .client('GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n')
        .expectUpstream('GET / HTTP/1.1\r\nHost: o\r\n\r\n')
        .upstream('HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n')
        .expectClient(
          'HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 49\r\n\r\nthe origin sent an answer that is not valid HTTP\n',
        )
        .clientEnds()
        .expectClientEnd()
        .finish();
      expect(reasonsOf(events)).toContain('mitm_http_error');
    });
  });

  describe('to an origin that must speak HTTP/1.1', () => {
    const config = {
      compatibilityOverrides: [{ ruleId: 'strict', hostPattern: 'o', strictHeaderMode: true }],
    };

    test('is refused in HTTP/1.0', async () => {
      const book = await play({ config });
      const events = await book
        .client('GET http://o/ HTTP/1.0\r\n\r\n')
        .expectClient(
          'HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 61\r\nConnection: close\r\n\r\nstrict_header_mode takes HTTP/1.1 only, and this is HTTP/1.0\n',
        )
        .expectClientEnd()
        .finish();
      expect(detailsOf(events).join()).toContain('http_1_0_refused');
    });

    test('H2-21 has its answer in HTTP/1.0 refused', async () => {
      const book = await play({ config });
      const events = await book
        .client('GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n')
        .expectUpstream('GET / HTTP/1.1\r\nHost: o\r\n\r\n')
        .upstream('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n')
        .expectClient(
          'HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 49\r\n\r\nthe origin sent an answer that is not valid HTTP\n',
        )
        .clientEnds()
        .expectClientEnd()
        .finish();
      expect(detailsOf(events).join()).toContain('strict_header_mode');
    });
  });

  test('with a name for Via, both messages say which way they came, and in which version', async () => {
    const book = await play({ config: { via: 'edge-1' } });
    const events = await book
      .client('GET http://o/ HTTP/1.0\r\nVia: 1.1 before\r\n\r\n')
      .expectUpstream('GET / HTTP/1.1\r\nHost: o\r\nVia: 1.1 before\r\nVia: 1.0 edge-1\r\n\r\n')
      .upstream('HTTP/1.1 204 No Content\r\n\r\n')
      .expectClient('HTTP/1.1 204 No Content\r\nVia: 1.1 edge-1\r\nConnection: close\r\n\r\n')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('a limit on how far it travels is one less on the next hop', async () => {
    const book = await play();
    const events = await book
      .client('OPTIONS http://o/ HTTP/1.1\r\nHost: o\r\nMax-Forwards: 3\r\nA: 1\r\n\r\n')
      .expectUpstream('OPTIONS / HTTP/1.1\r\nHost: o\r\nMax-Forwards: 2\r\nA: 1\r\n\r\n')
      .upstream(noContent)
      .expectClient(noContent)
      .client('TRACE http://o/ HTTP/1.1\r\nHost: o\r\nMax-Forwards: 0\r\n\r\n')
      .expectClient(
        'HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: 54\r\n\r\nTRACE http://o/ HTTP/1.1\r\nHost: o\r\nMax-Forwards: 0\r\n\r\n',
      )
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(detailsOf(events)).toContain('max_forwards');
  });

  test('the events name the origin, and the flow of the request its parent', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    const answer = await httpThroughProxy({ proxyPort: proxy.port, url: `${origin.url}/x` });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
    const events = await proxy.settled();
    expect(kindsOf(events, 1)).toEqual(['stream_closed']);
    expect(kindsOf(events, 2)).toEqual([
      'connect_received',
      'connect_decision',
      'request_headers',
      'response_headers',
      'response_body_chunk',
      'stream_closed',
    ]);
    const [first] = proxy.recorder.ofFlow(2);
    expect(first).toMatchObject({
      parentFlowId: 1,
      context: { serverHost: 'localhost', serverPort: origin.port, protocol: 'http1' },
    });
    expect(events.find(({ kind }) => kind === 'request_headers')).toMatchObject({
      scheme: 'http',
      authority: origin.authority,
    });
  });
});

describe('a request that can not be forwarded', () => {
  const rows: readonly [string, string, string][] = [
    ['SG-01 for an https URL', 'GET https://o/ HTTP/1.1\r\nHost: o\r\n\r\n', 'https needs CONNECT'],
    ['that names no host', 'GET / HTTP/1.0\r\n\r\n', 'the request names no host'],
    ['of another scheme', 'GET ftp://o/ HTTP/1.1\r\nHost: o\r\n\r\n', 'scheme "ftp"'],
    ['with user information', 'GET http://u:p@o/ HTTP/1.1\r\nHost: o\r\n\r\n', 'request target'],
    ['with port 0', 'GET http://o:0/ HTTP/1.1\r\nHost: o\r\n\r\n', 'request target'],
  ];
  test.each(rows)('%s is 400, and nothing is dialled', async (_what, sent, text) => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(sent);
    const answer = await client.rest();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain(text);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error']);
    expect(kindsOf(proxy.recorder.events())).toEqual(['stream_closed']);
    expect(proxy.server.upstreamCount).toBe(0);
  });

  test('CONNECT is possible only as the first request', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 /);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'mitm_http_error']);
  });

  test('SG-03 for the proxy itself is 508, in either form', async () => {
    await using proxy = await startProxy();
    for (const target of ['/', `http://localhost:${proxy.port}/`]) {
      await using client = await openClient(proxy.port);
      client.send(`GET ${target} HTTP/1.1\r\nHost: localhost:${proxy.port}\r\nConnection: close\r\n\r\n`);
      expect(await client.rest()).toMatch(/^HTTP\/1\.1 508 /);
    }
    const events = await proxy.settled();
    expect(reasonsOf(events).filter((reason) => reason === 'route_planner_failed')).toHaveLength(2);
  });

  test('H1-15 for an origin that refuses is 502, and the connection goes on', async () => {
    const port = await refusedPort();
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://localhost:${port}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('refused\n')).toMatch(/^HTTP\/1\.1 502 /);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual([
      'upstream_connect_failed',
      'mitm_http_completed',
      'mitm_http_completed',
    ]);
  });
});

describe('a request that has to wait for a connection', () => {
  test('H1-16 is 504 when none becomes free in time, and is sent when one does', async () => {
    const gate = makeGate();
    await using origin = await startHttpOrigin(async (_seen, response) => {
      await gate.opened;
      response.end('done');
    });
    await using proxy = await startProxy({
      config: { connectionPool: { maxConnectionsPerHost: 1 }, upstream: { connectTimeoutMs: 100 } },
    });
    const get = `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`;
    await using first = await openClient(proxy.port);
    first.send(get);
    await origin.request(0);
    await using late = await openClient(proxy.port);
    late.send(get);
    expect(await late.receive('in use\n')).toMatch(/^HTTP\/1\.1 504 Gateway Timeout\r\n/);
    await using patient = await openClient(proxy.port);
    patient.send(get);
    await expect.poll(() => proxy.engine.snapshot().requestCount).toBe(3);
    gate.open();
    await first.receive('done');
    await patient.receive('done');
    expect(origin.connectionCount).toBe(1);
  });
});

describe('each request of one connection', () => {
  test('is judged and routed by its own host, and a refusal ends nothing', async () => {
    await using first = await startHttpOrigin();
    await using second = await startHttpOrigin();
    await using proxy = await startProxy({
      config: { interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] } },
    });
    await using client = await openClient(proxy.port);
    const ask = async (url: string, until: string): Promise<string> => {
      client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`);
      return client.receive(until);
    };
    await ask(`${first.url}/1`, 'ok');
    await ask(`${second.url}/2`, 'ok');
    expect(await ask('http://blocked.example/3', 'blocked_host\n')).toMatch(/^HTTP\/1\.1 403 /);
    await ask(`http://127.0.0.1:${first.port}/4`, 'ok');
    client.stream.end();
    expect([first, second].map(({ requests }) => requests.map(({ url }) => url))).toEqual([
      ['/1', '/4'],
      ['/2'],
    ]);
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual([
      'mitm_http_completed',
      'mitm_http_completed',
      'blocked',
      'mitm_http_completed',
      'mitm_http_completed',
    ]);
    expect(detailsOf(events)[2]).toBe('blocked_host');
    expect(kindsOf(events).filter((kind) => kind === 'connect_decision')).toHaveLength(4);
  });

  test('is relayed unseen where policy says tunnel, and rewritten all the same', async () => {
    const seen: string[] = [];
    const handler: InterceptHandler = {
      onRequest: () => {
        seen.push('request');
        return { action: 'block', status: 403, body: new Uint8Array() };
      },
      onResponse: () => {
        seen.push('response');
      },
      onStreamEnd: (_connection, flow) => {
        seen.push(`end ${flow}`);
      },
    };
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      handler,
      config: { interception: { destinations: ['*:*'], ignoreHosts: ['localhost'] } },
    });
    const answer = await httpThroughProxy({
      proxyPort: proxy.port,
      url: `${origin.url}/x`,
      method: 'POST',
      headers: ['Proxy-Authorization', 'Basic x'],
      body: 'hello',
    });
    expect(answer.status).toBe(200);
    expect((await origin.request(0)).rawHeaders).not.toContain('Proxy-Authorization');
    const events = await proxy.settled();
    expect(kindsOf(events, 2)).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
    expect(proxy.recorder.ofFlow(2).at(-1)).toMatchObject({ bytesFromClient: 5, bytesFromServer: 2 });
    expect(seen).toEqual(['end 2', 'end 1']);
  });
});

describe('reverse mode', () => {
  test('sends everything to its origin, whatever host is named, or none', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      config: { routeMode: 'reverse', reverseUpstream: { host: '127.0.0.1', port: origin.port } },
    });
    await using client = await openClient(proxy.port);
    client.send('GET /named HTTP/1.1\r\nHost: api.example\r\n\r\n');
    await client.receive('ok');
    client.send(`GET /own HTTP/1.1\r\nHost: localhost:${proxy.port}\r\n\r\n`);
    await client.receive('ok');
    client.send('GET /none HTTP/1.0\r\n\r\n');
    await client.receive('ok');
    expect(origin.requests.map(({ url }) => url)).toEqual(['/named', '/own', '/none']);
    expect(origin.requests[0]?.rawHeaders).toEqual(['Host', 'api.example']);
    // HTTP/1.1, which goes on, needs a Host.
    expect(origin.requests[2]?.rawHeaders).toEqual(['Host', `127.0.0.1:${origin.port}`]);
    await client.rest();
    const [named] = (await proxy.settled()).filter(({ kind }) => kind === 'request_headers');
    expect(named).toMatchObject({ authority: 'api.example', context: { serverHost: 'api.example' } });
  });
});
