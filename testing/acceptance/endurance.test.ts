// What is left after a long day: ten thousand exchanges on kept-alive connections that both sides break off now and then. No
// socket stays, every flow is closed once, and memory is where it was.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

import type { InterceptHandler } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, tlsOver } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { expectClosedOnce, expectOrdered } from '../lab/events.ts';
import { KeepAliveClient, type KeepAliveTarget } from '../lab/keep-alive-client.ts';
import { type OriginHandler, startHttpsOrigin } from '../lab/origins.ts';
import { descriptorCount, hasProcessUsage, residentBytes, untilAtMost } from '../lab/process-usage.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';
import { startProxy } from '../lab/proxy.ts';
import { seededRandom } from '../lab/split.ts';

const mebibyte = 1024 * 1024;
const clientCount = 64;
/** With a heap that may grow as it likes, resident memory tells when it was last collected rather than what is kept. */
const heapBounds = ['--max-old-space-size=64', '--max-semi-space-size=2'];

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const body = Buffer.alloc(2_000, 'x');

/** Answers whole, or breaks off in the middle where the path says so. */
const moody: OriginHandler = (seen, response) => {
  response.writeHead(200, { 'content-length': body.length });
  if (seen.url !== '/broken') response.end(body);
  else response.write(body.subarray(0, 1_000), () => response.destroy());
};

interface Tally {
  complete: number;
  brokenByOrigin: number;
  brokenByClient: number;
}

/** One client's share: of a hundred requests, one is broken off by the origin and one by the client. */
async function work(
  target: KeepAliveTarget,
  requestCount: number,
  seed: number,
  tally: Tally,
): Promise<void> {
  const random = seededRandom(seed);
  let client = await KeepAliveClient.dial(target);
  for (let index = 0; index < requestCount; index += 1) {
    if (!client.isOpen) client = await KeepAliveClient.dial(target);
    const mood = random();
    if (mood < 0.01) {
      await client.abandon('/whole');
      tally.brokenByClient += 1;
    } else if (mood < 0.02) {
      expect(await client.get('/broken')).toBe('broken');
      tally.brokenByOrigin += 1;
    } else {
      expect(await client.get('/whole')).toBe('complete');
      tally.complete += 1;
    }
  }
  await client.close();
}

async function workTogether(target: KeepAliveTarget, requestCount: number, seed: number): Promise<Tally> {
  const tally: Tally = { complete: 0, brokenByOrigin: 0, brokenByClient: 0 };
  const shares = Array.from({ length: clientCount }, (_, index) => {
    const share = Math.floor((requestCount + index) / clientCount);
    return work(target, share, seed * clientCount + index, tally);
  });
  await Promise.all(shares);
  return tally;
}

describe.skipIf(!hasProcessUsage)('10,000 exchanges on 64 connections (only Linux tells the figures)', () => {
  test('leave no socket, no open flow and no memory behind', { timeout: 40_000 }, async ({ annotate }) => {
    await using origin = await startHttpsOrigin({ authority, handler: moody });
    await using proxy = await startProxyProcess({
      trusts: authority,
      hasEventLog: true,
      nodeFlags: heapBounds,
      config: { connectionPool: { idleTimeoutMs: 500 } },
    });
    const descriptorsBefore = await descriptorCount(proxy.pid);
    const target = { proxyPort: proxy.port, authority: origin.authority, ca: proxy.ca };
    const first = await workTogether(target, 2_000, 1);
    const residentEarly = await residentBytes(proxy.pid);
    const then = await workTogether(target, 8_000, 2);
    const residentLate = await residentBytes(proxy.pid);
    // The pool lets go of its connections once they were idle for half a second.
    const most = descriptorsBefore + 2;
    const descriptorsAfter = await untilAtMost(() => descriptorCount(proxy.pid), most, 5_000);
    const [early, late] = [residentEarly, residentLate].map((bytes) => (bytes / mebibyte).toFixed(1));
    await annotate(
      `descriptors: ${descriptorsBefore}, then ${descriptorsAfter}; resident: ${early} MiB after 2,000 exchanges, ` +
        `${late} MiB after 10,000; ${JSON.stringify(then)}`,
    );
    expect(sum(first) + sum(then)).toBe(10_000);
    expect(Math.min(then.brokenByClient, then.brokenByOrigin)).toBeGreaterThan(50);
    expect(residentLate - residentEarly).toBeLessThan(20 * mebibyte);
    const events = await proxy.finish();
    expectOrdered(events);
    expectClosedOnce(events);
    expect(events.filter((event) => event.kind === 'request_headers')).toHaveLength(10_000);
  });
});

function sum({ complete, brokenByOrigin, brokenByClient }: Tally): number {
  return complete + brokenByOrigin + brokenByClient;
}

describe('a client that goes away in the middle of an answer', () => {
  test.for([
    ['with no handler', {}],
    ['with a handler', { onRequest: () => ({ action: 'allow' }), onResponse: () => {} }],
  ] satisfies [string, InterceptHandler][])(
    'takes the request with it at once, %s',
    async ([, handler], { annotate }) => {
      const answers: ServerResponse[] = [];
      const endless: OriginHandler = (_seen, response) => {
        answers.push(response);
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: first\n\n');
      };
      await using origin = await startHttpsOrigin({ authority, handler: endless });
      await using proxy = await startProxy({ trusts: authority, handler });
      await using tunnel = await connectTunnel(proxy.port, origin.authority);
      const { certificatePem: ca } = proxy.ca;
      const client = await tlsOver(tunnel.socket, { servername: 'localhost', ca });
      client.write(`GET / HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
      await once(client, 'data');
      const [answer] = answers;
      if (answer === undefined) throw new Error('the origin saw no request');
      const gone = once(answer, 'close');
      const start = performance.now();
      client.destroy();
      await within(gone, 5_000, "the end of the origin's connection");
      const tookMs = performance.now() - start;
      await annotate(`${tookMs.toFixed(1)} ms from the client's end to the origin's`);
      expect(tookMs).toBeLessThan(1_000);
      await proxy.finish();
      expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'client_aborted' });
      expect(proxy.handle.metrics()).toMatchObject({ activeConnections: 0, activeFlows: 0 });
    },
  );
});
