// HTTP/2 on both sides, between peers of node's own: what passes, what handlers and events see of it, and where it is not spoken.
import type { ServerHttp2Stream } from 'node:http2';

import { block, type InterceptHandler, type RawRequest, type RawResponse } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, httpsThroughProxy, tlsOver } from '../lab/clients.ts';
import { kindsOf } from '../lab/events.ts';
import { frame, frameTypes, endHeaders, endStream } from '../lab/h2-frames.ts';
import { dialRawPeer, getFields } from '../lab/h2-raw-peers.ts';
import {
  askHttp2,
  type Http2Client,
  http2Over,
  http2ThroughProxy,
  startHttp2Origin,
} from '../lab/http2-peers.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

function dial(proxy: LabProxy, target: string): Promise<Http2Client> {
  return http2ThroughProxy({ ...proxy.forClients, authority: target });
}

/** Answers with what it read. */
async function echo(stream: ServerHttp2Stream): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
  stream.end(Buffer.concat(pieces));
}

describe('an exchange in HTTP/2', () => {
  test('H2-01 passes with its body, and every event of it says http2', async () => {
    await using origin = await startHttp2Origin({ authority, onStream: (stream) => void echo(stream) });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':method': 'POST', ':path': '/echo?q=1' }, 'a body');
    expect([answer.headers[':status'], answer.body.toString(), answer.rstCode]).toEqual([200, 'a body', 0]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    const shaken = proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_succeeded');
    expect(shaken).toMatchObject([
      { peer: 'upstream', negotiatedAlpn: 'h2' },
      { peer: 'downstream', negotiatedAlpn: 'h2' },
    ]);
    const exchange = proxy.events.ofFlow(2);
    expect(kindsOf(exchange)).toEqual([
      'request_headers',
      'request_body_chunk',
      'response_headers',
      'response_body_chunk',
      'stream_closed',
    ]);
    for (const event of exchange) expect(event).toMatchObject({ context: { protocol: 'http2' } });
    for (const event of exchange.slice(0, -1)) expect(event).toMatchObject({ http2StreamId: 1 });
    expect(exchange[0]).toMatchObject({ version: 'HTTP/2', target: '/echo?q=1' });
    expect(exchange.at(-1)).toMatchObject({
      reasonCode: 'mitm_http_completed',
      bytesFromClient: 6,
      bytesFromServer: 6,
    });
    expect(proxy.events.ofFlow(1).at(-1)).toMatchObject({ reasonCode: 'mitm_http_completed' });
  });

  test('H2-02 AP-12 AP-13 AP-14 shows handlers a host of :authority, and the facts of TLS', async () => {
    await using origin = await startHttp2Origin({ authority });
    const requests: RawRequest[] = [];
    const responses: RawResponse[] = [];
    const handler: InterceptHandler = {
      onRequest: (request) => {
        requests.push(request);
        return { action: 'allow' };
      },
      onResponse: (response) => void responses.push(response),
    };
    await using proxy = await startProxy({ trusts: authority, handler });
    await using client = await dial(proxy, origin.authority);
    await askHttp2(client, { ':path': '/', cookie: ['a=1', 'b=2'] });
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    const [request] = requests;
    expect(request).toMatchObject({
      method: 'GET',
      scheme: 'https',
      authority: origin.authority,
      path: '/',
      httpVersion: 'HTTP/2',
      connectionMeta: { tlsInfo: { sni: 'localhost', negotiatedProto: 'h2', version: 'TLSv1.3' } },
    });
    expect(request?.headers.get('host')).toBe(origin.authority);
    expect(request?.headers.get('cookie')).toBe('a=1; b=2');
    expect(request?.headers.list.some((name) => name.startsWith(':'))).toBe(false);
    expect(responses[0]).toMatchObject({ status: 200, flowId: request?.flowId });
    expect(Buffer.from(responses[0]?.body ?? []).toString()).toBe('ok');
    // What the origin gets is the client's list, not the handler's view.
    expect(origin.heads[0]).not.toContain('host');
    expect(origin.heads[0]?.filter((text) => text === 'cookie')).toHaveLength(2);
  });

  test('that a handler blocks leaves its neighbours alone', async () => {
    await using origin = await startHttp2Origin({ authority, onStream: (stream) => void echo(stream) });
    const handler: InterceptHandler = {
      onRequest: ({ path }) =>
        path === '/no' ? block(451, 'not this one', { headers: ['X-Why', 'law'] }) : { action: 'allow' },
    };
    await using proxy = await startProxy({ trusts: authority, handler });
    await using client = await dial(proxy, origin.authority);
    const paths = ['/a', '/no', '/b', '/no', '/c'];
    const answers = await Promise.all(
      paths.map((path) => askHttp2(client, { ':method': 'POST', ':path': path }, path)),
    );
    expect(answers.map(({ headers, body }) => [headers[':status'], body.toString()])).toEqual([
      [200, '/a'],
      [451, 'not this one'],
      [200, '/b'],
      [451, 'not this one'],
      [200, '/c'],
    ]);
    expect(answers[1]?.headers['x-why']).toBe('law');
    expect(origin.heads).toHaveLength(3);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ blocked: 2, mitm_http_completed: 4 });
  });

  test('H2-23 is one of 32 at once, and the bytes of each are counted', async () => {
    const body = Buffer.alloc(1024, 'x');
    await using origin = await startHttp2Origin({ authority, onStream: (stream) => void echo(stream) });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const answers = await Promise.all(
      Array.from({ length: 32 }, () => askHttp2(client, { ':method': 'POST', ':path': '/' }, body)),
    );
    expect(answers.every((answer) => answer.body.equals(body))).toBe(true);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(origin.sessions).toHaveLength(1);
    const closes = proxy.events.events().filter(({ kind }) => kind === 'stream_closed');
    expect(closes).toHaveLength(33);
    for (const close of closes.filter(({ context }) => context.flowId > 1))
      expect(close).toMatchObject({
        reasonCode: 'mitm_http_completed',
        bytesFromClient: 1024,
        bytesFromServer: 1024,
      });
  });
});

describe('an authority other than the one of the CONNECT', () => {
  test.each([
    ['goes to the same origin by default', 'warn', 200],
    ['is answered 421 where interception.authorityCheck is block', 'block', 421],
  ] as const)('%s', async (_rule, authorityCheck, status) => {
    await using origin = await startHttp2Origin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      config: {
        interception: { destinations: ['*:*'], authorityCheck, blockedHosts: ['blocked.test'] },
      },
    });
    await using client = await dial(proxy, origin.authority);
    const [own, other, blocked] = await Promise.all(
      [origin.authority, 'other.test', 'blocked.test'].map((named) =>
        askHttp2(client, { ':path': '/', ':authority': named }),
      ),
    );
    expect([own, other, blocked].map((answer) => answer?.headers[':status'])).toEqual([200, status, 403]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    const judged = proxy.events.events().filter((event) => event.kind === 'connect_decision');
    expect(judged.map((event) => event.authority)).toEqual([undefined, 'other.test:443', 'blocked.test:443']);
  });
});

describe('where HTTP/2 is not spoken', () => {
  test.each([
    ['H2-05 with http2Enabled: false', { http2Enabled: false }, {}],
    [
      'H2-20 with the override disableH2',
      { compatibilityOverrides: [{ ruleId: 'old', hostPattern: 'localhost', disableH2: true }] },
      { overrideRuleId: 'old', overrideDisableH2: true },
    ],
  ])('%s both sides speak HTTP/1.1', async (_how, config, told) => {
    await using origin = await startHttpsOrigin({ authority, alpn: ['h2', 'http/1.1'] });
    await using proxy = await startProxy({ trusts: authority, config });
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `${origin.url}/`,
      alpn: ['h2', 'http/1.1'],
    });
    expect([answer.status, answer.alpn]).toEqual([200, 'http/1.1']);
    expect(origin.handshakes).toMatchObject([{ alpn: 'http/1.1' }]);
    await proxy.finish();
    const events = proxy.events.events();
    expect(events.filter(({ context }) => context.protocol === 'http2')).toEqual([]);
    const [decision] = events.filter((event) => event.kind === 'connect_decision');
    expect(decision).toMatchObject(told);
  });

  test('a client that offers only h2 is refused in its handshake', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, config: { http2Enabled: false } });
    await expect(dial(proxy, origin.authority)).rejects.toThrow(/alert|closed|hang up|reset/i);
    await proxy.finish();
  });

  test('H2-04 an ignored host is tunnelled, HTTP/2 and all', async () => {
    await using origin = await startHttp2Origin({ authority });
    const seen: string[] = [];
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onRequest: ({ path }) => (seen.push(path), { action: 'allow' }) },
      config: { interception: { destinations: ['*:*'], ignoreHosts: ['localhost'] } },
    });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const secure = await tlsOver(tunnel.socket, {
      servername: 'localhost',
      ca: authority.caPem,
      alpn: ['h2'],
    });
    await using client = http2Over(secure, `https://${origin.authority}`);
    expect((await askHttp2(client, { ':path': '/' })).headers[':status']).toBe(200);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(seen).toEqual([]);
    expect(proxy.events.kinds()).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
    expect(proxy.events.events()[1]).toMatchObject({ action: 'tunnel', reason: 'ignored_host' });
  });
});

describe('what a client may not send', () => {
  test('CH-02 a header block that can not be read ends the connection, and the origin sees no request', async () => {
    await using origin = await startHttp2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    peer.send(frame(frameTypes.headers, endHeaders | endStream, 1, Buffer.from([0xff])));
    expect(await peer.goawayCode()).toBe(9);
    await peer.ended();
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    expect(origin.heads).toEqual([]);
    expect(proxy.events.ofFlow(1).at(-1)).toMatchObject({
      kind: 'stream_closed',
      context: { protocol: 'http2' },
      reasonCode: 'mitm_http_error',
      reasonDetail: expect.stringContaining('COMPRESSION_ERROR'),
    });
  });

  test('H2-22 too large a header list never reaches the origin, and a neighbour is served', async () => {
    await using origin = await startHttp2Origin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      config: { http2MaxHeaderListSize: 2048 },
    });
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    const large = peer.ask(getFields(origin.authority, '/large', 'x-large', 'x'.repeat(5_000)));
    const small = peer.ask(getFields(origin.authority, '/small'));
    expect((await peer.over(large)).heads[0]?.slice(0, 2)).toEqual([':status', '431']);
    expect((await peer.over(small)).heads[0]?.slice(0, 2)).toEqual([':status', '200']);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    expect(origin.heads).toHaveLength(1);
    const closes = proxy.events.events().filter((event) => event.kind === 'stream_closed');
    expect(closes.map((event) => event.reasonCode).toSorted()).toEqual([
      'mitm_http_completed',
      'mitm_http_completed',
      'mitm_http_error',
    ]);
  });
});
