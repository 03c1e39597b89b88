// Which version of HTTP each side of an intercepted connection speaks, and who learns what where the other side can't be spoken to.
import { connect } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import type { MitmConfigInput } from 'mitm-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import { connectTunnel, destroyed, tlsOver } from '../../../../testing/lab/clients.ts';
import { Gate } from '../../../../testing/lab/gate.ts';
import {
  askHttp2,
  http2Over,
  http2ThroughProxy,
  startHttp2Origin,
} from '../../../../testing/lab/http2-peers.ts';
import { refusedPort, startHttpsOrigin } from '../../../../testing/lab/origins.ts';
import { startRawOrigin } from '../../../../testing/lab/raw-origins.ts';
import { tlsTarget } from '../../src/lanes/intercept-tls.ts';
import { clientOver, detailsOf, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';
import { createRuntime } from '../runtime-fixture.ts';

const made: { authority: LabAuthority | undefined; caPath: string } = { authority: undefined, caPath: '' };
beforeAll(async () => {
  made.authority = await createLabAuthority();
  made.caPath = await made.authority.caFile();
});
afterAll(async () => {
  await made.authority?.[Symbol.asyncDispose]();
});

/** The authority of this file's origins. */
function labAuthority(): LabAuthority {
  if (made.authority === undefined) throw new Error('the authority has not been made');
  return made.authority;
}

function trustingProxy(config: Partial<MitmConfigInput> = {}): Promise<ProxyLab> {
  return startProxy({ config: { ...config, upstream: { caPaths: [made.caPath], ...config.upstream } } });
}

/** TLS with the proxy inside a tunnel, offering these names. */
async function handshake(
  proxy: ProxyLab,
  authority: string,
  alpn: readonly string[],
): Promise<TLSSocket & AsyncDisposable> {
  const { socket } = await connectTunnel(proxy.port, authority);
  const secure = await tlsOver(socket, {
    servername: 'localhost',
    ca: proxy.caPem,
    ...(alpn.length === 0 ? {} : { alpn }),
  });
  return Object.assign(secure, { [Symbol.asyncDispose]: () => destroyed(secure) });
}

const both = ['h2', 'http/1.1'];
const off = { http2Enabled: false } as const;
const bridge = { http2Bridge: true } as const;
const override = {
  compatibilityOverrides: [{ ruleId: 'old', hostPattern: 'localhost', disableH2: true }],
} as const;

describe('both sides speak', () => {
  const rows: readonly [
    string,
    Partial<MitmConfigInput>,
    readonly string[],
    readonly string[],
    readonly (string | false)[],
  ][] = [
    ['HTTP/2, where both have it', {}, both, both, ['h2', 'h2']],
    ['HTTP/1, where the client has no other', {}, ['http/1.1'], both, ['http/1.1', 'http/1.1']],
    ['HTTP/1, where the origin has no other', {}, both, ['http/1.1'], ['http/1.1', 'http/1.1']],
    ['HTTP/1, where it is all that is allowed', off, both, both, ['http/1.1', 'http/1.1']],
    ['HTTP/1, where an override wants it', override, both, both, ['http/1.1', 'http/1.1']],
    ['HTTP/1 with a client that names nothing', {}, [], both, [false, 'http/1.1']],
    ['no name, where the origin chooses none', {}, both, [], [false, false]],
    ['what each has, with a bridge: HTTP/2 here', bridge, both, ['http/1.1'], ['h2', 'http/1.1']],
    ['what each has, with a bridge: HTTP/2 there', bridge, ['http/1.1'], both, ['http/1.1', 'h2']],
  ];
  test.each(rows)('%s', async (_rule, config, offered, known, agreed) => {
    const chosen: unknown[] = [];
    await using origin = await startRawOrigin({
      tls: { authority: labAuthority(), ...(known.length === 0 ? {} : { alpn: known }) },
      onConnection: (socket) => {
        chosen.push('alpnProtocol' in socket ? socket.alpnProtocol : undefined);
      },
    });
    await using proxy = await trustingProxy(config);
    await using secure = await handshake(proxy, origin.authority, offered);
    await expect.poll(() => chosen).toEqual([agreed[1]]);
    expect(secure.alpnProtocol).toBe(agreed[0]);
  });
});

describe('a connection in the pool', () => {
  test('of HTTP/2 spares the next client’s handshake with the origin, and says what to speak', async () => {
    await using origin = await startHttp2Origin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    for (let round = 0; round < 2; round += 1) {
      await using client = await http2ThroughProxy({
        proxyPort: proxy.port,
        authority: origin.authority,
        ca: proxy.caPem,
      });
      expect((await askHttp2(client, { ':path': '/' })).body.toString()).toBe('ok');
    }
    expect(origin.sessions).toHaveLength(1);
  });

  test('outlives the client for whom it was made, however that one ends', async () => {
    await using origin = await startHttp2Origin({ authority: labAuthority() });
    await using proxy = await trustingProxy();
    const ask = async (): Promise<string> => {
      await using client = await http2ThroughProxy({
        proxyPort: proxy.port,
        authority: origin.authority,
        ca: proxy.caPem,
      });
      return (await askHttp2(client, { ':path': '/' })).body.toString();
    };
    const { socket } = await connectTunnel(proxy.port, origin.authority);
    // It refuses our certificate.
    await expect(
      tlsOver(socket, { servername: 'localhost', ca: labAuthority().caPem, alpn: ['h2'] }),
    ).rejects.toThrow('certificate');
    socket.destroy();
    await expect.poll(() => proxy.engine.snapshot().activeConnections).toBe(0);
    expect(await ask()).toBe('ok');
    expect(origin.sessions).toHaveLength(1);
  });

  // To let go of the TCP connection then, below a handshake that completes in this moment, ends the process.
  test('is made although the client leaves in the middle of its handshake', async () => {
    await using origin = await startHttp2Origin({ authority: labAuthority() });
    const said = new Gate();
    await using slow = await startRawOrigin({
      onConnection: async (near, _index, log) => {
        const far = connect(Number(origin.authority.split(':')[1]), '127.0.0.1');
        for (const socket of [near, far]) socket.on('error', () => {});
        near.once('close', () => far.destroy());
        near.on('data', (chunk: Buffer) => far.write(chunk));
        far.write(log.received);
        await said.opened;
        far.on('data', (chunk: Buffer) => near.write(chunk));
      },
    });
    await using proxy = await trustingProxy();
    const { socket } = await connectTunnel(proxy.port, slow.authority);
    const secure = connectTls({ socket, servername: 'localhost', ca: proxy.caPem, ALPNProtocols: ['h2'] });
    secure.on('error', () => {});
    await expect
      .poll(() => proxy.recorder.kinds().filter((kind) => kind === 'tls_handshake_started'))
      .toHaveLength(1);
    socket.resetAndDestroy();
    // The proxy has to have heard of it.
    await new Promise((resolve) => setTimeout(resolve, 50));
    said.open();
    await expect.poll(() => proxy.engine.snapshot().activeConnections).toBe(0);
    expect(reasonsOf(await proxy.settled())).toEqual(['tls_handshake_failed']);
    await expect.poll(() => origin.sessions).toHaveLength(1);
  });

  test('of another version is not used: the offer is a part of its key', async () => {
    await using origin = await startHttpsOrigin({ authority: labAuthority(), alpn: ['http/1.1'] });
    await using proxy = await trustingProxy();
    for (const offered of [both, ['http/1.1']]) {
      await using secure = await handshake(proxy, origin.authority, offered);
      expect(secure.alpnProtocol).toBe('http/1.1');
    }
    expect(origin.handshakes).toHaveLength(2);
  });
});

/** The status of the answer to a GET, in the version that was agreed on. */
async function statusOver(secure: TLSSocket): Promise<string> {
  if (secure.alpnProtocol === 'h2') {
    await using client = http2Over(secure, 'https://localhost');
    return String((await askHttp2(client, { ':path': '/' })).headers[':status']);
  }
  await using client = clientOver(secure);
  client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  return (await client.receive('\r\n\r\n')).slice('HTTP/1.1 '.length).slice(0, 3);
}

describe('an origin that can’t be spoken to', () => {
  test.each([
    ['in HTTP/1 to whom has it', both, 'http/1.1'],
    ['in HTTP/2 to whom has no other', ['h2'], 'h2'],
  ])('is explained inside TLS, %s', async (_rule, offered, agreed) => {
    await using proxy = await trustingProxy();
    // The proxy reaches it before it answers the CONNECT; that it can't be trusted shows later.
    await using stranger = await createLabAuthority();
    await using origin = await startRawOrigin({ tls: { authority: stranger, alpn: both } });
    await using secure = await handshake(proxy, origin.authority, offered);
    expect([secure.alpnProtocol, await statusOver(secure)]).toEqual([agreed, '502']);
    expect(reasonsOf(await proxy.settled())).toEqual(['tls_handshake_failed', 'tls_handshake_failed']);
  });

  test('because nobody is there is refused before TLS', async () => {
    await using proxy = await trustingProxy();
    await using tunnel = await connectTunnel(proxy.port, `localhost:${await refusedPort()}`);
    expect(tunnel.statusLine).toBe('HTTP/1.1 502 Bad Gateway');
    expect(detailsOf(await proxy.settled())[0]).toContain('ECONNREFUSED');
  });
});

describe('the target of TLS', () => {
  test.each([
    ['is the name that the client asked for', { sni: 'b.test', alpn: both }, 'b.test', 'negotiated'],
    ['is the host, where it asked for none', { sni: undefined, alpn: both }, 'a.test', 'negotiated'],
    ['never shares HTTP/2 that it does not offer', { sni: undefined, alpn: ['http/1.1'] }, 'a.test', 'never'],
  ])('%s', async (_rule, asked, servername, http2) => {
    const { openFlow, runtime } = await createRuntime();
    const target = tlsTarget(openFlow({ host: 'a.test', port: 443 }), runtime, asked);
    expect(target).toMatchObject({
      http2,
      tls: { servername, verifyHost: servername, isVerified: true, alpn: asked.alpn },
    });
  });

  test('is not verified where an override says so', async () => {
    const { openFlow, runtime, engine } = await createRuntime({
      config: { compatibilityOverrides: [{ ruleId: 'r', hostPattern: 'a.test', skipUpstreamVerify: true }] },
    });
    const flow = openFlow({ host: 'a.test', port: 443 });
    flow.decision = engine.decide({ host: 'a.test', port: 443 });
    expect(tlsTarget(flow, runtime, { sni: undefined, alpn: both }).tls?.isVerified).toBe(false);
  });
});
