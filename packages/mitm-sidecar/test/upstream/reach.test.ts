// Reaching a target with a proxy on the way, and how it is told where that fails: each fault of the way has its reason and answer.
import type { Socket } from 'node:net';

import { Failure, type Flow, type MitmConfigInput } from 'mitm-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import { refusedPort, startRawOrigin, startTcpEcho } from '../../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { reach, reachProxy, reachVolatile } from '../../src/upstream/reach.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';
import { record } from '../streams.ts';

let authority: LabAuthority;

beforeAll(async () => {
  authority = await createLabAuthority();
});

afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

const target = { host: 'example.org', port: 443 };

async function prepare(config: Partial<MitmConfigInput>): Promise<{ fixture: RuntimeFixture; flow: Flow }> {
  const fixture = await createRuntime({
    config: { ...config, upstream: { caPaths: [await authority.caFile()], ...config.upstream } },
  });
  return { fixture, flow: fixture.openFlow(target) };
}

function viaHttp(port: number, more: object = {}): Partial<MitmConfigInput> {
  return { routeMode: 'upstream_http', upstreamHttpProxy: { host: 'localhost', port, ...more } };
}

function viaSocks(port: number): Partial<MitmConfigInput> {
  return { routeMode: 'upstream_socks5', upstreamSocks5Proxy: { host: 'localhost', port } };
}

async function outcome(config: Partial<MitmConfigInput>): Promise<Failure | string> {
  const { fixture, flow } = await prepare(config);
  try {
    const wire = await reach(flow, flow.route, fixture.runtime);
    const bytes = record(wire);
    await bytes.called('data');
    wire.destroy();
    return bytes.bytes.toString();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** A proxy that lets everybody through to a server that speaks first. */
function agree(socket: Socket): void {
  socket.once('data', (chunk: Buffer) => {
    if (chunk[0] !== 5) {
      socket.write('HTTP/1.1 200 OK\r\n\r\nhello');
      return;
    }
    socket.write(Buffer.from([5, 0]));
    socket.once('data', () =>
      socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...Buffer.from('hello')])),
    );
  });
}

describe('what the target says first is there', () => {
  test('behind an HTTP proxy', async () => {
    await using proxy = await startRawOrigin({ onConnection: agree });
    expect(await outcome(viaHttp(proxy.port))).toBe('hello');
  });

  test('behind an HTTP proxy over TLS', async () => {
    await using proxy = await startRawOrigin({ tls: { authority }, onConnection: agree });
    expect(await outcome(viaHttp(proxy.port, { tls: true }))).toBe('hello');
  });

  test('behind a SOCKS5 proxy', async () => {
    await using proxy = await startRawOrigin({ onConnection: agree });
    expect(await outcome(viaSocks(proxy.port))).toBe('hello');
  });
});

test('straight to the target, either kind of wire', async () => {
  await using origin = await startTcpEcho();
  const { fixture, flow } = await prepare({});
  const route = { ...flow.route, target: { host: '127.0.0.1', port: origin.port } };
  const direct = { ...route, nextHop: route.target };
  const [plain, volatile] = [
    await reach(flow, direct, fixture.runtime),
    await reachVolatile(flow, direct, fixture.runtime),
  ];
  expect([plain.isVolatile, volatile.isVolatile]).toEqual([false, true]);
  plain.destroy();
  volatile.destroy();
});

test('the proxy alone, without a greeting', async () => {
  await using proxy = await startRawOrigin({ onConnection: (socket) => void socket.write('hi') });
  const { fixture, flow } = await prepare(viaHttp(proxy.port));
  if (flow.route.proxy === undefined) throw new Error('no proxy');
  const wire = await reachProxy(flow, flow.route, flow.route.proxy, fixture.runtime);
  const bytes = record(wire);
  await bytes.called('data');
  expect(bytes.bytes.toString()).toBe('hi');
  expect(proxy.connectionCount).toBe(1);
  wire.destroy();
});

describe('a way that fails', () => {
  test('a proxy that nobody runs', async () => {
    const failure = await outcome(viaSocks(await refusedPort()));
    expect(failure).toMatchObject({
      reason: 'upstream_connect_failed',
      detail: expect.stringMatching(/^upstream_connect_failed\[upstream_socks5\]: .*ECONNREFUSED/),
      reply: { status: 502 },
    });
  });

  test('a proxy that is silent, and leaves nothing open', async () => {
    const before = openHandles();
    {
      await using proxy = await startRawOrigin();
      const failure = await outcome({ ...viaHttp(proxy.port), timeouts: { handshakeMs: 50 } });
      expect(failure).toMatchObject({ reply: { status: 504 } });
    }
    await expectNothingLeft(before);
  });

  test('a proxy whose certificate is not valid for it', async () => {
    await using proxy = await startRawOrigin({
      tls: { authority, names: ['other.test'] },
      onConnection: agree,
    });
    const failure = await outcome(viaHttp(proxy.port, { tls: true }));
    expect(failure).toMatchObject({
      reason: 'upstream_connect_failed',
      detail: expect.stringContaining('TLS with the next proxy failed (cert_validation)'),
      reply: {
        status: 502,
        body: expect.stringContaining('could not be spoken to securely (cert_validation)'),
      },
    });
  });

  test('is let pass where certificates are not verified at all', async () => {
    await using proxy = await startRawOrigin({
      tls: { authority, names: ['other.test'] },
      onConnection: agree,
    });
    const upstream = { verifyUpstreamTls: false };
    expect(await outcome({ ...viaHttp(proxy.port, { tls: true }), upstream })).toBe('hello');
  });

  test('a proxy that is said to speak TLS and does not', async () => {
    await using proxy = await startRawOrigin({
      onConnection: (socket) => void socket.end('HTTP/1.1 400 Bad\r\n\r\n'),
    });
    const failure = await outcome(viaHttp(proxy.port, { tls: true }));
    expect(failure).toMatchObject({ detail: expect.stringContaining('TLS with the next proxy failed') });
  });
});
