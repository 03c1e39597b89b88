// Connections that a forwarder passes on: whose they are, and what becomes of those that do not say.
import type { ConnectionMeta, MitmConfigInput } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { startHttpOrigin } from '../../../../testing/lab/origins.ts';
import { detailsOf, openClient, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';

interface Lab extends AsyncDisposable {
  readonly proxy: ProxyLab;
  readonly metas: readonly ConnectionMeta[];
}

async function started(
  trustedAddresses: readonly string[],
  fields: Partial<MitmConfigInput> = {},
): Promise<Lab> {
  const metas: ConnectionMeta[] = [];
  const proxy = await startProxy({
    config: {
      bind: 'none',
      listeners: [{ bind: '127.0.0.1:0', proxyProtocol: { trustedAddresses } }],
      ...fields,
    },
    handler: { onConnectionOpen: (meta) => void metas.push(meta) },
  });
  return { proxy, metas, [Symbol.asyncDispose]: async () => await proxy[Symbol.asyncDispose]() };
}

const line = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n';
const binary = '\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24';
const six = `${binary}\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01${'\0'.repeat(15)}\x01\x00\x07\x01\xbb`;

describe('a trusted forwarder', () => {
  test.each([
    [
      'version 1',
      line,
      '192.0.2.1:56324',
      { kind: 'tcp_v4', remote: { address: '192.0.2.1', port: 56_324 } },
    ],
    ['version 2', six, '[2001:db8::1]:7', { kind: 'tcp_v6', remote: { address: '2001:db8::1', port: 7 } }],
  ])('names the client (%s)', async (_version, header, clientAddr, family) => {
    await using origin = await startHttpOrigin();
    await using lab = await started(['127.0.0.0/8']);
    const { proxy, metas } = lab;
    await using client = await openClient(proxy.port);
    client.send(`${header}GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    client.stream.end();
    const events = await proxy.settled();
    expect(new Set(events.map(({ context }) => context.clientAddr))).toEqual(new Set([clientAddr]));
    expect(metas).toMatchObject([{ socketFamily: family, forwarder: { address: '127.0.0.1' } }]);
  });

  test.each([
    ['speaks for itself', 'PROXY UNKNOWN\r\n'],
    ['checks our health', '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0'],
  ])('that %s is the client', async (_what, header) => {
    await using origin = await startHttpOrigin();
    await using lab = await started(['127.0.0.1']);
    const { proxy, metas } = lab;
    await using client = await openClient(proxy.port);
    client.send(`${header}GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    client.stream.end();
    await proxy.settled();
    expect(metas).toMatchObject([{ socketFamily: { kind: 'tcp_v4', remote: { address: '127.0.0.1' } } }]);
    expect(metas[0]).not.toHaveProperty('forwarder');
  });

  test.each([
    ['says nothing of it', 'GET / HTTP/1.1\r\n\r\n', 'does not begin with a PROXY header'],
    ['names no address', 'PROXY TCP4 here there 1 2\r\n', 'two addresses and two ports'],
    ['speaks of UDP', '\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c', 'not TCP'],
  ])('that %s is cut off without an answer', async (_what, sent, detail) => {
    await using lab = await started(['127.0.0.1']);
    const { proxy, metas } = lab;
    await using client = await openClient(proxy.port);
    client.send(sent.padEnd(40, '\0'));
    expect(await client.rest()).toBe('');
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['proxy_header_failed']);
    expect(detailsOf(events)[0]).toContain(detail);
    expect(metas).toMatchObject([{ socketFamily: { remote: { address: '127.0.0.1' } } }]);
  });

  test.each([
    ['within the header', 'PROXY TCP4', ['proxy_header_failed'], ['proxy_header: cut short']],
    ['before it', '', ['client_aborted'], ['nothing was sent']],
  ])('that leaves %s', async (_where, sent, reasons, details) => {
    await using lab = await started(['127.0.0.1']);
    const { proxy } = lab;
    await using client = await openClient(proxy.port);
    client.stream.end(sent);
    expect(await client.rest()).toBe('');
    const events = await proxy.settled();
    expect([reasonsOf(events), detailsOf(events)]).toEqual([reasons, details]);
  });

  test('that stalls is cut off', async () => {
    await using lab = await started(['127.0.0.1'], { timeouts: { handshakeMs: 100 } });
    const { proxy } = lab;
    await using client = await openClient(proxy.port);
    client.send('PROXY TCP4');
    expect(await client.rest()).toBe('');
    client.stream.end();
    expect(detailsOf(await proxy.settled())).toEqual(['proxy_header: no whole header within 100 ms']);
  });

  test('that stalls does not hold up the shutdown', async () => {
    await using lab = await started(['127.0.0.1']);
    const { proxy } = lab;
    await using client = await openClient(proxy.port);
    client.stream.on('error', () => {});
    client.send('PROXY TCP4');
    await expect.poll(() => proxy.server.connectionCount).toBe(1);
    await proxy.server.close(50).catch(() => {});
    expect(reasonsOf(await proxy.settled())).toEqual(['shutdown']);
  });
});

test('anybody else is served without a header, and not believed with one', async () => {
  await using origin = await startHttpOrigin();
  await using lab = await started(['192.0.2.0/24']);
  const { proxy, metas } = lab;
  const get = `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`;
  await using honest = await openClient(proxy.port);
  honest.send(get);
  expect(await honest.rest()).toMatch(/^HTTP\/1\.1 200 /);
  await using liar = await openClient(proxy.port);
  liar.send(line + get);
  expect(await liar.rest()).toMatch(/^HTTP\/1\.1 400 /);
  honest.stream.end();
  liar.stream.end();
  await proxy.settled();
  expect(metas.map(({ socketFamily }) => 'remote' in socketFamily && socketFamily.remote.address)).toEqual([
    '127.0.0.1',
    '127.0.0.1',
  ]);
});
