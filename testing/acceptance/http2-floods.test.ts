// Peers that keep the proxy busy with nothing. Each ends with its own reason, and another client of the same proxy loses nothing by
// it. What a flood costs before its end is measured: the proxy runs in a process of its own for that.
import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import {
  ack,
  dataFrame,
  endHeaders,
  endStream,
  encodeFields,
  frame,
  frameTypes,
  headersFrame,
  pingFrame,
  resetFrame,
  settingsFrame,
  windowUpdateFrame,
} from '../lab/h2-frames.ts';
import { dialRawPeer, getFields, postFields, type RawPeer, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import { askHttp2, type Http2Client, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { hasProcessUsage } from '../lab/process-usage.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';
import { startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Flood {
  readonly reason: string;
  /** What is sent before, once. */
  readonly begin?: (target: string) => readonly Buffer[];
  /** One round of it, counted from 0. */
  readonly round: (target: string, index: number) => readonly Buffer[];
  /** It reads nothing of what it is answered. */
  readonly isDeaf?: boolean;
}

const nothing = Buffer.alloc(0);
const gets = endHeaders | endStream;

function headerBomb(target: string): Buffer {
  const entry = encodeFields(['x', 'y'.repeat(4_000)]);
  entry[0] = 0x40;
  return Buffer.concat([encodeFields(getFields(target)), entry, Buffer.alloc(100, 0xbe)]);
}

const floods: readonly Flood[] = [
  {
    reason: 'rapid_reset',
    round: (target, index) => [
      headersFrame(2 * index + 1, getFields(target, '/slow'), gets),
      resetFrame(2 * index + 1, 8),
    ],
  },
  {
    // The proxy itself resets each of these: the window of a stream grows beyond its end (CVE-2025-8671).
    reason: 'rapid_reset',
    round: (target, index) => [
      headersFrame(2 * index + 1, postFields(target, '/slow'), endHeaders),
      windowUpdateFrame(2 * index + 1, 0x7fff_ffff),
    ],
  },
  {
    reason: 'too_many_streams',
    round: (target, index) => [headersFrame(2 * index + 1, getFields(target, '/slow'), gets)],
  },
  {
    reason: 'continuation_flood',
    begin: (target) => [frame(frameTypes.headers, endStream, 1, encodeFields(getFields(target)))],
    round: () => [frame(frameTypes.continuation, 0, 1, encodeFields(['x', 'y']))],
  },
  {
    // One large entry of the table, and a hundred references of one byte each to it.
    reason: 'header_list_flood',
    round: (target) => [frame(frameTypes.headers, gets, 1, headerBomb(target))],
  },
  {
    // As many bytes as that without a table.
    reason: 'continuation_flood',
    begin: (target) => [frame(frameTypes.headers, endStream, 1, encodeFields(getFields(target)))],
    round: () => [frame(frameTypes.continuation, 0, 1, encodeFields(['x-large', 'x'.repeat(16_000)]))],
  },
  { reason: 'settings_flood', round: () => [settingsFrame()] },
  { reason: 'settings_flood', round: () => [frame(frameTypes.settings, ack, 0, nothing)] },
  { reason: 'ping_flood', round: () => [pingFrame()] },
  {
    reason: 'empty_data_flood',
    begin: (target) => [headersFrame(1, postFields(target, '/slow'))],
    round: () => [dataFrame(1, '')],
  },
  {
    reason: 'window_update_flood',
    begin: (target) => [headersFrame(1, getFields(target, '/slow'), gets)],
    round: () => [windowUpdateFrame(1, 1)],
  },
  { reason: 'window_update_flood', round: () => [windowUpdateFrame(0, 1)] },
  {
    reason: 'ignored_frame_flood',
    round: () => [frame(frameTypes.priority, 0, 1, Buffer.from([0, 0, 0, 0, 1]))],
  },
  { reason: 'ignored_frame_flood', round: () => [frame(0xbb, 0, 0, Buffer.from('unknown'))] },
];

const roundsAtMost = 20_000;
const roundsPerWrite = 50;

/** Floods until the proxy ends the connection; answers how many rounds that took. */
async function inundate(peer: RawPeer, flood: Flood, target: string): Promise<number> {
  if (flood.begin !== undefined) peer.send(...flood.begin(target));
  const isOver = (): boolean => peer.hasEnded || peer.frames.some(({ type }) => type === frameTypes.goaway);
  let rounds = 0;
  while (rounds < roundsAtMost && !isOver()) {
    const round = Array.from({ length: roundsPerWrite }, (_, index) => flood.round(target, rounds + index));
    peer.send(...round.flat());
    rounds += roundsPerWrite;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return rounds;
}

/** Another client, which asks one thing after the other until it is told to stop. */
class Bystander {
  readonly #client: Http2Client;
  #isStopped = false;
  readonly #working: Promise<void>;
  answerCount = 0;
  lostCount = 0;
  slowestMs = 0;

  constructor(client: Http2Client) {
    this.#client = client;
    this.#working = this.#work();
  }

  /** Resolves when it has had so many answers, or as many failures. */
  async served(count: number): Promise<void> {
    while (this.answerCount < count) await this.#pause();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#working;
    await this.#client[Symbol.asyncDispose]();
  }

  async #work(): Promise<void> {
    while (!this.#isStopped) {
      const start = performance.now();
      const { headers, rstCode } = await askHttp2(this.#client, { ':path': '/' });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
      this.answerCount += 1;
      if (headers[':status'] !== 200 || rstCode !== 0) this.lostCount += 1;
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

/** Leaves what is slow open for ever, and answers everything else. */
function startFloodedOrigin() {
  return startHttp2Origin({
    authority,
    onStream: (stream, headers) => {
      if (headers[':path'] === '/slow') return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    },
  });
}

describe.each(floods.map((flood, index) => ({ flood, title: `${flood.reason} (${index + 1})` })))(
  '$title',
  ({ flood }) => {
    test('ends the connection with its reason, and nobody else loses by it', async ({ annotate }) => {
      await using origin = await startFloodedOrigin();
      await using proxy = await startProxy({ trusts: authority });
      const ask = { ...proxy.forClients, authority: origin.authority };
      const bystander = new Bystander(await http2ThroughProxy(ask));
      await using peer = await dialRawPeer(ask);
      await peer.frameOf(({ type }) => type === frameTypes.settings);
      const rounds = await inundate(peer, flood, origin.authority);
      const code = await peer.goawayCode(20_000);
      await bystander.served(10);
      await bystander.stop();
      await peer[Symbol.asyncDispose]();
      await proxy.finish();
      await annotate(
        `${rounds} rounds at most; bystander: ${bystander.answerCount} answers, ` +
          `the slowest took ${bystander.slowestMs.toFixed(1)} ms`,
      );
      expect(proxy.handle.metrics().closedByReason).toMatchObject({ [flood.reason]: 1 });
      // A list beyond all measure is a fault of compression in the eyes of RFC 9113 §10.5.1, or calls for calm.
      expect([0xb, ...(flood.reason === 'header_list_flood' ? [9] : [])]).toContain(code);
      expect(bystander.answerCount).toBeGreaterThan(0);
      expect(bystander.lostCount).toBe(0);
      expect(bystander.slowestMs).toBeLessThan(1_000);
    });
  },
);

test('control_queue_flood: answers that a peer never reads end its connection', async () => {
  await using origin = await startFloodedOrigin();
  await using proxy = await startProxy({
    trusts: authority,
    config: { http2Limits: { maxPings: 1_000_000, maxQueuedControlFrames: 500 } },
  });
  await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority, isSilent: true });
  await peer.frameOf(({ type }) => type === frameTypes.settings);
  peer.socket.pause();
  const pings = Buffer.concat(Array.from({ length: 1_000 }, () => pingFrame()));
  const closed = proxy.events.waitFor('stream_closed', 30_000);
  while (!proxy.events.kinds().includes('stream_closed')) {
    peer.socket.write(pings);
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
  expect(await closed).toMatchObject({ reasonCode: 'control_queue_flood' });
  await peer[Symbol.asyncDispose]();
  await proxy.finish();
});

test(
  'zero_window_stall: a peer that leaves no window for its answer is let go',
  { timeout: 20_000 },
  async () => {
    await using origin = await startHttp2Origin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      config: { http2Limits: { zeroWindowMs: 1_000 } },
    });
    await using peer = await dialRawPeer({
      ...proxy.forClients,
      authority: origin.authority,
      settings: { initialWindowSize: 0 },
    });
    peer.ask(getFields(origin.authority));
    expect(await peer.goawayCode(10_000)).toBe(0xb);
    await peer.ended();
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ zero_window_stall: 1 });
  },
);

test('an origin that floods loses its connection, and its client learns of it', async () => {
  await using origin = await startRawH2Origin({
    authority,
    isSilent: true,
    onPeer: async (peer) => {
      await peer.until(() => peer.stream(1).isEnded, 'the request');
      for (let sent = 0; sent < 5_000 && !peer.hasEnded; sent += 100)
        peer.send(...Array.from({ length: 100 }, () => pingFrame()));
    },
  });
  await using proxy = await startProxy({ trusts: authority });
  await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
  const seen = await peer.over(peer.ask(getFields(origin.authority)), 10_000);
  expect(seen.heads[0]?.[1]).toBe('502');
  expect(await (await origin.peer(0)).goawayCode(10_000)).toBe(0xb);
  await peer[Symbol.asyncDispose]();
  await proxy.finish();
});

/** Processor time of a process so far, in milliseconds; Linux counts it in hundredths of a second. */
async function processorMs(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

test.skipIf(!hasProcessUsage)(
  'the processor time of a flood until its end (only Linux tells it)',
  { timeout: 30_000 },
  async ({ annotate }) => {
    await using origin = await startFloodedOrigin();
    await using proxy = await startProxyProcess({ trusts: authority });
    const figures: string[] = [];
    let most = 0;
    for (const flood of floods) {
      await using peer = await dialRawPeer({
        proxyPort: proxy.port,
        authority: origin.authority,
        ca: proxy.ca,
      });
      await peer.frameOf(({ type }) => type === frameTypes.settings);
      const before = await processorMs(proxy.pid);
      await inundate(peer, flood, origin.authority);
      await peer.goawayCode(20_000);
      const spent = (await processorMs(proxy.pid)) - before;
      most = Math.max(most, spent);
      figures.push(`${flood.reason} ${spent} ms`);
    }
    await annotate(`processor time until the end: ${figures.join(', ')}`);
    expect(most).toBeLessThan(2_000);
    await proxy.finish();
  },
);
