// The handshake with real origins, over a connection that stands and together with dialling it.
import { once } from 'node:events';
import { TLSSocket } from 'node:tls';

import { type MitmConfigInput, planRoute } from 'mitm-core';
import { classifyTlsError } from 'mitm-tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  createLabAuthority,
  type IssueOptions,
  type LabAuthority,
} from '../../../../testing/lab/certificates.ts';
import { dialLoopback } from '../../../../testing/lab/clients.ts';
import {
  refusedPort,
  startHttpsOrigin,
  startRawOrigin,
  startSilentOrigin,
} from '../../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import {
  type ConnectedTls,
  ConnectTlsError,
  type ConnectTlsOptions,
  connectTlsOver,
  dialTls,
} from '../../src/handshake/connect-tls.ts';
import type { TargetOptions, UpstreamTarget } from '../../src/upstream/target.ts';
import { createRuntime } from '../runtime-fixture.ts';
import { closed, patterned, record, tcpPair } from '../streams.ts';

let authority: LabAuthority;

beforeAll(async () => {
  authority = await createLabAuthority();
});

afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

async function targetOf(
  host: string,
  port: number,
  given: Partial<TargetOptions> & { upstream?: MitmConfigInput['upstream'] } = {},
): Promise<UpstreamTarget> {
  const { runtime, engine } = await createRuntime({
    config: { upstream: { caPaths: [await authority.caFile()], ...given.upstream } },
  });
  const route = planRoute(engine.config, { host, port });
  const options = { route, isTls: true, skipVerify: false, alpn: ['http/1.1'], ...given };
  return runtime.targets.of(engine.config, options);
}

const times: ConnectTlsOptions = { connectTimeoutMs: 5_000, handshakeTimeoutMs: 5_000 };

type Way = (target: UpstreamTarget, options?: Partial<ConnectTlsOptions>) => Promise<ConnectedTls>;

const dialling: Way = async (target, options = {}) => {
  if (target.tls === undefined) throw new Error('a target without TLS');
  return dialTls(target, target.tls, { ...times, ...options });
};

const overTcp: Way = async (target, options = {}) => {
  if (target.tls === undefined) throw new Error('a target without TLS');
  const socket = await dialLoopback(target.route.nextHop.port);
  socket.allowHalfOpen = true;
  return connectTlsOver(socket, target.tls, { ...times, ...options });
};

const ways: readonly (readonly [string, Way])[] = [
  ['dialled here', dialling],
  ['over TCP', overTcp],
];

async function failureOf(connecting: Promise<ConnectedTls>): Promise<ConnectTlsError> {
  const error: unknown = await connecting.catch((caught: unknown) => caught);
  if (!(error instanceof ConnectTlsError)) throw new Error('no ConnectTlsError', { cause: error });
  return error;
}

describe.each(ways)('%s', (_name, connect) => {
  test('the origin is verified, its protocol told, and bytes go both ways', async () => {
    await using origin = await startRawOrigin({
      tls: { authority, alpn: ['http/1.1'] },
      onConnection: (socket) => {
        socket.on('data', (piece) => socket.write(piece));
        socket.on('end', () => socket.end());
      },
    });
    const { wire, alpn, version } = await connect(await targetOf('localhost', origin.port));
    expect({ alpn, version }).toEqual({ alpn: 'http/1.1', version: 'TLSv1.3' });
    const reader = record(wire);
    const sent = patterned(2 * 1024 * 1024);
    wire.write(sent);
    await reader.until(() => reader.pieces.reduce((sum, piece) => sum + piece.length, 0) === sent.length);
    expect(reader.bytes.equals(sent)).toBe(true);
    wire.end();
    await reader.called('close');
    expect(reader.error).toBeUndefined();
  });

  test('an origin without ALPN names nothing', async () => {
    await using origin = await startRawOrigin({ tls: { authority } });
    const { wire, alpn } = await connect(await targetOf('localhost', origin.port));
    expect(alpn).toBeUndefined();
    wire.destroy();
  });

  test('what the origin says right behind the handshake is held for the first reader', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: (socket) => {
        socket.end('greeting');
      },
    });
    const { wire } = await connect(await targetOf('localhost', origin.port));
    await expect.poll(() => wire.isEnded).toBe(true);
    const reader = record(wire);
    expect([reader.text, reader.calls]).toEqual(['greeting', ['data', 'end']]);
    wire.destroy();
  });

  test('an origin that ends its direction first can still be written to', async () => {
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: (socket) => {
        socket.end('bye');
      },
    });
    const { wire } = await connect(await targetOf('localhost', origin.port));
    const reader = record(wire);
    await reader.called('end');
    wire.writeText('heard all the same');
    await expect.poll(() => origin.connections[0]?.received.toString()).toBe('heard all the same');
    wire.end();
    await reader.called('close');
  });

  test.each([
    ['a name', 'localhost', 'localhost'],
    ['an address, which is no SNI (RFC 6066 §3)', '127.0.0.1', undefined],
  ])('SNI for %s', async (_rule, host, sni) => {
    await using origin = await startHttpsOrigin({ authority });
    const target = await targetOf(host, origin.port);
    const { wire } = await connect(target);
    await expect.poll(() => origin.handshakes.length).toBe(1);
    expect(origin.handshakes[0]?.servername).toBe(sni);
    expect(target.tls?.servername).toBe(sni ?? '');
    wire.destroy();
  });

  test.each([
    ['expired', { expired: true }, ['localhost'], 'CERT_HAS_EXPIRED'],
    ['not yet valid', { notYetValid: true }, ['localhost'], 'CERT_NOT_YET_VALID'],
    ['signed by itself', { selfSigned: true }, ['localhost'], 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['for another name', {}, ['example.org'], 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const)('a certificate that is %s is refused', async (_rule, options: IssueOptions, names, code) => {
    const certificate = await authority.issue(names, options);
    await using origin = await startRawOrigin({ tls: { authority, certificate } });
    const error = await failureOf(connect(await targetOf('localhost', origin.port)));
    expect(error.stage).toBe('handshake');
    expect(error.cause).toMatchObject({ code });
  });

  test('an authority that nobody trusts is refused', async () => {
    await using stranger = await createLabAuthority('A stranger');
    await using origin = await startRawOrigin({ tls: { authority: stranger } });
    const error = await failureOf(connect(await targetOf('localhost', origin.port)));
    expect([error.stage, classifyTlsError(error.cause)]).toEqual(['handshake', 'unknown_ca']);
  });

  test('nothing is verified where that is switched off', async () => {
    const certificate = await authority.issue(['example.org'], { selfSigned: true, expired: true });
    await using origin = await startRawOrigin({ tls: { authority, certificate } });
    const { wire } = await connect(await targetOf('localhost', origin.port, { skipVerify: true }));
    expect(wire.isTls).toBe(true);
    wire.destroy();
  });

  test('the second connection resumes the session of the first', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const target = await targetOf('localhost', origin.port);
    const sessions: Buffer[] = [];
    const first = await connect(target, { onSession: (session) => sessions.push(session) });
    record(first.wire);
    await expect.poll(() => sessions.length).toBeGreaterThan(0);
    const second = await connect(target, { session: sessions.at(-1) });
    const isReused = [first, second].map(
      ({ wire }) => wire.socket instanceof TLSSocket && wire.socket.isSessionReused(),
    );
    expect(isReused).toEqual([false, true]);
    first.wire.destroy();
    second.wire.destroy();
  });

  test('a silent origin is given up when time is up', async () => {
    await using origin = await startSilentOrigin();
    const error = await failureOf(
      connect(await targetOf('localhost', origin.port), { handshakeTimeoutMs: 40 }),
    );
    expect(error).toMatchObject({ stage: 'handshake', cause: { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' } });
    expect(error.message).toBe('handshake timed out after 40 ms');
    await expect.poll(() => origin.connections[0]?.hasEnded).toBe(true);
  });

  test.each([
    ['says something else', 'SSH-2.0-x\r\n', 'ERR_SSL_WRONG_VERSION_NUMBER'],
    ['hangs up', '', 'ECONNRESET'],
  ])('an origin that %s fails the handshake', async (_rule, said, code) => {
    await using origin = await startRawOrigin({ onConnection: (socket) => void socket.end(said) });
    const error = await failureOf(connect(await targetOf('localhost', origin.port)));
    expect(error).toMatchObject({ stage: 'handshake', cause: { code } });
  });

  test('no timer, listener or socket is left', async () => {
    const before = openHandles();
    const origin = await startRawOrigin({ tls: { authority } });
    const { wire } = await connect(await targetOf('localhost', origin.port));
    for (const name of ['error', 'close', 'connect', 'secureConnect']) {
      const names = wire.socket.listeners(name).map((listener) => listener.name);
      expect(names).not.toContain('fail');
      expect(names).not.toContain('onClose');
      expect(names).not.toContain('onConnect');
      expect(names).not.toContain('onSecure');
    }
    wire.destroy();
    await closed(wire.socket);
    await origin[Symbol.asyncDispose]();
    await expectNothingLeft(before);
  });
});

describe('dialling', () => {
  test('tells when TCP stands, before the handshake', async () => {
    await using origin = await startRawOrigin({ tls: { authority } });
    const told: string[] = [];
    const { wire } = await dialling(await targetOf('localhost', origin.port), {
      onConnected: () => told.push('connected'),
    });
    expect(told).toEqual(['connected']);
    wire.destroy();
  });

  test('a port where nobody listens fails as a connection', async () => {
    const told: string[] = [];
    const error = await failureOf(
      dialling(await targetOf('127.0.0.1', await refusedPort()), {
        onConnected: () => told.push('connected'),
      }),
    );
    expect(error).toMatchObject({ stage: 'connect', cause: { code: 'ECONNREFUSED' } });
    expect(told).toEqual([]);
  });

  test('a next hop that does not answer is given up in time', async () => {
    // TEST-NET-1 (RFC 5737): nobody is there. Where the machine has no way to it at all, the system says so at once.
    const error = await failureOf(dialling(await targetOf('192.0.2.1', 443), { connectTimeoutMs: 60 }));
    expect(error.stage).toBe('connect');
    expect(['ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED']).toContain(
      Reflect.get(error.cause, 'code'),
    );
  });

  test('goes to the next hop and verifies the target', async () => {
    await using origin = await startHttpsOrigin({ authority, names: ['shop.example'] });
    const target = await targetOf('shop.example', 443);
    const nextHop = { host: '127.0.0.1', port: origin.port };
    const { wire } = await dialling({ ...target, route: { ...target.route, nextHop } });
    await expect.poll(() => origin.handshakes[0]?.servername).toBe('shop.example');
    wire.destroy();
  });

  test('reads on after a pause without losing a byte', async () => {
    const sent = patterned(4 * 1024 * 1024);
    await using origin = await startRawOrigin({
      tls: { authority },
      onConnection: (socket) => void socket.end(sent),
    });
    const { wire } = await dialling(await targetOf('localhost', origin.port));
    const reader = record(wire);
    reader.whenData = () => {
      wire.pause();
      setImmediate(() => wire.resume());
    };
    await reader.called('end');
    expect(reader.bytes.equals(sent)).toBe(true);
    wire.destroy();
  });
});

test.each([
  ['has ended', 'end'],
  ['is destroyed', 'destroy'],
] as const)('over TCP that %s there is no handshake to wait for', async (_rule, how) => {
  await using pair = await tcpPair();
  if (how === 'end') {
    pair.far.end();
    pair.near.resume();
    await once(pair.near, 'end');
  } else {
    pair.near.destroy();
  }
  const { tls } = await targetOf('localhost', 443);
  if (tls === undefined) throw new Error('a target without TLS');
  const error = await failureOf(connectTlsOver(pair.near, tls, times));
  expect(error).toMatchObject({ stage: 'handshake', cause: { code: 'ECONNRESET' } });
  expect(pair.near.destroyed).toBe(true);
});
