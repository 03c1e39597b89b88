// Streams that are faster than their handler, and streams that are long: what is dropped is counted, what is held back is not lost, and a
// hundred thousand events leave memory as it was.
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import type { InterceptHandler, MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import type { ChunkTally } from '../lab/chunk-counter.ts';
import { connectTunnel, destroyed, httpsThroughProxy, tlsOver } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { askHttp2, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { type OriginHandler, startHttpsOrigin } from '../lab/origins.ts';
import { hasProcessUsage, residentBytes } from '../lab/process-usage.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { streamThroughProxy } from '../lab/streaming-client.ts';

const mebibyte = 1024 * 1024;
const patience = { timeout: 15_000 };
const sse = { 'content-type': 'text/event-stream' };

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** So many events, each with its number first. */
function numbered(count: number, padding = ''): string[] {
  return Array.from({ length: count }, (_, index) => `data: ${index} ${padding}\n\n`);
}

/** Writes as fast as it may: what waits inside node:http2 makes it refuse further streams. */
async function writeAll(stream: ServerHttp2Stream, events: readonly string[]): Promise<void> {
  for (const event of events) if (!stream.write(event)) await once(stream, 'drain');
  stream.end();
}

/** A handler that takes its time for each chunk, and what it was shown. */
function slowly(ms: number) {
  const numbers: number[] = [];
  const handler: InterceptHandler = {
    onStreamChunk: async ({ sequence, payload }) => {
      expect(Number(Buffer.from(payload).toString().split(' ')[0])).toBe(sequence);
      numbers.push(sequence);
      await pause(ms);
    },
  };
  return { numbers, handler };
}

async function finish(proxy: LabProxy): Promise<void> {
  await expect.poll(() => proxy.handle.metrics().activeFlows, patience).toBe(0);
  await proxy.finish();
}

describe('a handler slower than the stream', () => {
  test('loses chunks with dispatchOverflow drop: counted, with a gap, and the client waits for nothing', async () => {
    const { numbers, handler } = slowly(20);
    const body = numbered(500).join('');
    const origin = startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.writeHead(200, sse).end(body),
    });
    await using server = await origin;
    await using proxy = await startProxy({
      trusts: authority,
      handler,
      config: { flowRuntime: { dispatchQueueCapacity: 10 } },
    });
    const start = performance.now();
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `${server.url}/`,
    });
    // The handler would need ten seconds for all of them.
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(answer.body.toString()).toBe(body);
    await finish(proxy);
    const { droppedDispatchWorkCount } = proxy.handle.metrics();
    expect(numbers.length).toBeGreaterThanOrEqual(11);
    expect(numbers.length + droppedDispatchWorkCount).toBe(500);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  const padding = 'x'.repeat(64 * 1024);
  const eventCount = 400;

  test.each<[string, Partial<MitmConfigInput>]>([
    ['queue', { flowRuntime: { dispatchQueueCapacity: 4, dispatchOverflow: 'backpressure' } }],
    ['maxInFlightBytes', { maxInFlightBytes: 4 * 65_536, flowRuntime: { dispatchOverflow: 'backpressure' } }],
  ])(
    'loses none with backpressure by the %s: the origin waits, the client has everything, and the connection goes on',
    async (_bound, config) => {
      const { numbers, handler } = slowly(4);
      const events = numbered(eventCount, padding);
      let sent = 0;
      let sentEarly = 0;
      const origin: OriginHandler = async (seen, response) => {
        if (seen.url === '/next') {
          response.end('next');
          return;
        }
        response.writeHead(200, { ...sse, 'content-length': events.join('').length });
        for (const event of events) {
          if (!response.write(event)) await once(response, 'drain');
          sent += 1;
        }
        response.end();
      };
      await using server = await startHttpsOrigin({ authority, handler: origin });
      await using proxy = await startProxy({
        trusts: authority,
        handler: {
          onStreamChunk: async (chunk, context) => {
            if (chunk.sequence === 20) sentEarly = sent;
            await handler.onStreamChunk?.(chunk, context);
          },
        },
        config,
      });
      const tunnel = await connectTunnel(proxy.port, server.authority);
      const ca = proxy.ca.certificatePem;
      const client = await tlsOver(tunnel.socket, { servername: 'localhost', ca });
      let received = 0;
      client.on('data', (piece: Buffer) => {
        received += piece.length;
      });
      client.write(`GET / HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`);
      const bytes = events.join('').length;
      await expect.poll(() => received, { timeout: 20_000 }).toBeGreaterThan(bytes);
      // 25 MiB in all; what had left while twenty were handled is what sockets hold.
      expect(sentEarly).toBeGreaterThan(0);
      expect(sentEarly).toBeLessThan(eventCount * 0.75);
      await expect.poll(() => numbers.length, patience).toBe(eventCount);
      client.removeAllListeners('data');
      const log = new ByteLog(client);
      client.write(`GET /next HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`);
      await log.until('next');
      await destroyed(client);
      await finish(proxy);
      expect(numbers).toEqual(events.map((_event, index) => index));
      expect(proxy.handle.metrics().droppedDispatchWorkCount).toBe(0);
      expect(server.connectionCount).toBe(1);
    },
  );

  test('loses none with backpressure over HTTP/2, while another stream passes', async () => {
    const { numbers, handler } = slowly(4);
    const events = numbered(eventCount, padding);
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream, headers) => {
        if (headers[':path'] === '/other') {
          stream.respond({ ':status': 200 });
          stream.end('other');
          return;
        }
        stream.respond({ ':status': 200, ...sse });
        void writeAll(stream, events);
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler,
      config: { flowRuntime: { dispatchQueueCapacity: 4, dispatchOverflow: 'backpressure' } },
    });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const answered = askHttp2(client, { ':path': '/' });
    await expect.poll(() => numbers.length, patience).toBeGreaterThan(5);
    const other = await askHttp2(client, { ':path': '/other' });
    expect(other.body.toString()).toBe('other');
    expect(numbers.length).toBeLessThan(eventCount);
    const answer = await within(answered, 20_000, 'the stream');
    expect([answer.body.length, answer.rstCode]).toEqual([events.join('').length, 0]);
    await expect.poll(() => numbers.length, patience).toBe(eventCount);
    await client[Symbol.asyncDispose]();
    await finish(proxy);
    expect(numbers).toEqual(events.map((_event, index) => index));
    expect(proxy.handle.metrics().droppedDispatchWorkCount).toBe(0);
  });

  // What comes faster than it can be decoded is given up (`too_slow`) instead of being held back.
  test('loses none of a compressed stream', async () => {
    let count = 0;
    const lines = Array.from({ length: 40_000 }, () => `${randomBytes(300).toString('base64')}\n`);
    const body = gzipSync(lines.join(''), { level: 1 });
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' })
          .end(body),
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onStreamChunk: () => void (count += 1) },
      config: { flowRuntime: { dispatchOverflow: 'backpressure' } },
    });
    await using client = await streamThroughProxy(proxy, origin.url, { isPaused: true });
    client.response.resume();
    await within(client.ended, 20_000, 'the end of the stream');
    await expect.poll(() => count, { timeout: 3_000 }).toBe(40_000);
  });

  test('holds the traffic back for dispatchQueueSendTimeoutMs at most', async () => {
    const handler: InterceptHandler = { onStreamChunk: () => new Promise(() => {}) };
    const body = numbered(200, padding).join('');
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.writeHead(200, sse).end(body),
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler,
      config: {
        handler: { responseTimeoutMs: 1_500 },
        flowRuntime: {
          dispatchQueueCapacity: 4,
          dispatchOverflow: 'backpressure',
          dispatchQueueSendTimeoutMs: 200,
          dispatchCloseJoinTimeoutMs: 500,
        },
      },
    });
    await using client = await streamThroughProxy(proxy, origin.url);
    await within(client.ended, 10_000, 'the end of the stream');
    expect(client.bytes().length).toBe(body.length);
    expect(proxy.handle.metrics().droppedDispatchWorkCount).toBeGreaterThan(0);
  });
});

/** A million keeps the promise of the README; the usual run takes a tenth. */
const longCount = Number(process.env['SOTH_STREAM_EVENTS'] ?? 100_000);

/** Writes the events in batches, as fast as they are taken. */
const longStream: OriginHandler = async (_seen, response) => {
  response.writeHead(200, sse);
  for (let index = 0; index < longCount; index += 50) {
    const size = Math.min(50, longCount - index);
    const batch = Array.from({ length: size }, (_, at) => `data: ${index + at} ${'y'.repeat(100)}\n\n`);
    if (!response.write(batch.join(''))) await once(response, 'drain');
  }
  response.end();
};

describe.skipIf(!hasProcessUsage)(
  `${longCount} events on one connection (only Linux tells the figures)`,
  () => {
    test('arrive in order and none is lost, and memory stays', { timeout: 600_000 }, async ({ annotate }) => {
      await using server = await startHttpsOrigin({ authority, handler: longStream });
      const program = fileURLToPath(new URL('../lab/chunk-counter.ts', import.meta.url));
      const child = fork(program, [await authority.caFile()], {
        execArgv: ['--max-semi-space-size=4', '--max-old-space-size=96'],
      });
      try {
        const [told]: unknown[] = await within(once(child, 'message'), 20_000, 'the start of the program');
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what the program sends
        const { port, certificatePem } = told as { port: number; certificatePem: string };
        const pid = child.pid ?? 0;
        const client = await streamThroughProxy({ port, ca: { certificatePem } }, server.url, {
          isPaused: true,
        });
        let received = 0;
        let lines = 0;
        client.response.on('data', (piece: Buffer) => {
          received += piece.length;
          for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) lines += 1;
        });
        await expect.poll(() => lines, { timeout: 300_000, interval: 10 }).toBeGreaterThan(longCount * 0.4);
        const early = await residentBytes(pid);
        await within(client.ended, 500_000, 'the end of the stream');
        const late = await residentBytes(pid);
        const tally = await tallyOf(child);
        await client[Symbol.asyncDispose]();
        const [before, after] = [early, late].map((bytes) => (bytes / mebibyte).toFixed(1));
        await annotate(
          `${longCount} events, ${(received / mebibyte).toFixed(1)} MiB; resident ${before}, then ${after} MiB`,
        );
        expect(lines).toBe(2 * longCount);
        expect(tally).toMatchObject({ count: longCount, firstGap: -1 });
        expect(late - early).toBeLessThan(24 * mebibyte);
      } finally {
        const ended = once(child, 'exit');
        child.disconnect();
        await ended;
      }
    });
  },
);

async function tallyOf(child: ReturnType<typeof fork>): Promise<ChunkTally> {
  const answered = once(child, 'message');
  child.send('tally');
  const [tally]: unknown[] = await within(answered, 10_000, 'the tally');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what the program sends
  return tally as ChunkTally;
}
