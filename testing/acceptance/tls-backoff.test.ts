// Who can make the proxy look away, and who can't: clients that refuse its certificate again and again, hellos of odd shape, and
// connections that are made for later and left unused.
import type { MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, curl, hasCommand, httpsThroughProxy, tlsOver } from '../lab/clients.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const made: { authority?: LabAuthority; origin?: HttpsOrigin } = {};
beforeAll(async () => {
  made.authority = await createLabAuthority();
  made.origin = await startHttpsOrigin({ authority: made.authority });
});
afterAll(async () => {
  await made.origin?.[Symbol.asyncDispose]();
  await made.authority?.[Symbol.asyncDispose]();
});

const hasCurl = await hasCommand('curl');

function peers(): { readonly authority: LabAuthority; readonly origin: HttpsOrigin } {
  const { authority, origin } = made;
  if (authority === undefined || origin === undefined) throw new Error('nothing has been started');
  return { authority, origin };
}

function proxyWith(config: Partial<MitmConfigInput>): Promise<LabProxy> {
  return startProxy({ trusts: peers().authority, config });
}

/** A client that does not know the proxy's CA and says so. */
async function refuse(proxy: LabProxy): Promise<void> {
  await using tunnel = await connectTunnel(proxy.port, peers().origin.authority);
  await expect(
    tlsOver(tunnel.socket, { servername: 'localhost', ca: peers().authority.caPem }),
  ).rejects.toThrow(/certificate/);
}

/** One transfer by a curl that knows the origin's CA and not the proxy's. */
async function curlArguments({ port }: LabProxy): Promise<string[]> {
  const { origin, authority } = peers();
  return ['--proxy', `http://127.0.0.1:${port}`, '--cacert', await authority.caFile(), `${origin.url}/`];
}

async function isIntercepted(proxy: LabProxy): Promise<boolean> {
  const { origin } = peers();
  const url = `${origin.url}/`;
  // A client that trusts both sees whose certificate it is shown.
  const ca = `${proxy.ca.certificatePem}${peers().authority.caPem}`;
  const answer = await httpsThroughProxy({ proxyPort: proxy.port, url, ca });
  expect(answer.status).toBe(200);
  return answer.peerCertificate.issuer.CN === 'soth-mitm Local CA';
}

/** Sends bytes where a hello belongs, and goes away when the proxy has had enough of it. */
async function say(proxy: LabProxy, bytes: Uint8Array): Promise<void> {
  await using tunnel = await connectTunnel(proxy.port, peers().origin.authority);
  const closed = new Promise<void>((resolve) => {
    tunnel.socket.once('close', () => resolve());
  });
  tunnel.socket.on('error', () => {});
  tunnel.socket.resume();
  tunnel.socket.end(bytes);
  await closed;
}

const sslv2 = Buffer.from('802e010301001500000010010080070000c0030080060040020080040080', 'hex');
const oneByteRecords = Buffer.concat(
  [...Buffer.from('0100002603', 'hex')].map((byte) => Buffer.of(22, 3, 1, 0, 1, byte)),
);
const withoutExtensions = Buffer.from(`160301002d010000290303${'11'.repeat(32)}000002002f0100`, 'hex');
const seventeenKib = Buffer.concat([
  Buffer.from('1603014000', 'hex'),
  Buffer.from('0100440003', 'hex'),
  Buffer.alloc(17 * 1024),
]);

describe('in enforce, the next request is intercepted after', () => {
  const deeds: readonly [string, (proxy: LabProxy) => Promise<void>][] = [
    [
      '100 handshakes that failed on purpose',
      async (proxy) => {
        for (let count = 0; count < 100; count += 1) await refuse(proxy);
      },
    ],
    [
      'hellos of every odd shape',
      async (proxy) => {
        for (const bytes of [sslv2, oneByteRecords, withoutExtensions, seventeenKib]) {
          for (let count = 0; count < 5; count += 1) await say(proxy, bytes);
        }
      },
    ],
    [
      '50 connections that were made for later and left unused',
      async (proxy) => {
        for (let count = 0; count < 50; count += 1) {
          await using tunnel = await connectTunnel(proxy.port, peers().origin.authority);
          const secure = await tlsOver(tunnel.socket, {
            servername: 'localhost',
            ca: proxy.ca.certificatePem,
          });
          secure.end();
        }
      },
    ],
  ];
  test.each(deeds)('%s', async (_deed, act) => {
    await using proxy = await proxyWith({ interceptMode: 'enforce' });
    await act(proxy);
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
    expect(proxy.handle.tlsSnapshot().backoff).toEqual([]);
    expect(proxy.handle.metrics()).toMatchObject({
      tlsBackoffStartedCount: 0,
      tlsBackoffTunnelCount: 0,
      tunnelledCount: 0,
    });
  });
});

describe('in monitor, a client that keeps refusing', () => {
  const monitor: Partial<MitmConfigInput> = {
    interceptMode: 'monitor',
    processAttribution: { enabled: false },
  };

  test('is let through to that host, visibly, and for a time', async () => {
    await using proxy = await proxyWith({ ...monitor, tls: { backoff: { ttlMs: 1_000 } } });
    for (let count = 0; count < 3; count += 1) await refuse(proxy);
    expect(await proxy.events.waitFor('tls_backoff_started', 5_000)).toMatchObject({
      backoffClient: 'address:127.0.0.1',
      backoffHost: 'localhost',
      strikes: 3,
      ttlMs: 1_000,
    });
    expect(await isIntercepted(proxy)).toBe(false);
    const decisions = proxy.events.events().filter((event) => event.kind === 'connect_decision');
    expect(decisions.at(-1)).toMatchObject({
      action: 'intercept',
      effectiveAction: 'tunnel',
      effectiveReason: 'tls_backoff',
    });
    expect(proxy.handle.metrics()).toMatchObject({
      tlsBackoffStartedCount: 1,
      tlsBackoffTunnelCount: 1,
      tlsBackoffActive: 1,
    });
    expect(proxy.handle.tlsSnapshot()).toMatchObject({
      failures: { total: 3 },
      learning: { applied: 3, ignored: 0 },
      backoff: [{ host: 'localhost', isLetThrough: true, strikes: 3 }],
    });
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
  });

  test('is intercepted again when that is reset', async () => {
    await using proxy = await proxyWith(monitor);
    for (let count = 0; count < 3; count += 1) await refuse(proxy);
    expect(await isIntercepted(proxy)).toBe(false);
    expect(proxy.handle.resetTlsBackoff('other.test')).toBe(0);
    expect(proxy.handle.resetTlsBackoff('localhost')).toBe(1);
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
  });

  test('but is served in between is intercepted on', async () => {
    await using proxy = await proxyWith(monitor);
    for (let round = 0; round < 3; round += 1) {
      await refuse(proxy);
      await refuse(proxy);
      expect(await isIntercepted(proxy)).toBe(true);
    }
    await proxy.finish();
  });

  test('is intercepted on where the back-off is off', async () => {
    await using proxy = await proxyWith({ ...monitor, tls: { backoff: { mode: 'off' } } });
    for (let count = 0; count < 10; count += 1) await refuse(proxy);
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
  });

  const isCurl = { host: 'localhost', client: expect.stringMatching(/^program:.*curl/) };

  test.skipIf(!hasCurl)('is let through as a program, and nobody else is', async () => {
    await using proxy = await proxyWith({ interceptMode: 'monitor' });
    // One curl, four connections one after the other.
    const one = await curlArguments(proxy);
    const separately = ['--next', '-sS', ...one];
    const result = await curl(['-sS', ...one, ...separately, ...separately, ...separately]);
    expect(result.stdout.toString()).toBe('ok');
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
    expect(proxy.handle.tlsSnapshot().backoff[0]).toMatchObject(isCurl);
  });

  test.skipIf(!hasCurl)('is let through too when it is started anew for each request', async () => {
    await using proxy = await proxyWith({ interceptMode: 'monitor' });
    const answers: string[] = [];
    for (let count = 0; count < 4; count += 1) {
      const { stdout } = await curl(['-sS', ...(await curlArguments(proxy))]);
      answers.push(stdout.toString());
    }
    expect(answers).toEqual(['', '', '', 'ok']);
    expect(await isIntercepted(proxy)).toBe(true);
    await proxy.finish();
    expect(proxy.handle.tlsSnapshot().backoff[0]).toMatchObject(isCurl);
  });
});
