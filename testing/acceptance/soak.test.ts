// Every protocol on every lane at once, for as long as is asked for: nothing fails, memory does not grow, and no descriptor stays.
// `SOTH_SOAK_SECONDS=600` for ten minutes; without it, a few seconds show that the soak itself works.
import { expect, test } from 'vitest';

import { type Bridge, startClientBridge, startOriginBridge } from '../chaos/bridge.ts';
import { clients } from '../chaos/clients.ts';
import { type ChaosOrigin, startChaosOrigin } from '../chaos/origin.ts';
import { Random } from '../chaos/random.ts';
import { type Way, ways } from '../chaos/scenario.ts';
import { createLabAuthority, type IssuedCertificate } from '../lab/certificates.ts';
import { loopbackNames } from '../lab/origins.ts';
import { descriptorCount, hasProcessUsage, residentBytes, untilAtMost } from '../lab/process-usage.ts';
import { type Sample, slopePerMinute } from '../lab/slope.ts';
import type { SoakStart } from '../soak/messages.ts';
import { startSoakProxy } from '../soak/proxy-process.ts';

const seconds = Number(process.env['SOTH_SOAK_SECONDS'] ?? 8);
const warmUpSeconds = Math.min(60, seconds / 4);
/** MiB a minute. In less than five minutes the slope says more about the collector than about leaks. */
const mostGrowth = seconds >= 300 ? 1 : 600;
const mebibyte = 1024 * 1024;
/** With a heap that may grow as it likes, resident memory tells when it was last collected rather than what is kept. */
const heapBounds = ['--max-old-space-size=64', '--max-semi-space-size=2'];

interface Road extends AsyncDisposable {
  readonly port: number;
  readonly authority: string;
}

interface Stage {
  readonly proxy: SoakStart;
  readonly origin: ChaosOrigin;
  readonly certificate: IssuedCertificate;
}

async function buildRoad(way: Way, { proxy, origin, certificate }: Stage): Promise<Road> {
  const ports = { http1: origin.http1Port, http2: origin.http2Port, tcp: origin.tcpPort };
  const isTls = way.lane === 'tls';
  const alpn = way.origin === 'http2' ? 'h2' : 'http/1.1';
  const originSide = await startOriginBridge({
    originPort: ports[way.origin],
    tls: isTls ? { certificate, alpn: [alpn] } : undefined,
    fault: undefined,
  });
  const authority = `${way.lane === 'tunnel' ? '127.0.0.1' : 'localhost'}:${originSide.port}`;
  const clientSide: Bridge = await startClientBridge({
    proxyPort: proxy.port,
    authority: way.lane === 'forward' ? undefined : authority,
    alpn: isTls ? [way.clientAlpn ?? 'http/1.1'] : undefined,
    caPem: proxy.ca,
    fault: undefined,
  });
  return {
    port: clientSide.port,
    authority,
    [Symbol.asyncDispose]: async () => {
      await clientSide[Symbol.asyncDispose]();
      await originSide[Symbol.asyncDispose]();
    },
  };
}

interface Tally {
  completeCount: number;
  readonly wrong: string[];
}

async function travel(
  way: Way,
  stage: Stage,
  { seed, until, tally }: { readonly seed: number; readonly until: number; readonly tally: Tally },
): Promise<void> {
  await using road = await buildRoad(way, stage);
  for (let turn = 0; performance.now() < until; turn += 1) {
    const outcomes = await clients[way.client]({
      port: road.port,
      random: new Random(seed + turn),
      seed,
      prefix: way.lane === 'forward' ? `http://${road.authority}` : '',
      host: road.authority,
      patienceMs: 30_000,
      abandonPercent: 0,
      complain: (text) => tally.wrong.push(text),
    });
    for (const outcome of outcomes)
      if (outcome === 'complete') tally.completeCount += 1;
      else tally.wrong.push(`${way.client} by ${way.lane}: ${outcome}`);
    // Others want to work too, and a proxy is rarely alone.
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

async function sample(pid: number, until: number, samples: Sample[], descriptors: Sample[]): Promise<void> {
  while (performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const atMs = performance.now();
    samples.push({ atMs, value: await residentBytes(pid) });
    descriptors.push({ atMs, value: await descriptorCount(pid) });
  }
}

test.skipIf(!hasProcessUsage)(
  `${seconds} seconds of everything at once (only Linux tells the figures)`,
  { timeout: (seconds + 90) * 1_000 },
  async ({ annotate }) => {
    const tally: Tally = { completeCount: 0, wrong: [] };
    await using authority = await createLabAuthority();
    await using origin = await startChaosOrigin((_seed, text) => tally.wrong.push(text));
    await using proxy = await startSoakProxy(await authority.caFile(), heapBounds);
    const { pid } = proxy;
    const stage = { proxy, origin, certificate: await authority.issue(loopbackNames) };
    const descriptorsBefore = await descriptorCount(pid);
    const begin = performance.now();
    const until = begin + seconds * 1_000;
    const [resident, descriptors]: [Sample[], Sample[]] = [[], []];
    const works: Promise<void>[] = [sample(pid, until, resident, descriptors)];
    for (const [index, way] of ways.entries()) {
      if (way.isBridged === true) continue;
      works.push(travel(way, stage, { seed: index * 1_000_003, until, tally }));
    }
    await Promise.all(works);
    // Idle connections to origins are let go of after two seconds.
    const descriptorsAfter = await untilAtMost(() => descriptorCount(pid), descriptorsBefore + 2, 15_000);
    const metrics = await proxy.stop();
    const warm = resident.filter(({ atMs }) => atMs - begin > warmUpSeconds * 1_000);
    const slope = slopePerMinute(warm) / mebibyte;
    const peak = Math.max(...warm.map(({ value }) => value)) / mebibyte;
    await annotate(
      `${tally.completeCount} exchanges, ${metrics.totalConnections} connections, ${metrics.flowCount} flows; resident ${((warm[0]?.value ?? 0) / mebibyte).toFixed(1)} MiB when warm, ` +
        `${((warm.at(-1)?.value ?? 0) / mebibyte).toFixed(1)} at the end, ${peak.toFixed(1)} at most, slope ${slope.toFixed(2)} MiB a minute; ` +
        `descriptors ${descriptorsBefore}, ${Math.max(...descriptors.map(({ value }) => value))} at most, ${descriptorsAfter} in the end`,
    );
    expect(tally.wrong).toEqual([]);
    expect(tally.completeCount).toBeGreaterThan(10 * seconds);
    expect(metrics).toMatchObject({
      activeConnections: 0,
      activeFlows: 0,
      currentInFlightBytes: 0,
      budgetDenialCount: 0,
      stuckFlowCount: 0,
      invalidTransitionCount: 0,
      handlerPanicCount: 0,
      handlerTimeoutCount: 0,
    });
    expect(slope).toBeLessThan(mostGrowth);
  },
);
