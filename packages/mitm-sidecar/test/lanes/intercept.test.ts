// A CONNECT that is read as TLS: how both handshakes depend on each other, and what is told of one that fails.
import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { MitmEvent } from 'mitm-observe';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import { connectTunnel, httpsThroughProxy, tlsOver } from '../../../../testing/lab/clients.ts';
import {
  startHttpsOrigin,
  startRawOrigin,
  startSilentOrigin,
  startTcpEcho,
} from '../../../../testing/lab/origins.ts';
import {
  clientOver,
  detailsOf,
  openClient,
  openTlsClient,
  type ProxyLab,
  reasonsOf,
  startProxy,
} from '../proxy-lab.ts';

const authority: { lab: LabAuthority | undefined } = { lab: undefined };

beforeAll(async () => {
  authority.lab = await createLabAuthority();
});
afterAll(async () => {
  await authority.lab?.[Symbol.asyncDispose]();
});

/** The authority of this file's origins. */
function labAuthority(): LabAuthority {
  if (authority.lab === undefined) throw new Error('the authority has not been made');
  return authority.lab;
}

/** A proxy that trusts the origins of this file. */
async function trustingProxy(
  config: Partial<MitmConfigInput> = {},
  handler: InterceptHandler = {},
): Promise<ProxyLab> {
  return startProxy({
    handler,
    config: { ...config, upstream: { caPaths: [await labAuthority().caFile()], ...config.upstream } },
  });
}

/** Kinds of one flow, the handshakes with their peer. */
function story(events: readonly MitmEvent[], flowId: number): string[] {
  return events
    .filter(({ context }) => context.flowId === flowId)
    .map((event) => ('peer' in event ? `${event.kind} ${event.peer}` : event.kind));
}

const bothHandshakes = [
  'connect_received',
  'connect_decision',
  'tls_handshake_started upstream',
  'tls_handshake_succeeded upstream',
  'tls_handshake_started downstream',
  'tls_handshake_succeeded downstream',
  'stream_closed',
];

describe('TLS', () => {
  test('H1-01 a GET goes all the way, and both handshakes are told before it', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    const answer = await httpsThroughProxy({
      proxyPort: proxy.port,
      url: `${origin.url}/x`,
      ca: proxy.caPem,
      alpn: ['h2', 'http/1.1'],
    });
    expect([answer.status, answer.body.toString(), answer.alpn]).toEqual([200, 'ok', 'http/1.1']);
    expect(answer.peerCertificate.subjectaltname).toBe('DNS:localhost');
    expect(origin.handshakes).toMatchObject([{ servername: 'localhost', alpn: 'http/1.1' }]);
    const events = await proxy.settled();
    expect(story(events, 1)).toEqual(bothHandshakes);
    expect(story(events, 2)).toEqual([
      'request_headers',
      'response_headers',
      'response_body_chunk',
      'stream_closed',
    ]);
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('H1-03 a POST is counted on both sides', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    await httpsThroughProxy({
      proxyPort: proxy.port,
      url: `${origin.url}/`,
      method: 'POST',
      body: 'hello',
      ca: proxy.caPem,
    });
    expect((await origin.request(0)).body.toString()).toBe('hello');
    const events = await proxy.settled();
    expect(events.filter(({ context }) => context.flowId === 2).at(-1)).toMatchObject({
      bytesFromClient: 5,
      bytesFromServer: 2,
    });
  });

  test('the handler sees the facts of the handshake with each request', async () => {
    const seen: unknown[] = [];
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy(
      {},
      {
        onRequest: ({ authority: named, scheme, connectionMeta }) => {
          seen.push([scheme, named, connectionMeta.tlsInfo?.sni, connectionMeta.tlsInfo?.negotiatedProto]);
          return { action: 'allow' };
        },
      },
    );
    await httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: proxy.caPem, alpn: ['http/1.1'] });
    expect(seen).toEqual([['https', origin.authority, 'localhost', 'http/1.1']]);
  });

  test('a hello in many pieces is read all the same', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const { socket } = tunnel;
    const write = socket.write.bind(socket);
    // Each write of the TLS stack leaves one byte at a time until the hello is through.
    let isFirst = true;
    socket.write = ((bytes: Buffer, ...rest: unknown[]) => {
      if (!isFirst) return Reflect.apply(write, socket, [bytes, ...rest]);
      isFirst = false;
      for (let at = 0; at < bytes.length - 1; at += 1) write(bytes.subarray(at, at + 1));
      return Reflect.apply(write, socket, [bytes.subarray(-1), ...rest]);
    }) as typeof socket.write;
    await using client = clientOver(await tlsOver(socket, { servername: 'localhost', ca: proxy.caPem }));
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('a connection in the pool spares the handshake with the origin, and its events', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    for (let turn = 0; turn < 3; turn += 1) {
      const answer = await httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: proxy.caPem });
      expect(answer.status).toBe(200);
      await proxy.settled();
    }
    expect([origin.connectionCount, origin.handshakes.length]).toEqual([1, 1]);
    const events = await proxy.settled();
    expect(story(events, 1)).toEqual(bothHandshakes);
    for (const flowId of [3, 5]) {
      expect(story(events, flowId)).toEqual(bothHandshakes.filter((kind) => !kind.endsWith('upstream')));
    }
  });

  test('a client that asks nothing leaves its connection to the pool', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    {
      await using client = await openTlsClient(proxy, origin.authority);
      client.stream.end();
      await client.rest();
    }
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed']);
    await httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: proxy.caPem });
    expect(origin.connectionCount).toBe(1);
  });

  test('SG-05 a smuggled request inside it is refused, with no byte sent on', async () => {
    await using origin = await startRawOrigin({ tls: { authority: labAuthority(), alpn: ['http/1.1'] } });
    await using proxy = await trustingProxy();
    await using client = await openTlsClient(proxy, origin.authority);
    client.send(
      'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['mitm_http_error']);
    expect(detailsOf(events)[0]).toContain('conflicting_framing');
    expect(origin.connections.map(({ received }) => received.length)).toEqual([0]);
  });
});

describe('the server name', () => {
  test('that differs from the host is on the leaf together with it, and goes to the origin', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority(), names: ['sni.example'] });
    await using proxy = await trustingProxy();
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const secure = await tlsOver(tunnel.socket, { servername: 'sni.example', ca: proxy.caPem });
    expect(secure.getPeerCertificate().subjectaltname).toBe('DNS:sni.example, DNS:localhost');
    await using client = clientOver(secure);
    client.send(`GET / HTTP/1.1\r\nHost: sni.example:${origin.port}\r\n\r\n`);
    await client.receive('ok');
    expect(origin.handshakes).toMatchObject([{ servername: 'sni.example' }]);
  });

  test('of another kind than the pooled connection has is given one of its own', async () => {
    await using origin = await startHttpsOrigin({
      authority: labAuthority(),
      names: ['localhost', 'sni.example'],
    });
    await using proxy = await trustingProxy();
    await httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: proxy.caPem });
    await using client = await openTlsClient(proxy, origin.authority, { servername: 'sni.example' });
    client.send(`GET / HTTP/1.1\r\nHost: sni.example:${origin.port}\r\n\r\n`);
    await client.receive('ok');
    expect(origin.handshakes.map(({ servername }) => servername)).toEqual(['localhost', 'sni.example']);
    expect(proxy.server.upstreamCount).toBe(2);
  });

  test('is asked for again at the same place: its connection is found, and the origin is not dialled', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    const address = `127.0.0.1:${origin.port}`;
    for (let round = 0; round < 3; round += 1) {
      await using client = await openTlsClient(proxy, address, { servername: 'localhost' });
      client.send(`GET / HTTP/1.1\r\nHost: localhost:${origin.port}\r\nConnection: close\r\n\r\n`);
      expect(await client.rest()).toMatch(/ok$/);
    }
    expect([origin.connectionCount, proxy.server.upstreamCount]).toEqual([1, 1]);
  });

  test('that is blocked is answered 403 inside TLS, with a decision of its own', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy({
      interception: { destinations: ['*:*'], blockedHosts: ['evil.example'] },
    });
    await using client = await openTlsClient(proxy, origin.authority, { servername: 'evil.example' });
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[^]*blocked_host\n$/);
    const events = await proxy.settled();
    const decisions = events.filter(({ kind }) => kind === 'connect_decision');
    expect(decisions[1]).toMatchObject({ stage: 'client_hello', action: 'block', sni: 'evil.example' });
    expect(reasonsOf(events)).toContain('blocked');
    expect([origin.requests.length, origin.handshakes.length]).toEqual([0, 0]);
  });

  test('that would be tunnelled loosens nothing', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority(), names: ['ignored.example'] });
    await using proxy = await trustingProxy({
      interception: { destinations: ['*:*'], ignoreHosts: ['ignored.example'] },
    });
    await using client = await openTlsClient(proxy, origin.authority, { servername: 'ignored.example' });
    client.send(`GET / HTTP/1.1\r\nHost: localhost:${origin.port}\r\n\r\n`);
    await client.receive('ok');
    expect(origin.requests).toHaveLength(1);
  });
});

describe('an origin that can not be trusted or reached by TLS', () => {
  test('explains itself inside TLS, and the events say what happened', async () => {
    const failures: string[] = [];
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await startProxy({
      handler: {
        onTlsFailure: (host, error) => {
          failures.push(`${host} ${error.split(':')[0]}`);
        },
      },
    });
    await using client = await openTlsClient(proxy, origin.authority);
    for (let turn = 0; turn < 2; turn += 1) {
      client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const answer = await client.receive('trusts\n');
      expect(answer).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
      expect(answer).toContain('(unknown_ca)');
    }
    client.stream.end();
    await client.rest();
    const events = await proxy.settled();
    expect(story(events, 1)).toEqual([
      'connect_received',
      'connect_decision',
      'tls_handshake_started upstream',
      'tls_handshake_failed upstream',
      'tls_handshake_started downstream',
      'tls_handshake_succeeded downstream',
      'stream_closed',
    ]);
    expect(reasonsOf(events).at(-1)).toBe('tls_handshake_failed');
    expect(failures).toEqual(['localhost upstream handshake failed']);
    expect(proxy.engine.snapshot().tlsFailuresByReason.unknown_ca).toBe(1);
    expect(origin.requests).toHaveLength(0);
  });

  test('that does not complete the handshake in time is 504', async () => {
    await using origin = await startSilentOrigin();
    await using proxy = await startProxy({ config: { timeouts: { handshakeMs: 150 } } });
    await using client = await openTlsClient(proxy, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await client.receive('(timeout)')).toMatch(/^HTTP\/1\.1 504 Gateway Timeout\r\n/);
    client.stream.end();
    await client.rest();
    expect(reasonsOf(await proxy.settled()).at(-1)).toBe('tls_handshake_failed');
  });

  test('is let through where an override says so', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await startProxy({
      config: {
        compatibilityOverrides: [{ ruleId: 'r', hostPattern: 'localhost', skipUpstreamVerify: true }],
      },
    });
    const answer = await httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: proxy.caPem });
    expect(answer.status).toBe(200);
  });
});

describe('a client whose handshake fails', () => {
  test('because it does not trust the proxy', async () => {
    const failures: string[] = [];
    await using origin = await startHttpsOrigin({ authority: labAuthority() });
    await using proxy = await trustingProxy(
      {},
      {
        onTlsFailure: (host, error) => {
          failures.push(`${host} ${error.split(':')[0]}`);
        },
      },
    );
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    await expect(
      tlsOver(tunnel.socket, { servername: 'localhost', ca: labAuthority().caPem }),
    ).rejects.toThrow(/certificate/);
    const events = await proxy.settled();
    expect(story(events, 1).slice(-2)).toEqual(['tls_handshake_failed downstream', 'stream_closed']);
    expect(reasonsOf(events)).toEqual(['tls_handshake_failed']);
    expect(failures).toEqual(['localhost downstream handshake failed']);
  });

  test('CH-01 because its hello can not be read: it is refused, never tunnelled', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('\r\n\r\n');
    client.send(Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 0x02, 0x00, 0x00, 0x01, 0x00]));
    expect(await client.rest()).toBe('');
    const events = await proxy.settled();
    expect(story(events, 1).at(-2)).toBe('tls_handshake_failed downstream');
    expect(reasonsOf(events)).toEqual(['tls_handshake_failed']);
    expect(proxy.recorder.ofFlow(1).at(-1)).toHaveProperty('bytesFromClient', undefined);
  });

  test.each(['FIN', 'nothing'])('because it says nothing: %s', async (how) => {
    await using origin = await startSilentOrigin();
    await using proxy = await startProxy({ config: { timeouts: { handshakeMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('\r\n\r\n');
    if (how === 'FIN') client.stream.end();
    await client.rest();
    const expected = how === 'FIN' ? 'client_aborted' : 'stream_stage_timeout';
    expect(reasonsOf(await proxy.settled())).toEqual([expected]);
    await origin.connections[0]?.ended();
  });
});
