// Ten thousand streams on ten connections, a third of them given up at any moment: nothing of them stays, and the connections are as
// good as new afterwards.
import type { ClientHttp2Session, ServerHttp2Session } from 'node:http2';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { answerOf, askHttp2, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { startProxy } from '../lab/proxy.ts';
import { expectNothingLeft, openHandles } from '../lab/resources.ts';
import { seededRandom } from '../lab/split.ts';

const connectionCount = 10;
const streamsEach = 1_000;
const atOnce = 50;
const body = Buffer.alloc(6_000, 'x');
/** As the proxy gives it at the start. */
const connectionWindowBytes = 16 * 1024 * 1024;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Tally {
  complete: number;
  given: number;
  wrong: number;
}

/** One stream; a third is given up, before its answer, within it, or within its request. */
async function exchange(client: ClientHttp2Session, random: () => number, tally: Tally): Promise<void> {
  const mood = random();
  const stream = client.request({ ':method': 'POST', ':path': '/' });
  const answered = answerOf(stream);
  if (mood < 1 / 3) {
    tally.given += 1;
    if (mood < 0.1) stream.write(body.subarray(0, 100));
    else stream.end(body);
    if (mood < 0.2) setImmediate(() => stream.close(8));
    else if (mood < 0.27) setTimeout(() => stream.close(8), random() * 20);
    else stream.once('data', () => stream.close(8));
    await answered;
    return;
  }
  stream.end(body);
  const answer = await answered;
  if (answer.rstCode === 0 && answer.body.equals(body)) tally.complete += 1;
  else tally.wrong += 1;
}

async function work(client: ClientHttp2Session, seed: number, tally: Tally): Promise<void> {
  const random = seededRandom(seed);
  let left = streamsEach;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await exchange(client, random, tally);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

/** What may still be sent to the proxy, at its worst. */
function smallestWindow(sessions: readonly (ClientHttp2Session | ServerHttp2Session)[]): number {
  return Math.min(...sessions.map(({ state }) => state.remoteWindowSize ?? 0));
}

test(
  '10,000 streams over 10 connections, a third of them cancelled',
  { timeout: 50_000 },
  async ({ annotate }) => {
    await using origin = await startHttp2Origin({
      authority,
      settings: { maxConcurrentStreams: 1_000 },
      onStream: (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      config: { http2Limits: { maxResets: 100_000, maxRefusedStreams: 100_000 } },
    });
    const target = {
      ...proxy.forClients,
      authority: origin.authority,
    };
    const warm = await http2ThroughProxy(target);
    await askHttp2(warm, { ':method': 'POST', ':path': '/' }, body);
    await warm[Symbol.asyncDispose]();
    const before = openHandles();
    const clients = await Promise.all(
      Array.from({ length: connectionCount }, () => http2ThroughProxy(target)),
    );
    const tally: Tally = { complete: 0, given: 0, wrong: 0 };
    const start = performance.now();
    await Promise.all(clients.map((client, index) => work(client, index + 1, tally)));
    const tookMs = performance.now() - start;
    expect(tally.wrong).toBe(0);
    expect(tally.complete + tally.given).toBe(connectionCount * streamsEach);
    expect(tally.given).toBeGreaterThan(3_000);
    // Flows of given-up streams close when their reset has arrived.
    await expect.poll(() => proxy.handle.metrics().activeFlows, { timeout: 5_000 }).toBe(connectionCount);
    // Less than half a window is given back together with what comes next.
    const live = origin.sessions.filter(({ closed, destroyed }) => !closed && !destroyed);
    const [down, up] = [smallestWindow(clients), smallestWindow(live)];
    expect(Math.min(down, up)).toBeGreaterThanOrEqual(connectionWindowBytes / 2);
    // Each connection is as good as new: more than its window passes at once, both ways.
    const big = Buffer.alloc(3 * 1024 * 1024, 'y');
    const echoes = await Promise.all(
      clients.map((client) => askHttp2(client, { ':method': 'POST', ':path': '/' }, big)),
    );
    expect(echoes.every(({ body: echo, rstCode }) => rstCode === 0 && echo.equals(big))).toBe(true);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await expect.poll(() => proxy.handle.metrics().activeFlows, { timeout: 5_000 }).toBe(0);
    await expectNothingLeft(before, 10_000);
    await proxy.finish();
    const { closedByReason } = proxy.handle.metrics();
    await annotate(
      `${JSON.stringify(tally)} in ${tookMs.toFixed(0)} ms; windows left: ${down} and ${up}; ${live.length} connections to the origin; ` +
        `client_aborted ${closedByReason.client_aborted}`,
    );
    expect(closedByReason.mitm_http_error).toBe(0);
  },
);
