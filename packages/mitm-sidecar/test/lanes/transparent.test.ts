// Redirected connections: what the client says names its target, the port is the one that it had dialled, and a client that says
// nothing goes to the address that it had dialled. The redirect itself is played here.
import { createServer, type Socket } from 'node:net';

import type { MitmConfigInput, SocketEndpoint } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { dialLoopback, tlsOver } from '../../../../testing/lab/clients.ts';
import { listen } from '../../../../testing/lab/listening.ts';
import {
  startBannerOrigin,
  startHttpOrigin,
  startHttpsOrigin,
  startTcpEcho,
} from '../../../../testing/lab/origins.ts';
import { plainWayIn } from '../../src/arrival/way-in.ts';
import { serveConnection } from '../../src/connection.ts';
import { clientOver, detailsOf, expectInvariants, reasonsOf, untilQuiet } from '../proxy-lab.ts';
import { createRuntime } from '../runtime-fixture.ts';

/** A proxy whose clients had all dialled one address. */
async function redirected(original: SocketEndpoint | undefined, config: Partial<MitmConfigInput> = {}) {
  const fixture = await createRuntime({ config });
  const wayIn = { ...plainWayIn, kind: 'transparent', originalTarget: () => original } as const;
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    const family = {
      kind: 'tcp_v4',
      local: { address: '127.0.0.1', port: 1 },
      remote: { address: '127.0.0.1', port: socket.remotePort ?? 0 },
    } as const;
    void serveConnection(socket, family, fixture.runtime, () => {}, wayIn);
  });
  const listening = await listen(server);
  return {
    ...fixture,
    port: listening.port,
    settled: async () => {
      await untilQuiet(fixture.engine);
      const events = fixture.recorder.events();
      expectInvariants(fixture.engine, events);
      return events;
    },
    [Symbol.asyncDispose]: async () => {
      await listening[Symbol.asyncDispose]();
      fixture.close();
    },
  };
}

/** An address that nobody listens at: whoever is dialled, it is not this one. */
const nowhere = '127.0.0.99';
const request = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

describe('TLS', () => {
  test('goes to its server name, whatever address the client had dialled', async () => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await redirected(
      { address: nowhere, port: origin.port },
      { upstream: { caPaths: [await authority.caFile()] } },
    );
    const secure = await tlsOver(await dialLoopback(proxy.port), {
      servername: 'localhost',
      ca: proxy.ca.certificatePem,
    });
    await using client = clientOver(secure);
    client.send(request('localhost'));
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 /);
    const events = await proxy.settled();
    expect(events[0]?.context).toMatchObject({ serverHost: 'localhost', serverPort: origin.port });
  });

  test('without one it goes to that address', async () => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await redirected(
      { address: '127.0.0.1', port: origin.port },
      { upstream: { caPaths: [await authority.caFile()] } },
    );
    const secure = await tlsOver(await dialLoopback(proxy.port), {
      servername: '127.0.0.1',
      ca: proxy.ca.certificatePem,
    });
    await using client = clientOver(secure);
    client.send(request(origin.authority));
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 /);
    const events = await proxy.settled();
    expect(events[0]?.context.serverHost).toBe('127.0.0.1');
  });
});

describe('HTTP goes to its Host at the port that the client had dialled', () => {
  test.each([
    ['a Host without a port', 'localhost', 'localhost'],
    ['a Host with another port', 'localhost:1', 'localhost'],
    ['no Host', undefined, '127.0.0.1'],
  ])('%s', async (_what, host, dialled) => {
    await using origin = await startHttpOrigin();
    await using proxy = await redirected({
      address: host === undefined ? '127.0.0.1' : nowhere,
      port: origin.port,
    });
    await using client = clientOver(await dialLoopback(proxy.port));
    client.send(host === undefined ? 'GET / HTTP/1.0\r\n\r\n' : request(host));
    expect(await client.rest()).toMatch(/^HTTP\/1\.[01] 200 /);
    const events = await proxy.settled();
    expect(events[0]?.context).toMatchObject({ serverHost: dialled, serverPort: origin.port });
  });

  test('a name that policy refuses is refused, although the address is not', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await redirected(
      { address: '127.0.0.1', port: origin.port },
      { interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] } },
    );
    await using client = clientOver(await dialLoopback(proxy.port));
    client.send(request('blocked.example'));
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 403 /);
    expect(origin.connectionCount).toBe(0);
    await proxy.settled();
  });
});

describe('what names nothing goes to the address', () => {
  test('an origin that speaks first', async () => {
    await using origin = await startBannerOrigin('220 mail\r\n');
    await using proxy = await redirected({ address: '127.0.0.1', port: origin.port });
    await using client = clientOver(await dialLoopback(proxy.port));
    expect(await client.receive('\r\n')).toBe('220 mail\r\n');
    client.stream.end();
    const events = await proxy.settled();
    expect(events[0]?.context).toMatchObject({ serverHost: '127.0.0.1', serverPort: origin.port });
  });

  test('a client that speaks something else', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await redirected({ address: '127.0.0.1', port: origin.port });
    await using client = clientOver(await dialLoopback(proxy.port));
    client.send('\0\x01hello');
    expect(await client.receive('hello')).toBe('\0\x01hello');
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('HTTP/2 where it is switched off', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await redirected(
      { address: '127.0.0.1', port: origin.port },
      { http2Enabled: false },
    );
    await using client = clientOver(await dialLoopback(proxy.port));
    client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(await client.receive('SM\r\n\r\n')).toBe('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });

  test('but not to one that policy refuses', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await redirected(
      { address: '127.0.0.1', port: origin.port },
      { interception: { destinations: ['*:*'], blockedHosts: ['127.0.0.1'] } },
    );
    await using client = clientOver(await dialLoopback(proxy.port));
    client.send('\0\x01hello');
    expect(await client.rest()).toBe('');
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual(['blocked']);
    expect(origin.connectionCount).toBe(0);
  });
});

test('a connection that nobody redirected is refused', async () => {
  await using proxy = await redirected(undefined);
  await using client = clientOver(await dialLoopback(proxy.port));
  client.send(request('localhost'));
  expect(await client.rest()).toBe('');
  client.stream.end();
  const events = await proxy.settled();
  expect(reasonsOf(events)).toEqual(['route_planner_failed']);
  expect(detailsOf(events)[0]).toContain('was not redirected');
});

test('a client that leaves without a word', async () => {
  await using proxy = await redirected({ address: '127.0.0.1', port: 9 });
  await using client = clientOver(await dialLoopback(proxy.port));
  client.stream.end();
  await client.rest();
  expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted']);
});
