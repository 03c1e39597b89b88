// What the proxy promises about an intercepted exchange, seen from outside: real origins, real clients.
import { EventEmitter, once } from 'node:events';

import { ProxyAgent, request as undiciRequest } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, curl, hasCommand, httpsThroughProxy, tlsOver } from '../lab/clients.ts';
import { kindsOf } from '../lab/events.ts';
import { startBannerOrigin, startHttpOrigin, startHttpsOrigin, startRawOrigin } from '../lab/origins.ts';
import { startProxy } from '../lab/proxy.ts';
import { cutAt, drip, seededRandom, splitsOf } from '../lab/split.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const hasCurl = await hasCommand('curl');

/** An answer with every peculiarity that a proxy could be tempted to tidy up. */
const peculiarHead = [
  'HTTP/1.1 200 Quite  All Right',
  'content-TYPE: text/plain',
  'X-Twice: one',
  'x-twice:two',
  'X-Twice:   three  ',
  'SET-Cookie: a=1; Path=/',
  'Set-Cookie: b=2',
  'X-Latin: caf\u00e9',
  'X-Empty:',
  'Content-Length: 13',
  '',
  '',
].join('\r\n');
const peculiarAnswer = Buffer.from(`${peculiarHead}hello,\u0000 w\u00f6rld`, 'latin1').subarray(
  0,
  peculiarHead.length + 13,
);

const peculiarRequest = [
  'POST /Path?q=%7E&x=caf%C3%A9 HTTP/1.1',
  'hOST: localhost:PORT',
  'X-CaSe: Kept',
  'x-case: and again',
  'Accept:*/*',
  'Cookie: a=1',
  'Connection: keep-alive, X-Hop',
  'X-Hop: for this hop only',
  'Keep-Alive: timeout=5',
  'Content-Length: 11',
  '',
  'just a body',
].join('\r\n');
const hopLines = /(?:Connection|X-Hop|Keep-Alive): [^\r]*\r\n/g;

describe.skipIf(!hasCurl)('curl through the proxy', () => {
  test('gets head and body byte for byte as the origin sent them', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write(peculiarAnswer);
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    const flags = ['-sS', '-i', '--suppress-connect-headers', '--proxy', `http://127.0.0.1:${proxy.port}`];
    const result = await curl([...flags, '--cacert', proxy.caFile, `https://${origin.authority}/`]);
    expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: '' });
    expect(result.stdout.toString('latin1')).toBe(peculiarAnswer.toString('latin1'));
    const [seen] = origin.connections;
    expect(seen?.received.toString('latin1')).toMatch(
      /^GET \/ HTTP\/1\.1\r\nHost: localhost:\d+\r\nUser-Agent: curl\/[^\r]+\r\nAccept: \*\/\*\r\n\r\n$/,
    );
    await proxy.finish();
  });

  test('that does not trust the proxy fails, and the failure has its reason', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const failures: string[] = [];
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onTlsFailure: (host, error) => void failures.push(`${host}: ${error}`) },
    });
    const result = await curl(['-sS', '--proxy', `http://127.0.0.1:${proxy.port}`, origin.url]);
    expect(result.code).toBe(60);
    const failed = await proxy.events.waitFor('tls_handshake_failed', 5_000);
    expect(failed).toMatchObject({
      peer: 'downstream',
      tlsFailureReason: 'unknown_ca',
      tlsOpsProvider: 'node',
    });
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(/^localhost: downstream handshake failed/);
    expect(origin.requests).toEqual([]);
    await proxy.finish();
    expect(proxy.events.events().at(-1)).toMatchObject({
      kind: 'stream_closed',
      reasonCode: 'tls_handshake_failed',
    });
  });

  test('keeps one connection for several requests, on both sides', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    const urls = ['/one', '/two', '/three'].map((path) => `${origin.url}${path}`);
    const base = ['-sS', '--proxy', `http://127.0.0.1:${proxy.port}`, '--cacert', proxy.caFile];
    const result = await curl([...base, ...urls]);
    expect(result.stdout.toString()).toBe('okokok');
    expect(origin.connectionCount).toBe(1);
    await proxy.finish();
    expect(proxy.handle.metrics()).toMatchObject({ totalConnections: 1, requestCount: 3 });
  });
});

describe('any split of the bytes gives the same exchange', () => {
  test('of the request, and of the answer', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: async (socket, index, log) => {
        await log.until('just a body');
        const random = seededRandom(index + 1);
        const cuts = [...splitsOf(peculiarAnswer.length, { maxSplits: 1, seed: index + 1 })][0] ?? [];
        await drip(socket, cutAt(peculiarAnswer, random() < 0.5 ? cuts : [index * 11 + 1]));
        socket.end();
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    const request = Buffer.from(peculiarRequest.replace('PORT', String(origin.port)), 'latin1');
    const expected = request.toString('latin1').replaceAll(hopLines, '');
    let index = 0;
    for (const cuts of splitsOf(request.length, { maxSplits: 24, seed: 7 })) {
      await using tunnel = await connectTunnel(proxy.port, origin.authority);
      const tls = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
      const log = new ByteLog(tls);
      await drip(tls, cutAt(request, cuts));
      await log.until((bytes) => bytes.length >= peculiarAnswer.length);
      expect(log.received.toString('latin1')).toBe(peculiarAnswer.toString('latin1'));
      expect(origin.connections[index]?.received.toString('latin1')).toBe(expected);
      tls.destroy();
      index += 1;
    }
    expect(index).toBeGreaterThan(10);
    await proxy.finish();
  });
});

test('a request that the handler blocks is answered by the proxy, and the origin sees no byte of it', async () => {
  await using origin = await startRawOrigin({ tls: { authority } });
  await using proxy = await startProxy({
    trusts: authority,
    handler: {
      onRequest: (request) =>
        request.path === '/blocked'
          ? { action: 'block', status: 403, body: Buffer.from('not here') }
          : { action: 'allow' },
    },
  });
  const answer = await httpsThroughProxy({
    ...proxy.forClients,
    url: `https://${origin.authority}/blocked`,
    method: 'POST',
    body: 'a body that must not arrive',
  });
  expect([answer.status, answer.body.toString()]).toEqual([403, 'not here']);
  await proxy.finish();
  // Its ALPN is mirrored to the client, so a connection it may see.
  expect(origin.connections.map((connection) => connection.received.length)).toEqual([0]);
  expect(kindsOf(proxy.events.events(), 2)).toEqual([
    'request_headers',
    'request_body_chunk',
    'stream_closed',
  ]);
  expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'blocked' });
});

describe('a host that is not listed', () => {
  test('is tunnelled: the client sees the certificate of the origin itself', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      config: { interception: { destinations: ['elsewhere.test:443'] } },
    });
    const answer = await httpsThroughProxy({
      proxyPort: proxy.port,
      url: `${origin.url}/`,
      ca: authority.caPem,
    });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
    expect(answer.peerCertificate.issuer.CN).toBe('Lab origin authority');
    await proxy.finish();
    expect(kindsOf(proxy.events.events())).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
    expect(proxy.events.events().at(-1)).toMatchObject({ reasonCode: 'relay_eof' });
  });

  test('gets 403 and is not dialled when unlisted hosts are not passed through', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      config: { interception: { destinations: ['elsewhere.test:443'], passthroughUnlisted: false } },
    });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    expect(tunnel.statusLine).toBe('HTTP/1.1 403 Forbidden');
    await proxy.finish();
    expect(origin.connectionCount).toBe(0);
    expect(proxy.events.events().at(-1)).toMatchObject({
      reasonCode: 'blocked',
      reasonDetail: 'destination_not_allowed',
    });
  });
});

test('server-sent events pass live: the second is sent only after the first has arrived', async () => {
  const first = new EventEmitter();
  const arrival = once(first, 'arrived');
  await using origin = await startHttpsOrigin({
    authority,
    handler: async (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      await arrival;
      response.end('data: second\n\n');
    },
  });
  const heads: unknown[] = [];
  await using proxy = await startProxy({
    trusts: authority,
    handler: { onResponse: (response) => void heads.push([response.status, response.streaming]) },
  });
  await using tunnel = await connectTunnel(proxy.port, origin.authority);
  const tls = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
  const log = new ByteLog(tls);
  tls.write(`GET /events HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
  await log.until('data: first\n\n');
  await expect.poll(() => heads).toEqual([[200, true]]);
  first.emit('arrived');
  await log.until('data: second\n\n');
  tls.destroy();
  await proxy.finish();
});

describe('what a CONNECT turns out to carry', () => {
  test('plain HTTP is an exchange like any other', async () => {
    await using origin = await startHttpOrigin();
    const seen: string[] = [];
    await using proxy = await startProxy({
      handler: {
        onRequest: (raw) => {
          seen.push(`${raw.method} ${raw.scheme}://${raw.authority}${raw.path}`);
          return { action: 'allow' };
        },
      },
    });
    const agent = new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, proxyTunnel: true });
    const answer = await undiciRequest(`${origin.url}/plain`, { dispatcher: agent });
    expect([answer.statusCode, await answer.body.text()]).toEqual([200, 'ok']);
    await agent.close();
    expect(seen).toEqual([`GET ${origin.url}/plain`]);
    await proxy.finish();
  });

  test('an origin that greets first is tunnelled', async () => {
    await using origin = await startBannerOrigin('220 mail.example.test ESMTP\r\n');
    await using proxy = await startProxy();
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    expect(tunnel.status).toBe(200);
    const log = new ByteLog(tunnel.socket);
    const greeting = Buffer.concat([
      tunnel.rest,
      await log.until((bytes) => bytes.length + tunnel.rest.length >= 29),
    ]);
    expect(greeting.toString()).toBe('220 mail.example.test ESMTP\r\n');
    tunnel.socket.write('QUIT\r\n');
    await origin.connections[0]?.until('QUIT\r\n');
    tunnel.socket.destroy();
    await proxy.finish();
    expect(
      proxy.events
        .events()
        .filter((event) => event.kind === 'connect_decision')
        .at(-1),
    ).toMatchObject({
      effectiveAction: 'tunnel',
      effectiveReason: 'unknown_protocol',
    });
  });

  test('an origin with an untrusted certificate explains itself inside TLS', async () => {
    const stranger = await createLabAuthority('Stranger');
    await using origin = await startHttpsOrigin({ authority: stranger });
    await using proxy = await startProxy();
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `${origin.url}/`,
    });
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).toContain('unknown_ca');
    expect(answer.body.toString()).toContain('localhost');
    await proxy.finish();
    expect(proxy.events.events().filter((event) => event.kind === 'tls_handshake_failed')).toMatchObject([
      { peer: 'upstream', tlsFailureReason: 'unknown_ca' },
    ]);
    expect(proxy.events.events().at(-1)).toMatchObject({ reasonCode: 'tls_handshake_failed' });
    await stranger[Symbol.asyncDispose]();
  });
});

test('500 parallel short-lived CONNECTs all finish, each flow with one close', async () => {
  await using origin = await startHttpsOrigin({ authority });
  await using proxy = await startProxy({ trusts: authority });
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, index) =>
      httpsThroughProxy({ ...proxy.forClients, url: `${origin.url}/${index}`, deadlineMs: 50_000 }),
    ),
  );
  expect(new Set(answers.map((answer) => `${answer.status} ${answer.body.toString()}`))).toEqual(
    new Set(['200 ok']),
  );
  expect(origin.requests).toHaveLength(500);
  await proxy.finish();
  const closes = proxy.events.events().filter((event) => event.kind === 'stream_closed');
  expect(closes).toHaveLength(1_000);
  expect(proxy.handle.metrics()).toMatchObject({
    activeConnections: 0,
    activeFlows: 0,
    totalConnections: 500,
  });
}, 60_000);

test('the 200 of a CONNECT has no header', async () => {
  await using origin = await startHttpsOrigin({ authority });
  await using proxy = await startProxy({ trusts: authority });
  await using tunnel = await connectTunnel(proxy.port, origin.authority);
  expect(tunnel.headText).toBe('HTTP/1.1 200 Connection Established\r\n\r\n');
});
