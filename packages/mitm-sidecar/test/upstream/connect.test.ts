// One connection for an exchange, and what is reported about it on that exchange's flow.
import { TLSSocket } from 'node:tls';

import { Failure, type Flow, planRoute } from 'mitm-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import {
  refusedPort,
  startHttpsOrigin,
  startRawOrigin,
  startTcpEcho,
} from '../../../../testing/lab/origins.ts';
import { connectUpstream, type SessionCache } from '../../src/upstream/connect.ts';
import type { UpstreamTarget } from '../../src/upstream/target.ts';
import { createRuntime, type RuntimeFixture, type RuntimeOptions } from '../runtime-fixture.ts';
import { record } from '../streams.ts';

let authority: LabAuthority;

beforeAll(async () => {
  authority = await createLabAuthority();
});

afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

interface Prepared {
  readonly fixture: RuntimeFixture;
  readonly flow: Flow;
  readonly target: UpstreamTarget;
  readonly sessions: SessionCache & { readonly kept: Map<string, Buffer> };
}

async function prepare(
  port: number,
  given: { isTls?: boolean; host?: string; config?: RuntimeOptions['config'] } = {},
): Promise<Prepared> {
  const fixture = await createRuntime({
    config: { ...given.config, upstream: { caPaths: [await authority.caFile()], ...given.config?.upstream } },
  });
  const host = given.host ?? 'localhost';
  const route = planRoute(fixture.engine.config, { host, port });
  const kept = new Map<string, Buffer>();
  return {
    fixture,
    flow: fixture.openFlow(undefined, fixture.openFlow({ host, port })),
    target: fixture.runtime.targets.of(fixture.engine.config, {
      route,
      isTls: given.isTls ?? true,
      skipVerify: false,
      alpn: ['http/1.1'],
    }),
    sessions: {
      kept,
      get: (key) => kept.get(key),
      set: (key, session) => void kept.set(key, session),
    },
  };
}

function connectTo({ fixture, flow, target, sessions }: Prepared) {
  return connectUpstream(fixture.runtime, flow, target, sessions);
}

async function failureOf(connecting: Promise<unknown>): Promise<Failure> {
  const error: unknown = await connecting.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  return error;
}

test('plain HTTP is TCP alone, and no event', async () => {
  await using origin = await startTcpEcho();
  const prepared = await prepare(origin.port, { isTls: false });
  const { wire } = await connectTo(prepared);
  const reader = record(wire);
  wire.writeText('echo');
  await reader.until(() => reader.text === 'echo');
  expect(wire.isTls).toBe(false);
  expect(prepared.fixture.recorder.kinds()).toEqual([]);
  wire.destroy();
});

test('TLS is reported on the flow of the exchange, whose state does not move', async () => {
  await using origin = await startRawOrigin({ tls: { authority, alpn: ['http/1.1'] } });
  const prepared = await prepare(origin.port);
  const { state, id } = prepared.flow;
  const { wire } = await connectTo(prepared);
  const { recorder } = prepared.fixture;
  expect(recorder.kinds()).toEqual(['tls_handshake_started', 'tls_handshake_succeeded']);
  expect(recorder.ofFlow(id)).toHaveLength(2);
  expect(recorder.events()[0]).toMatchObject({ peer: 'upstream', sni: 'localhost' });
  expect(recorder.events()[1]).toMatchObject({ negotiatedAlpn: 'http/1.1', tlsVersion: 'TLSv1.3' });
  expect(prepared.flow.state).toBe(state);
  wire.destroy();
});

test('sessions are kept by key, and resumed', async () => {
  await using origin = await startHttpsOrigin({ authority });
  const prepared = await prepare(origin.port);
  const { wire: first } = await connectTo(prepared);
  record(first);
  await expect.poll(() => [...prepared.sessions.kept.keys()]).toEqual([prepared.target.key]);
  const { wire: second } = await connectTo(prepared);
  expect(second.socket instanceof TLSSocket && second.socket.isSessionReused()).toBe(true);
  first.destroy();
  second.destroy();
});

test.each([true, false])(
  'nobody listens (TLS: %s): not reached, so no handshake is reported',
  async (isTls) => {
    const prepared = await prepare(await refusedPort(), { isTls });
    const failure = await failureOf(connectTo(prepared));
    expect(failure).toMatchObject({ reason: 'upstream_connect_failed', reply: { status: 502 } });
    expect(failure.detail).toMatch(/^upstream_connect_failed\[direct\]: .*ECONNREFUSED/);
    expect(prepared.fixture.recorder.kinds()).toEqual([]);
  },
);

test('a certificate that is not valid is a failed handshake with its class', async () => {
  const certificate = await authority.issue(['localhost'], { expired: true });
  await using origin = await startRawOrigin({ tls: { authority, certificate } });
  const prepared = await prepare(origin.port);
  const failure = await failureOf(connectTo(prepared));
  expect(failure).toMatchObject({ reason: 'tls_handshake_failed', side: 'upstream', reply: { status: 502 } });
  expect(String(failure.reply?.body)).toContain('(cert_validation)');
  expect(prepared.fixture.recorder.kinds()).toEqual(['tls_handshake_started', 'tls_handshake_failed']);
});

test('a silent origin is a 504', async () => {
  await using origin = await startRawOrigin();
  const prepared = await prepare(origin.port, { config: { timeouts: { handshakeMs: 40 } } });
  const failure = await failureOf(connectTo(prepared));
  expect(failure).toMatchObject({ reason: 'tls_handshake_failed', reply: { status: 504 } });
});

test('a proxy that speaks TLS and is not said to is never sent the TLS that is meant for the target', async () => {
  await using proxy = await startRawOrigin({ tls: { authority } });
  const prepared = await prepare(443, {
    host: 'example.org',
    config: { routeMode: 'upstream_http', upstreamHttpProxy: { host: '127.0.0.1', port: proxy.port } },
  });
  expect((await failureOf(connectTo(prepared))).reason).toBe('upstream_connect_failed');
  expect(proxy.connections).toEqual([]);
});
