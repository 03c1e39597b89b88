// What handshakes cost everybody else: a thousand new hosts at once keep nobody from being served, and after many handshakes to
// many hosts memory is where it was. `SOTH_HANDSHAKES=100000` makes a long day of it, to 5,000 hosts.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls } from 'node:tls';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, tlsOver } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { listen } from '../lab/listening.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { hasProcessUsage, residentBytes } from '../lab/process-usage.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';

const mebibyte = 1024 * 1024;
const handshakeCount = Number(process.env['SOTH_HANDSHAKES'] ?? 1_000);
const hostCount = Math.max(200, Math.ceil(handshakeCount / 20));
const clientCount = 32;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const hostOf = (index: number): string => `h${String(index).padStart(5, '0')}.burst.test`;

/** The first bytes of a real client that asks for the first host; the name can be written over, since all have one length. */
async function recordedHello(): Promise<Buffer> {
  const [near, far] = duplexPair();
  const client = connectTls({ socket: near, servername: hostOf(0), ALPNProtocols: ['http/1.1'] });
  client.on('error', () => {});
  const [bytes]: Buffer[] = await once(far, 'data');
  client.destroy();
  if (bytes === undefined) throw new Error('the client sent nothing');
  return bytes;
}

function helloFor(recorded: Buffer, index: number): Buffer {
  const hello = Buffer.from(recorded);
  hello.write(hostOf(index), hello.indexOf(hostOf(0)), 'latin1');
  return hello;
}

describe('a thousand new hosts at once', () => {
  const burst = 1_000;

  test('are all answered, and whoever asks in between is served', async ({ annotate }) => {
    await using nowhere = await listen(
      createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.destroy()); // TLS with the origin fails: the client's is what counts here
      }),
    );
    await using proxy = await startProxyProcess({
      trusts: authority,
      config: { routeMode: 'reverse', reverseUpstream: { host: '127.0.0.1', port: nowhere.port } },
    });
    const tunnels: Socket[] = [];
    for (let index = 0; index < burst; index += 50) {
      const some = Array.from({ length: 50 }, (_, offset) =>
        connectTunnel(proxy.port, `${hostOf(index + offset)}:443`),
      );
      tunnels.push(...(await Promise.all(some)).map(({ socket }) => socket));
    }
    const recorded = await recordedHello();
    const answered = tunnels.map((socket) => once(socket.resume(), 'data'));
    const state = { isOver: false };
    const all = Promise.all(answered).then(() => {
      state.isOver = true;
    });
    const start = performance.now();
    for (const [index, socket] of tunnels.entries()) socket.write(helloFor(recorded, index));
    const waits: number[] = [];
    while (!state.isOver && performance.now() - start < 30_000) {
      const asked = performance.now();
      const tunnel = await connectTunnel(proxy.port, 'bystander.test:443');
      waits.push(performance.now() - asked);
      await tunnel[Symbol.asyncDispose]();
    }
    const tookMs = performance.now() - start;
    await within(all, 30_000, 'the answers to a thousand hellos');
    const sorted = waits.toSorted((a, b) => a - b);
    const [middle = 0, worst = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
    await annotate(
      `${burst} hosts in ${tookMs.toFixed(0)} ms; ${waits.length} others served meanwhile, half of them within ${middle.toFixed(1)} ms, the slowest in ${worst.toFixed(1)} ms`,
    );
    expect(waits.length).toBeGreaterThan(10);
    expect(middle).toBeLessThan(tookMs / 5);
    await Promise.all(tunnels.map((socket) => destroyed(socket)));
  });
});

describe.skipIf(!hasProcessUsage)(
  `${handshakeCount} handshakes to ${hostCount} hosts (only Linux tells the figures)`,
  () => {
    test(
      'leave memory where it was after the first fifth',
      { timeout: 60_000 + handshakeCount * 40 },
      async ({ annotate }) => {
        await using origin = await startHttpsOrigin({ authority });
        await using proxy = await startProxyProcess({
          trusts: authority,
          nodeFlags: ['--max-old-space-size=128', '--max-semi-space-size=2'],
          config: {
            routeMode: 'reverse',
            reverseUpstream: { host: '127.0.0.1', port: origin.port },
            upstream: { verifyUpstreamTls: false },
            // A client that a busy machine keeps from speaking is given as long.
            connectionPool: { idleTimeoutMs: 5_000 },
            // Fewer than there are hosts, so that contexts come and go; the long day has the default of 1,024.
            ...(hostCount <= 1_024 && { tls: { leafCertCacheCapacity: 64 } }),
          },
        });
        const shake = async (index: number): Promise<void> => {
          const host = hostOf(index % hostCount);
          await using tunnel = await connectTunnel(proxy.port, `${host}:443`);
          const secure = await tlsOver(tunnel.socket, { servername: host, ca: proxy.ca });
          // Only who has been heard to the end of the handshake has shaken hands.
          const closed = once(secure.resume(), 'close');
          secure.end();
          await within(closed, 20_000, 'the end of a connection');
        };
        let next = 0;
        const shakeUntil = async (end: number): Promise<void> => {
          const client = async (): Promise<void> => {
            while (next < end) await shake((next += 1));
          };
          await Promise.all(Array.from({ length: clientCount }, client));
        };
        await shakeUntil(handshakeCount / 5);
        const early = await residentBytes(proxy.pid);
        await shakeUntil(handshakeCount);
        const late = await residentBytes(proxy.pid);
        await annotate(
          `resident: ${(early / mebibyte).toFixed(1)} MiB after a fifth, ${(late / mebibyte).toFixed(1)} MiB at the end`,
        );
        expect(late - early).toBeLessThan(64 * mebibyte);
        await proxy.finish();
      },
    );
  },
);
