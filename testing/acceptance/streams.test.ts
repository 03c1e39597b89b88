// Streams as model APIs make them: many at once, late to begin, silent for long, open in both directions, and large with a slow
// side. Waiting times are those of the configuration, shortened where a test runs into them.
import type { TLSSocket } from 'node:tls';

import type { InterceptHandler } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, dialLoopback, httpsThroughProxy, tlsOver } from '../lab/clients.ts';
import { type OriginHandler, startHttpOrigin, startHttpsOrigin, startRawOrigin } from '../lab/origins.ts';
import { readSlowly, writeZeros } from '../lab/pacing.ts';
import { hasProcessUsage, peakResidentBytes, residentBytes } from '../lab/process-usage.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';
import { startProxy } from '../lab/proxy.ts';

const mebibyte = 1024 * 1024;
const streamCount = 300;
const patienceMs = 20_000;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** A client inside an intercepted tunnel. */
async function dialThrough(proxyPort: number, target: string, ca: string): Promise<TLSSocket> {
  const tunnel = await connectTunnel(proxyPort, target, { deadlineMs: patienceMs });
  return await tlsOver(tunnel.socket, { servername: 'localhost', ca, deadlineMs: patienceMs });
}

function getRequest(target: string, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${target}\r\nAccept: text/event-stream\r\n\r\n`;
}

/** A signal that stays given, with what it says. */
class Gate<T = void> {
  #open: (value: T) => void = () => {};
  readonly opened: Promise<T> = new Promise((resolve) => {
    this.#open = resolve;
  });

  open(value: T): void {
    this.#open(value);
  }
}

/** Event streams whose last event waits for a signal, and how many of them there were at once. */
class HeldStreams {
  readonly #gate = new Gate();
  #openCount = 0;
  mostOpen = 0;

  readonly handler: OriginHandler = async (_seen, response) => {
    this.#openCount += 1;
    this.mostOpen = Math.max(this.mostOpen, this.#openCount);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: first\n\n');
    await this.#gate.opened;
    this.#openCount -= 1;
    response.end('data: last\n\n');
  };

  release(): void {
    this.#gate.open();
  }
}

/** Its head comes after a pause. */
const lateAnswer: OriginHandler = async (_seen, response) => {
  await new Promise((resolve) => {
    setTimeout(resolve, 400);
  });
  response.end('late');
};

/** Has one event and then says nothing. */
const silentStream: OriginHandler = (_seen, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write('data: only\n\n');
};

/** Answers each chunk as soon as it is there. */
const echo: OriginHandler = (seen, response, request) => {
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  // What came together with the head is there already.
  if (seen.body.length > 0) response.write(seen.body);
  request.on('data', (chunk: Buffer) => response.write(chunk));
  request.on('end', () => response.end('the end'));
};

function manyTimes<T>(make: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: streamCount }, make));
}

describe(`${streamCount} event streams of one host at once`, () => {
  test('are all live by default, each with its first and its last event', async () => {
    const held = new HeldStreams();
    await using origin = await startHttpsOrigin({ authority, handler: held.handler });
    await using proxy = await startProxy({ trusts: authority });
    expect(proxy.handle.currentConfig().connectionPool.maxConnectionsPerHost).toBe(256);
    const { certificatePem } = proxy.ca;
    const clients = await manyTimes(() => dialThrough(proxy.port, origin.authority, certificatePem));
    const logs = clients.map((client) => new ByteLog(client));
    for (const client of clients) client.write(getRequest(origin.authority));
    await Promise.all(logs.map((log) => log.until('data: first\n\n', patienceMs)));
    expect(held.mostOpen).toBe(streamCount);
    held.release();
    await Promise.all(logs.map((log) => log.until('data: last\n\n', patienceMs)));
    await Promise.all(clients.map((client) => destroyed(client)));
    await proxy.finish();
  });

  test('leave room for ordinary answers, which wait for each other', async () => {
    const gate = new Gate();
    let openCount = 0;
    let mostOpen = 0;
    await using origin = await startHttpOrigin(async (_seen, response) => {
      openCount += 1;
      mostOpen = Math.max(mostOpen, openCount);
      await gate.opened;
      openCount -= 1;
      response.end('the answer');
    });
    await using proxy = await startProxy();
    const clients = await manyTimes(() => dialLoopback(proxy.port));
    const logs = clients.map((client) => new ByteLog(client));
    for (const client of clients) client.write(getRequest(origin.authority, `${origin.url}/`));
    await proxy.events.waitFor(() => proxy.handle.metrics().requestCount === streamCount, patienceMs);
    await origin.request(255, patienceMs);
    gate.open();
    await Promise.all(logs.map((log) => log.until('the answer', patienceMs)));
    expect(mostOpen).toBe(256);
    expect(origin.requests).toHaveLength(streamCount);
    await Promise.all(clients.map((client) => destroyed(client)));
    await proxy.finish();
  });
});

describe('an origin that takes its time', () => {
  test('has minutes by default, for the head and inside a body', async () => {
    await using proxy = await startProxy();
    const { upstream, timeouts } = proxy.handle.currentConfig();
    expect([upstream.timeoutMs, upstream.h2HeaderStageTimeoutMs]).toEqual([600_000, 600_000]);
    expect([timeouts.bodyIdleMs, upstream.h2BodyIdleTimeoutMs]).toEqual([600_000, 600_000]);
  });

  test('is given 504 in its place when its head does not begin in upstream.timeoutMs', async () => {
    await using origin = await startHttpsOrigin({ authority, handler: () => {} });
    await using proxy = await startProxy({ trusts: authority, config: { upstream: { timeoutMs: 300 } } });
    const start = performance.now();
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `${origin.url}/`,
    });
    expect(answer.status).toBe(504);
    expect(performance.now() - start).toBeGreaterThanOrEqual(300);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'stream_stage_timeout' });
    expect(origin.openCount).toBe(0);
  });

  test('is not hurried by timeouts.bodyIdleMs before its head', async () => {
    await using origin = await startHttpsOrigin({ authority, handler: lateAnswer });
    await using proxy = await startProxy({ trusts: authority, config: { timeouts: { bodyIdleMs: 100 } } });
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `${origin.url}/`,
    });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'late']);
    await proxy.finish();
  });

  test('is cut off, and its client too, when an event stream is silent for timeouts.bodyIdleMs', async () => {
    await using origin = await startHttpsOrigin({ authority, handler: silentStream });
    await using proxy = await startProxy({ trusts: authority, config: { timeouts: { bodyIdleMs: 300 } } });
    const client = await dialThrough(proxy.port, origin.authority, proxy.ca.certificatePem);
    const log = new ByteLog(client);
    client.write(getRequest(origin.authority));
    await log.until('data: only\n\n');
    const start = performance.now();
    const received = await log.ended();
    expect(performance.now() - start).toBeGreaterThan(200);
    // Without the last chunk, so that nobody takes the stream for complete.
    expect(received.toString()).toMatch(/data: only\n\n\r\n$/u);
    await destroyed(client);
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'idle_watchdog_timeout' });
    expect(origin.openCount).toBe(0);
  });
});

test.each([
  ['with no handler', {}],
  ['with a handler that decides after body.bufferIdleMs', { onRequest: () => ({ action: 'allow' }) }],
] satisfies [string, InterceptHandler][])(
  'a request that does not end while its answer streams: both are live, %s',
  async (_how, handler) => {
    await using origin = await startHttpsOrigin({ authority, handler: echo });
    await using proxy = await startProxy({
      trusts: authority,
      handler,
      config: { body: { bufferIdleMs: 100 } },
    });
    const client = await dialThrough(proxy.port, origin.authority, proxy.ca.certificatePem);
    const log = new ByteLog(client);
    client.write(`POST / HTTP/1.1\r\nHost: ${origin.authority}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (const word of ['ping', 'pong', 'pang']) {
      client.write(`4\r\n${word}\r\n`);
      await log.until(word);
    }
    client.write('0\r\n\r\n');
    await log.until('the end\r\n0\r\n\r\n');
    await destroyed(client);
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 2 });
  },
);

describe.skipIf(!hasProcessUsage)(
  'a slow side holds back the other, and memory stays (only Linux tells it)',
  () => {
    // More of it, or slower: SOTH_TEST_FLOW_MIB=1024 SOTH_TEST_FLOW_MIB_PER_SECOND=1 takes 17 minutes each way.
    const flowMiB = Number(process.env['SOTH_TEST_FLOW_MIB'] ?? 256);
    const paceMiB = Number(process.env['SOTH_TEST_FLOW_MIB_PER_SECOND'] ?? 64);
    const byteCount = flowMiB * mebibyte;
    const pace = { pauseMs: 1_000, bytesPerSecond: paceMiB * mebibyte };
    const timeout = 60_000 + (flowMiB / paceMiB) * 2_000;
    /** Taken at full speed first: the heap grows by some 70 MiB with the first bytes, however many follow. */
    const warmUpBytes = 64 * mebibyte;
    const fullSpeed = { pauseMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
    const roomBytes = 60 * mebibyte;
    /** More than all socket buffers on the way hold, and far less than what is sent. */
    const underwayBytes = 48 * mebibyte;

    test('a download by a slow reader', { timeout }, async ({ annotate }) => {
      let sentBytes = 0;
      const handler: OriginHandler = async (seen, response) => {
        const length = seen.url === '/warm-up' ? warmUpBytes : byteCount;
        response.writeHead(200, { 'content-length': length });
        await writeZeros(response, length, (written) => {
          sentBytes = written;
        });
        response.end();
      };
      await using origin = await startHttpsOrigin({ authority, handler });
      await using proxy = await startProxyProcess({ trusts: authority });
      const ask = { proxyPort: proxy.port, ca: proxy.ca };
      await httpsThroughProxy({ ...ask, url: `${origin.url}/warm-up` });
      const startBytes = await residentBytes(proxy.pid);
      const client = await dialThrough(proxy.port, origin.authority, proxy.ca);
      client.write(`GET / HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`);
      let sentInPauseBytes = 0;
      const paused = setTimeout(() => {
        sentInPauseBytes = sentBytes;
      }, pace.pauseMs - 100);
      const reading = readSlowly(client, pace);
      const peakBytes = await peakResidentBytes(proxy.pid, reading);
      clearTimeout(paused);
      await annotate(figures(startBytes, peakBytes, sentInPauseBytes));
      expect(await reading).toBeGreaterThan(byteCount);
      expect(sentInPauseBytes).toBeGreaterThan(0);
      expect(sentInPauseBytes).toBeLessThan(underwayBytes);
      expect(peakBytes - startBytes).toBeLessThan(roomBytes);
      await proxy.finish();
    });

    test('an upload to a slow origin', { timeout }, async ({ annotate }) => {
      const received = new Gate<number>();
      await using origin = await startRawOrigin({
        tls: { authority },
        onConnection: async (socket, _index, log) => {
          const head = await log.until('\r\n\r\n');
          const early = log.release().length - (head.indexOf('\r\n\r\n') + 4);
          if (head.includes('/warm-up')) {
            await readSlowly(socket, { ...fullSpeed, byteCount: warmUpBytes - early });
          } else {
            received.open(early + (await readSlowly(socket, { ...pace, byteCount: byteCount - early })));
          }
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        },
      });
      await using proxy = await startProxyProcess({ trusts: authority });
      const ask = { proxyPort: proxy.port, ca: proxy.ca };
      const body = Buffer.alloc(warmUpBytes);
      await httpsThroughProxy({ ...ask, url: `https://${origin.authority}/warm-up`, method: 'POST', body });
      const startBytes = await residentBytes(proxy.pid);
      const client = await dialThrough(proxy.port, origin.authority, proxy.ca);
      const head = `POST / HTTP/1.1\r\nHost: ${origin.authority}\r\nContent-Length: ${byteCount}\r\n\r\n`;
      client.write(head);
      let sentBytes = 0;
      let sentInPauseBytes = 0;
      const paused = setTimeout(() => {
        sentInPauseBytes = sentBytes;
      }, pace.pauseMs - 100);
      const writing = writeZeros(client, byteCount, (written) => {
        sentBytes = written;
      });
      const peakBytes = await peakResidentBytes(proxy.pid, Promise.all([writing, received.opened]));
      clearTimeout(paused);
      await annotate(figures(startBytes, peakBytes, sentInPauseBytes));
      expect(await received.opened).toBe(byteCount);
      expect(sentInPauseBytes).toBeGreaterThan(0);
      expect(sentInPauseBytes).toBeLessThan(underwayBytes);
      expect(peakBytes - startBytes).toBeLessThan(roomBytes);
      await destroyed(client);
      await proxy.finish();
    });
  },
);

function figures(startBytes: number, peakBytes: number, sentInPauseBytes: number): string {
  const [start, peak, sent] = [startBytes, peakBytes, sentInPauseBytes].map((bytes) =>
    (bytes / mebibyte).toFixed(1),
  );
  return `resident: ${start} MiB at the start, ${peak} MiB at most; ${sent} MiB sent while nobody read`;
}
