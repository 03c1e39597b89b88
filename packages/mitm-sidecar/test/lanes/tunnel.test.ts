// A tunnelled CONNECT: the bytes of both sides pass unread, and nothing is known of them but their number.
import { once } from 'node:events';

import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { connectTunnel } from '../../../../testing/lab/clients.ts';
import { tlsOver } from '../../../../testing/lab/clients.ts';
import { kindsOf } from '../../../../testing/lab/events.ts';
import {
  refusedPort,
  startBannerOrigin,
  startHttpsOrigin,
  startRawOrigin,
  startTcpEcho,
} from '../../../../testing/lab/origins.ts';
import { clientOver, openClient, reasonsOf, reset, startProxy } from '../proxy-lab.ts';
import { patterned } from '../streams.ts';

const config = { interception: { destinations: ['nowhere:1'], ignoreHosts: ['localhost'] } };

describe('a tunnel', () => {
  test('CP-05 relays both ways, byte for byte, and is relay_eof', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    expect(tunnel.headText).toBe('HTTP/1.1 200 Connection Established\r\n\r\n');
    const client = clientOver(tunnel.socket);
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
    client.send(bytes);
    client.stream.end();
    expect(Buffer.from(await client.rest(), 'latin1').equals(bytes)).toBe(true);
    const events = await proxy.settled();
    expect(kindsOf(events)).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
    expect(events.at(-1)).toMatchObject({
      reasonCode: 'relay_eof',
      bytesFromClient: 100_000,
      bytesFromServer: 100_000,
    });
    expect(proxy.engine.snapshot().tunnelledCount).toBe(1);
  });

  test('is byte for byte where the client is slower than the origin, whose one read buffer is used again', async () => {
    const bytes = patterned(6 << 20);
    await using origin = await startRawOrigin({ onConnection: (socket) => void socket.end(bytes) });
    await using proxy = await startProxy({ config });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const pieces: Buffer[] = [tunnel.rest];
    const stream = tunnel.socket;
    stream.end();
    // A client that takes a piece only every other turn keeps the proxy waiting again and again.
    stream.on('readable', () => {
      setImmediate(() => {
        for (let piece: unknown = stream.read(); piece instanceof Buffer; piece = stream.read())
          pieces.push(piece);
      });
    });
    await once(stream, 'end');
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('CP-08 TLS goes through end to end and emits no handshake', async () => {
    await using lab = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority: lab });
    await using proxy = await startProxy({ config });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    await using client = clientOver(await tlsOver(tunnel.socket, { servername: 'localhost', ca: lab.caPem }));
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    client.stream.end();
    const events = await proxy.settled();
    expect(kindsOf(events).filter((kind) => kind.startsWith('tls_'))).toEqual([]);
  });

  test('bytes behind the CONNECT head go first', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\nearly`);
    expect(await client.receive('early')).toBe('HTTP/1.1 200 Connection Established\r\n\r\nearly');
    client.send(' late');
    await client.receive(' late');
    client.stream.end();
  });

  test('an origin that greets first is heard, and a half-close is passed on', async () => {
    await using origin = await startBannerOrigin('220 hello\r\n');
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('220 hello\r\n');
    client.stream.end('quit');
    expect(await client.rest()).toBe('quit');
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('CH-04 a reset is relay_error, and the other side is reset too', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\nhello`);
    await client.receive('\r\n\r\n');
    await expect.poll(() => origin.connections[0]?.received.toString()).toBe('hello');
    reset(client);
    await origin.connections[0]?.closed();
    expect(origin.connections[0]?.error).toMatchObject({ code: 'ECONNRESET' });
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_error']);
  });

  test('silence for timeouts.tunnelIdleMs ends it', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({ config: { ...config, timeouts: { tunnelIdleMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.log.closed();
    expect(reasonsOf(await proxy.settled())).toEqual(['idle_watchdog_timeout']);
  });

  test('H1-15 an origin that refuses is 502, and the 200 is never sent', async () => {
    const port = await refusedPort();
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT localhost:${port} HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
    expect(reasonsOf(await proxy.settled())).toEqual(['upstream_connect_failed']);
  });
});
