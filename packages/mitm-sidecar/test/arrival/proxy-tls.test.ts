// The proxy itself over TLS: who shakes hands is served as on any listener, and others learn what is wrong.
import type { MitmConfigInput } from 'mitm-core';
import { expect, test } from 'vitest';

import { dialLoopback, tlsOver } from '../../../../testing/lab/clients.ts';
import { startHttpOrigin } from '../../../../testing/lab/origins.ts';
import { clientOver, detailsOf, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';

const config: Partial<MitmConfigInput> = {
  bind: 'none',
  listeners: [{ bind: '127.0.0.1:0', tls: { names: ['proxy.example'] } }],
};

test.each([
  ['a client that offers HTTP/1.1', ['http/1.1'], 'http/1.1'],
  ['a client that offers HTTP/2 first', ['h2', 'http/1.1'], 'http/1.1'],
  ['a client that offers nothing', undefined, false],
])('%s speaks HTTP/1.1 inside', async (_who, alpn, agreed) => {
  await using origin = await startHttpOrigin();
  await using proxy = await startProxy({ config });
  const socket = await dialLoopback(proxy.port);
  const secure = await tlsOver(socket, {
    servername: 'proxy.example',
    ca: proxy.caPem,
    ...(alpn && { alpn }),
  });
  expect(secure.alpnProtocol).toBe(agreed);
  await using client = clientOver(secure);
  client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
  expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
  client.stream.end();
  expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'mitm_http_completed']);
});

test('a client that speaks nothing but HTTP/2 is refused in the handshake', async () => {
  await using proxy = await startProxy({ config });
  const socket = await dialLoopback(proxy.port);
  const attempt = tlsOver(socket, { servername: 'proxy.example', ca: proxy.caPem, alpn: ['h2'] });
  await expect(attempt).rejects.toThrow(/no application protocol/i);
  expect(reasonsOf(await proxy.settled())).toEqual(['tls_handshake_failed']);
});

test('a client that does not trust the proxy', async () => {
  await using proxy = await startProxy({ config });
  const socket = await dialLoopback(proxy.port);
  await expect(tlsOver(socket, { servername: 'other.example', ca: proxy.caPem })).rejects.toThrow('altnames');
  expect(reasonsOf(await proxy.settled())).toHaveLength(1);
});

test('behind a forwarder its header comes first, and then TLS', async () => {
  await using origin = await startHttpOrigin();
  const listener = { tls: { names: ['proxy.example'] }, proxyProtocol: { trustedAddresses: ['127.0.0.1'] } };
  await using proxy = await startProxy({
    config: { bind: 'none', listeners: [{ bind: '127.0.0.1:0', ...listener }] },
  });
  const socket = await dialLoopback(proxy.port);
  socket.write('PROXY TCP4 192.0.2.1 192.0.2.2 7 443\r\n');
  await using client = clientOver(await tlsOver(socket, { servername: 'proxy.example', ca: proxy.caPem }));
  client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
  expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
  client.stream.end();
  const [first] = await proxy.settled();
  expect(first?.context.clientAddr).toBe('192.0.2.1:7');
});

test('plain HTTP is told to use TLS', async () => {
  await using proxy = await startProxy({ config });
  await using client = await openClient(proxy.port);
  client.send('GET http://o.example/ HTTP/1.1\r\n\r\n');
  const answer = await client.rest();
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('use an https:// proxy address');
  client.stream.end();
  const events = await proxy.settled();
  expect([reasonsOf(events), detailsOf(events)]).toEqual([
    ['tls_handshake_failed'],
    ['proxy: the client does not speak TLS'],
  ]);
});

test('a client that stalls in its handshake is let go', async () => {
  await using proxy = await startProxy({ config: { ...config, timeouts: { handshakeMs: 100 } } });
  await using client = await openClient(proxy.port);
  client.send('\x16\x03\x01');
  await client.log.ended();
  client.stream.end();
  const events = await proxy.settled();
  expect(reasonsOf(events)).toEqual(['tls_handshake_failed']);
  expect(detailsOf(events)[0]).toContain('handshake timed out after 100 ms');
});

test('a client that says nothing and leaves', async () => {
  await using proxy = await startProxy({ config });
  await using client = await openClient(proxy.port);
  client.stream.end();
  await client.rest();
  expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted']);
});
