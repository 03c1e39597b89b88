// What origins see of a client whose hello is mirrored, and what the events say of it.
import { createServer } from 'node:net';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';

import { type MitmConfigInput, planRoute } from 'mitm-core';
import { ClientHelloReader, HelloMirror, ja4 } from 'mitm-tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import { connectTunnel, destroyed, dialLoopback } from '../../../../testing/lab/clients.ts';
import { listen, type Listening } from '../../../../testing/lab/listening.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../../../../testing/lab/origins.ts';
import { clientOver, openTlsClient, startProxy } from '../proxy-lab.ts';
import { createRuntime } from '../runtime-fixture.ts';
import { clientHello } from '../streams.ts';

function reasonAgainst(): string | undefined {
  try {
    HelloMirror.load();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

const missing = reasonAgainst();
const mirroring = { fingerprintMode: 'mirror_client' } as const satisfies MitmConfigInput['upstream'];
const made: { authority?: LabAuthority; origin?: HttpsOrigin } = {};
beforeAll(async () => {
  made.authority = await createLabAuthority();
  made.origin = await startHttpsOrigin({ authority: made.authority });
});
afterAll(async () => {
  await made.origin?.[Symbol.asyncDispose]();
  await made.authority?.[Symbol.asyncDispose]();
});

function peers(): { readonly authority: LabAuthority; readonly origin: HttpsOrigin } {
  const { authority, origin } = made;
  if (authority === undefined || origin === undefined) throw new Error('nothing has been started');
  return { authority, origin };
}

/** A port before the origin that keeps the JA4 of each hello that passes. */
async function watchedOrigin(seen: string[]): Promise<Listening> {
  const { origin } = peers();
  return listen(
    createServer((socket) => {
      const reader = new ClientHelloReader();
      let isKnown = false;
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        const hello = isKnown ? undefined : reader.push(bytes);
        if (hello === undefined) return;
        isKnown = true;
        seen.push(ja4(hello));
      });
      socket.pause();
      const join = async (): Promise<void> => {
        const next = await dialLoopback(origin.port);
        next.on('error', () => socket.destroy());
        socket.pipe(next).pipe(socket);
      };
      join().catch(() => socket.destroy());
    }),
  );
}

/** Clients that are unlike each other and this Node in all that they can choose. */
const clients = {
  one: {
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES256-GCM-SHA384',
    sigalgs: 'rsa_pss_rsae_sha384:ecdsa_secp256r1_sha256',
  },
  other: {
    ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
    sigalgs: 'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256',
  },
} as const;

describe.skipIf(missing !== undefined)(
  `a client is mirrored${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    test('so that the origin sees its JA4, each kind on connections of its own', async () => {
      const { authority } = peers();
      const seen: string[] = [];
      await using origin = await watchedOrigin(seen);
      const upstream = { ...mirroring, caPaths: [await authority.caFile()], revocationMode: 'off' } as const;
      await using proxy = await startProxy({ config: { upstream } });
      const ask = async (kind: keyof typeof clients): Promise<string> => {
        const { socket } = await connectTunnel(proxy.port, `localhost:${origin.port}`);
        const secureContext = createSecureContext({ ...clients[kind], ca: proxy.caPem });
        const secure: TLSSocket = connectTls({
          socket,
          servername: 'localhost',
          secureContext,
          ALPNProtocols: ['http/1.1'],
        });
        await using client = clientOver(secure);
        client.send(`GET / HTTP/1.1\r\nHost: localhost:${origin.port}\r\n\r\n`);
        const answer = await client.receive('ok');
        await destroyed(secure);
        return answer;
      };
      for (const kind of ['one', 'other', 'one'] as const)
        expect(await ask(kind)).toMatch(/^HTTP\/1\.1 200 /);
      const started = (await proxy.settled()).filter((event) => event.kind === 'tls_handshake_started');
      const offered = started.flatMap(({ peer, ja4: given }) => (peer === 'downstream' ? [given] : []));
      const told = started.filter(({ peer }) => peer === 'upstream');
      expect(told).toHaveLength(2);
      expect(told).toEqual(
        told.map((event) => ({
          ...event,
          tlsFingerprintMode: 'mirror_client',
          tlsFingerprintDifferences: '',
        })),
      );
      expect(offered[0]).not.toBe(offered[1]);
      expect(offered[2]).toBe(offered[0]);
      // The third client found the connection of the first.
      expect(seen).toEqual(offered.slice(0, 2));
    });

    test('and its origin is verified as ever', async () => {
      await using proxy = await startProxy({ config: { upstream: mirroring } });
      await using client = await openTlsClient(proxy, `localhost:${peers().origin.port}`);
      client.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      expect(await client.rest()).toMatch(/^HTTP\/1\.1 502 [^]*unknown_ca/);
    });

    test.each([
      ['a staple that it does not ask for', {}, [], 'status_request'],
      ['protocols that it may not speak', { revocationMode: 'off' }, ['http/1.1'], 'application_protocols'],
    ] as const)('and what our settings ask for besides is told: %s', async (_what, settings, alpn, told) => {
      const { runtime, engine } = await createRuntime({
        config: { upstream: { ...mirroring, ...settings } },
      });
      const route = planRoute(engine.config, { host: 'a.test', port: 443 });
      const hello = new ClientHelloReader().push(await clientHello());
      const options = { route, isTls: true, skipVerify: false, alpn, hello };
      expect(runtime.targets.of(engine.config, options).tls?.differences?.()).toEqual([told]);
    });

    test('and a request without a hello is told to have none', async () => {
      const { runtime, engine } = await createRuntime({
        config: { upstream: { ...mirroring, revocationMode: 'off' } },
      });
      const route = planRoute(engine.config, { host: 'a.test', port: 443 });
      const options = { route, isTls: true, skipVerify: false, alpn: [] } as const;
      const hello = new ClientHelloReader().push(await clientHello());
      const [bare, mirrored] = [{}, { hello }].map((given) =>
        runtime.targets.of(engine.config, { ...options, ...given }),
      );
      expect(bare?.tls?.differences?.()).toEqual(['no_client_hello']);
      expect(mirrored?.tls?.differences?.()).toEqual([]);
      expect(mirrored?.key).not.toBe(bare?.key);
    });
  },
);

test.runIf(missing !== undefined)('where it can not be, the proxy does not start, and says why', async () => {
  await expect(createRuntime({ config: { upstream: mirroring } })).rejects.toMatchObject({
    code: 'ERR_MITM_CONFIG_INVALID',
    message: expect.stringMatching(/upstream\.fingerprintMode.*tls-impersonate/),
  });
});

test('other modes keep no hello apart', async () => {
  const { runtime, engine } = await createRuntime();
  const route = planRoute(engine.config, { host: 'a.test', port: 443 });
  const options = { route, isTls: true, skipVerify: false, alpn: [] } as const;
  const hello = new ClientHelloReader().push(await clientHello());
  const [bare, given] = [{}, { hello }].map((more) =>
    runtime.targets.of(engine.config, { ...options, ...more }),
  );
  expect(given?.key).toBe(bare?.key);
  expect(given?.tls).not.toHaveProperty('differences');
});
