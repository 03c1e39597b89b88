// Requests inside an intercepted connection: they go to its origin, whatever they name, and naming another host can only make
// the verdict stricter.
import type { MitmConfigInput } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { kindsOf } from '../../../../testing/lab/events.ts';
import { startHttpOrigin, startHttpsOrigin } from '../../../../testing/lab/origins.ts';
import { detailsOf, openClient, openTlsClient, reasonsOf, startProxy, type Client } from '../proxy-lab.ts';

/** An intercepted plain connection to an origin, which shows the rules without the cost of TLS. */
async function plainInside(proxyPort: number, authority: string): Promise<Client> {
  const client = await openClient(proxyPort);
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await client.receive('\r\n\r\n');
  return client;
}

const config = (interception: Partial<MitmConfigInput['interception']> = {}): Partial<MitmConfigInput> => ({
  interception: { destinations: ['*:*'], ...interception },
});

describe('a request that names another authority', () => {
  test('goes to the same origin and is judged by its own events', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: foreign.example\r\n\r\n');
    await client.receive('ok');
    expect(origin.requests[0]?.rawHeaders).toEqual(['Host', 'foreign.example']);
    client.stream.end();
    const events = await proxy.settled();
    expect(kindsOf(events, 2)).toEqual([
      'connect_received',
      'connect_decision',
      'request_headers',
      'response_headers',
      'response_body_chunk',
      'stream_closed',
    ]);
    expect(proxy.recorder.ofFlow(2)[1]).toMatchObject({
      stage: 'request',
      action: 'intercept',
      authority: 'foreign.example:80',
    });
  });

  test('is blocked by the stricter verdict, and the connection goes on', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config({ blockedHosts: ['foreign.example'] }) });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: foreign.example\r\n\r\n');
    expect(await client.receive('blocked_host\n')).toMatch(/^HTTP\/1\.1 403 /);
    client.send(`GET / HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    await client.receive('ok');
    expect(origin.requests).toHaveLength(1);
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual([
      'blocked',
      'mitm_http_completed',
      'mitm_http_completed',
    ]);
  });

  test('a host that would be tunnelled loosens nothing', async () => {
    await using origin = await startHttpOrigin();
    const seen: string[] = [];
    await using proxy = await startProxy({
      config: config({ ignoreHosts: ['ignored.example'] }),
      handler: {
        onRequest: (request) => {
          seen.push(request.authority);
          return { action: 'allow' };
        },
      },
    });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: ignored.example\r\n\r\n');
    await client.receive('ok');
    expect(seen).toEqual(['ignored.example']);
  });

  test('is 421 where authorityCheck is block', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config({ authorityCheck: 'block' }) });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: foreign.example\r\n\r\n');
    expect(await client.receive('not for foreign.example\n')).toMatch(
      /^HTTP\/1\.1 421 Misdirected Request\r\n/,
    );
    client.stream.end();
    expect(detailsOf(await proxy.settled())[0]).toBe('authority_mismatch');
    expect(origin.requests).toHaveLength(0);
  });

  test('by its port is foreign too', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config({ authorityCheck: 'block' }) });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n');
    expect(await client.receive('\n\r\n')).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('by an absolute target is judged by that', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET http://other.example/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n');
    await client.receive('ok');
    expect(origin.requests[0]).toMatchObject({ url: '/x?y', rawHeaders: ['Host', 'other.example'] });
  });

  test('by an absolute target that its Host contradicts is refused, and nothing of it is sent on', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send(`GET http://other.example/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 /);
    expect(detailsOf(await proxy.settled()).join()).toContain('host_mismatch');
    expect(origin.requests).toEqual([]);
  });
});

describe('inside TLS', () => {
  test('the CONNECT host and the SNI are both names of the connection', async () => {
    await using lab = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority: lab, names: ['localhost', 'sni.example'] });
    await using proxy = await startProxy({
      config: { ...config({ authorityCheck: 'block' }), upstream: { caPaths: [await lab.caFile()] } },
    });
    await using client = await openTlsClient(proxy, origin.authority, { servername: 'sni.example' });
    for (const host of ['localhost', 'sni.example', 'SNI.example.']) {
      client.send(`GET / HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`);
      expect(await client.receive((bytes) => bytes.includes('ok') || bytes.includes('421'))).toMatch(
        /^HTTP\/1\.1 200 /,
      );
    }
  });

  test('a request of HTTP/1.0 without Host gets the one of its connection', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET / HTTP/1.0\r\n\r\n');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 /);
    expect(origin.requests[0]?.rawHeaders).toEqual(['Host', origin.authority]);
  });

  test('CONNECT is 501', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 501 Not Implemented\r\n/);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error']);
    expect(origin.requests).toHaveLength(0);
  });

  test('a target that is none is 400', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: config() });
    await using client = await plainInside(proxy.port, origin.authority);
    client.send('GET nonsense HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error']);
  });
});
