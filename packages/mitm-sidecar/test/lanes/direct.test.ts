// Clients that take the proxy for their origin: the name in their hello or Host is judged and dialled, and what can't be done is said
// in words that they understand.
import { connect as connectTls } from 'node:tls';

import type { MitmConfigInput } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { dialLoopback, tlsOver } from '../../../../testing/lab/clients.ts';
import { refusedPort, startHttpOrigin, startHttpsOrigin } from '../../../../testing/lab/origins.ts';
import { clientOver, detailsOf, openClient, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';

const get = 'GET /path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

function directTo(targetPort: number, fields: Partial<MitmConfigInput> = {}): Partial<MitmConfigInput> {
  return { bind: 'none', listeners: [{ bind: '127.0.0.1:0', kind: 'direct', targetPort }], ...fields };
}

/** What a TLS client of this name gets from the proxy. */
async function askTls(proxy: ProxyLab, servername: string): Promise<string> {
  const secure = await tlsOver(await dialLoopback(proxy.port), { servername, ca: proxy.caPem });
  await using client = clientOver(secure);
  client.send(get);
  return await client.rest();
}

describe('TLS', () => {
  test('goes to the server name that it asks for', async () => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      config: directTo(origin.port, { upstream: { caPaths: [await authority.caFile()] } }),
    });
    expect(await askTls(proxy, 'localhost')).toMatch(/^HTTP\/1\.1 200 /);
    const events = await proxy.settled();
    expect(events.map(({ kind }) => kind).slice(0, 2)).toEqual(['connect_received', 'connect_decision']);
    expect(events[0]?.context).toMatchObject({ serverHost: 'localhost', serverPort: origin.port });
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('that is tunnelled meets the origin itself', async () => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      config: directTo(origin.port, { interception: { destinations: ['other.example:1'] } }),
    });
    const secure = await tlsOver(await dialLoopback(proxy.port), {
      servername: 'localhost',
      ca: authority.caPem,
    });
    await using client = clientOver(secure);
    client.send(get);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 /);
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('that policy refuses gets 403 inside TLS, and nothing is dialled', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      config: directTo(origin.port, { interception: { destinations: ['*:*'], blockedHosts: ['localhost'] } }),
    });
    expect(await askTls(proxy, 'localhost')).toMatch(/^HTTP\/1\.1 403 [^]*blocked_host\n$/);
    await proxy.settled();
    expect(origin.connectionCount).toBe(0);
  });

  test('to an origin that is not reached gets 502 inside TLS', async () => {
    await using proxy = await startProxy({ config: directTo(await refusedPort()) });
    expect(await askTls(proxy, 'localhost')).toMatch(/^HTTP\/1\.1 502 [^]*connection refused\n$/);
    expect(reasonsOf(await proxy.settled())).toContain('upstream_connect_failed');
  });

  test.each([
    ['that names no server', undefined, 80, 'connect_parse_failed', 'the ClientHello names no server'],
    ['for the proxy itself', 'localhost', 112, 'route_planner_failed', 'target is the proxy itself'],
  ])('%s gets an alert', async (_what, servername, alert, reason, detail) => {
    const port = servername === undefined ? 443 : await refusedPort();
    await using proxy = await startProxy({
      config: {
        bind: 'none',
        listeners: [{ bind: `127.0.0.1:${port === 443 ? 0 : port}`, kind: 'direct', targetPort: port }],
      },
    });
    const socket = connectTls({
      port: proxy.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...(servername === undefined ? {} : { servername }),
    });
    const failure = await new Promise<Error>((resolve) => socket.once('error', resolve));
    expect(String(failure)).toMatch(new RegExp(`alert number ${alert}|unrecognized name|internal error`));
    const events = await proxy.settled();
    expect([reasonsOf(events), detailsOf(events)]).toEqual([[reason], [detail]]);
  });

  test('that the handler’s failure closes gets an alert', async () => {
    await using proxy = await startProxy({
      config: directTo(443, { handler: { failureMode: 'closed' } }),
      handler: {
        shouldInterceptTls: () => {
          throw new Error('broken');
        },
      },
    });
    const attempt = tlsOver(await dialLoopback(proxy.port), { servername: 'localhost', ca: proxy.caPem });
    await expect(attempt).rejects.toThrow(/access denied|alert number 49/);
    expect(reasonsOf(await proxy.settled())).toEqual(['blocked']);
  });
});

describe('HTTP', () => {
  test('goes to its Host, request by request', async () => {
    await using first = await startHttpOrigin();
    await using second = await startHttpOrigin();
    await using proxy = await startProxy({
      config: directTo(443, { interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] } }),
    });
    await using client = await openClient(proxy.port);
    for (const [host, answer] of [
      [first.authority, 'ok'],
      [second.authority, 'ok'],
      ['blocked.example', 'blocked_host\n'],
    ] as const) {
      client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await client.receive(answer);
    }
    client.stream.end();
    await proxy.settled();
    expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
  });

  test('CONNECT has no place here', async () => {
    await using proxy = await startProxy({ config: directTo(443) });
    await using client = await openClient(proxy.port);
    client.send('CONNECT o.example:443 HTTP/1.1\r\nHost: o.example:443\r\n\r\n');
    expect(await client.receive('\n')).toMatch(/^HTTP\/1\.1 400 /);
    client.stream.end();
    await proxy.settled();
  });
});

test('what is neither is refused', async () => {
  await using proxy = await startProxy({ config: directTo(443) });
  await using client = await openClient(proxy.port);
  client.send('\x05\x01\0');
  expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 /);
  client.stream.end();
  const events = await proxy.settled();
  expect(events.map(({ kind }) => kind)).toEqual(['connect_parse_failed', 'stream_closed']);
  expect(reasonsOf(events)).toEqual(['connect_parse_failed']);
});

test('a hello that can’t be read is refused', async () => {
  await using proxy = await startProxy({ config: directTo(443) });
  await using client = await openClient(proxy.port);
  client.send(Buffer.concat([Buffer.from([22, 3, 1, 0, 4]), Buffer.from([99, 0, 0, 0])]));
  await client.rest();
  client.stream.end();
  expect(reasonsOf(await proxy.settled())).toEqual(['tls_handshake_failed']);
});
