// A CONNECT that is read, and what turns out not to be TLS for us: plain HTTP, an origin that greets first, or another protocol.
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { connectTunnel, tlsOver } from '../../../../testing/lab/clients.ts';
import { kindsOf } from '../../../../testing/lab/events.ts';
import {
  startBannerOrigin,
  startHttpOrigin,
  startRawOrigin,
  startTcpEcho,
} from '../../../../testing/lab/origins.ts';
import { clientOver, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';

describe('what is not TLS', () => {
  test.each(['after the 200', 'with the CONNECT'])(
    'plain HTTP %s takes the same path without TLS',
    async (when) => {
      const seen: string[] = [];
      await using origin = await startHttpOrigin();
      await using proxy = await startProxy({
        handler: {
          onRequest: (request) => {
            seen.push(`${request.scheme} ${request.path}`);
            return { action: 'allow' };
          },
        },
      });
      await using client = await openClient(proxy.port);
      const connect = `CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`;
      const get = `GET /p HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`;
      client.send(when === 'with the CONNECT' ? connect + get : connect);
      if (when === 'after the 200') {
        await client.receive('\r\n\r\n');
        client.send(get);
      }
      await client.receive('ok');
      expect(seen).toEqual(['http /p']);
      // The connection that was made to reach the origin is the one that is used.
      expect(origin.connectionCount).toBe(1);
      client.stream.end();
      const events = await proxy.settled();
      expect(kindsOf(events).filter((kind) => kind.startsWith('tls_'))).toEqual([]);
      expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
    },
  );

  const unknown: readonly [string, string][] = [
    ['bytes of no known protocol', '\0\x01\x02binary'],
    ['the HTTP/2 preface where HTTP/2 is switched off', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ];
  test.each(unknown)('%s pass unread, and a second decision says so', async (_what, bytes) => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config: { http2Enabled: false } });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('\r\n\r\n');
    client.send(bytes);
    await client.receive(bytes);
    client.stream.end();
    await client.rest();
    const events = await proxy.settled();
    expect(kindsOf(events)).toEqual([
      'connect_received',
      'connect_decision',
      'connect_decision',
      'stream_closed',
    ]);
    expect(events[2]).toMatchObject({
      stage: 'client_hello',
      effectiveAction: 'tunnel',
      effectiveReason: 'unknown_protocol',
    });
    expect(reasonsOf(events)).toEqual(['relay_eof']);
  });

  test('an origin that greets first is heard', async () => {
    await using origin = await startBannerOrigin('220 mail\r\n');
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('220 mail\r\n');
    client.send('QUIT\r\n');
    await client.receive('QUIT\r\n');
    client.stream.end();
    await client.rest();
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('a hello that offers only other protocols is for the origin', async () => {
    await using authority = await createLabAuthority();
    await using origin = await startRawOrigin({
      tls: { authority, alpn: ['mqtt'] },
      onConnection: (socket) => {
        socket.end('connack');
      },
    });
    await using proxy = await startProxy();
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const secure = await tlsOver(tunnel.socket, {
      servername: 'localhost',
      ca: authority.caPem,
      alpn: ['mqtt'],
    });
    await using client = clientOver(secure);
    expect(await client.receive('connack')).toBe('connack');
    client.stream.end();
    await client.rest();
    const events = await proxy.settled();
    expect(kindsOf(events).filter((kind) => kind.startsWith('tls_'))).toEqual([]);
    expect(events[2]).toMatchObject({ effectiveReason: 'unknown_protocol' });
  });

  test.each(['bytes', 'greeting'])('is refused where unknownProtocol is block: %s', async (what) => {
    await using origin = what === 'bytes' ? await startTcpEcho() : await startBannerOrigin('220 mail\r\n');
    await using proxy = await startProxy({
      config: { interception: { destinations: ['*:*'], unknownProtocol: 'block' } },
    });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('\r\n\r\n');
    if (what === 'bytes') client.send('\0\x01');
    expect(await client.rest()).toBe('');
    const events = await proxy.settled();
    expect(events[2]).toMatchObject({ effectiveAction: 'block', effectiveReason: 'unknown_protocol' });
    expect(reasonsOf(events)).toEqual(['blocked']);
    await origin.connections[0]?.ended();
    expect(origin.connections[0]?.received.length).toBe(0);
  });
});
