// Plays one scenario with a proxy of its own, and afterwards holds the proxy to its promises: everything ended, once, and was counted.
import {
  type CertificateAuthority,
  createMitmProxy,
  type EventKind,
  EventRecorder,
  type MitmEvent,
  type MitmProxyHandle,
  type PolicyEngine,
  type ProxyMetrics,
} from 'soth-mitm';

import type { IssuedCertificate } from '../lab/certificates.ts';
import { expectClosedOnce, expectOrdered } from '../lab/events.ts';
import { type Bridge, startClientBridge, startOriginBridge, startWireBridge } from './bridge.ts';
import { clients, type Outcome } from './clients.ts';
import type { FaultPlace } from './fault.ts';
import type { ChaosOrigin } from './origin.ts';
import { Random } from './random.ts';
import { describeScenario, type Scenario, scenarioOf } from './scenario.ts';
import { Witness } from './witness.ts';

/** What all seeds share. */
export interface ChaosStage {
  readonly origin: ChaosOrigin;
  readonly certificate: IssuedCertificate;
  readonly originCaFile: string;
  readonly ca: CertificateAuthority;
  /** What origins had to complain about, by seed; filled while the seeds run. */
  readonly complaints: Map<number, string[]>;
}

/** How a seed went. */
export interface SeedReport {
  readonly seed: number;
  readonly outcomes: readonly Outcome[];
  /** Empty when everything held. */
  readonly violations: readonly string[];
  readonly description: string;
  readonly tookMs: number;
}

/** Whoever wants to know when something is going on. */
export interface Watched {
  readonly begin: () => void;
  readonly end: () => void;
}

/** Longer than any limit of the proxy's own in these scenarios, on a machine that does much else. */
const settleMs = 12_000;
const patienceMs = 1_200;
/** Where everything has to succeed, however busy the machine is. */
const longPatienceMs = 25_000;

/** Plays the scenario of a seed. Never rejects for what the proxy does. */
export function runSeed(seed: number, stage: ChaosStage): Promise<SeedReport> {
  return runScenario(scenarioOf(seed), stage);
}

/**
 * Plays a scenario. Never rejects for what the proxy does.
 *
 * @param watched told when clients begin, and when the proxy is through with the last of them
 */
export async function runScenario(
  scenario: Scenario,
  stage: ChaosStage,
  watched: Watched = unwatched,
): Promise<SeedReport> {
  const { seed } = scenario;
  const start = performance.now();
  const violations: string[] = [];
  let outcomes: readonly Outcome[] = [];
  try {
    outcomes = await play(scenario, stage, { violations, watched });
  } catch (error) {
    violations.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  if (!scenario.isTampering) violations.push(...(stage.complaints.get(seed) ?? []));
  return {
    seed,
    outcomes,
    violations,
    description: describeScenario(scenario),
    tookMs: performance.now() - start,
  };
}

const unwatched: Watched = { begin: () => {}, end: () => {} };

interface Running {
  readonly handle: MitmProxyHandle;
  readonly events: EventRecorder;
  readonly witness: Witness;
}

async function startProxy(scenario: Scenario, stage: ChaosStage): Promise<Running> {
  const random = new Random(scenario.seed + 1);
  const witness = new Witness(scenario.mood, random);
  const { config } = scenario;
  const proxy = createMitmProxy({
    ca: stage.ca,
    handler: witness.handler,
    ...(scenario.policy === 'faulty' && { policy: faultyPolicy(random) }),
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'] },
      ...config,
      upstream: { ...config.upstream, caPaths: [stage.originCaFile] },
    },
  });
  const handle = await proxy.start();
  const events = new EventRecorder({ capacity: 100_000 });
  handle.events.subscribe(events);
  return { handle, events, witness };
}

function faultyPolicy(random: Random): PolicyEngine {
  return {
    decide: () => {
      if (random.percent(30)) throw new Error('the policy threw');
      return { action: random.pick(['intercept', 'tunnel', 'block']), reason: 'chaos' };
    },
  };
}

async function play(
  scenario: Scenario,
  stage: ChaosStage,
  { violations, watched }: { violations: string[]; watched: Watched },
): Promise<readonly Outcome[]> {
  const bridges: Bridge[] = [];
  const running = await startProxy(scenario, stage);
  const complain = (text: string): void => {
    if (!scenario.isTampering) violations.push(text);
  };
  try {
    const road = await buildRoad(scenario, stage, running.handle.address.port, bridges);
    const stopping = stopMidway(scenario, running.handle);
    watched.begin();
    const { way } = scenario;
    const outcomes = await clients[way.client]({
      port: road.port,
      random: new Random(scenario.seed + 2),
      seed: scenario.seed,
      prefix: way.lane === 'forward' ? `http://${road.authority}` : '',
      host: road.authority,
      patienceMs: scenario.patienceMs ?? (scenario.mustSucceed ? longPatienceMs : patienceMs),
      abandonPercent: scenario.abandonPercent,
      complain,
    });
    if (scenario.mustSucceed && outcomes.some((outcome) => outcome !== 'complete'))
      violations.push(`nothing stood in the way, and yet: ${outcomes.join(', ')}`);
    for (const bridge of road.clientSide) bridge.destroyAll();
    await stopping;
    await finish(running, violations, { ...watched, mayLoseEvents: scenario.mayLoseEvents ?? false });
    await expectGone(road.originSide, violations);
    return outcomes;
  } finally {
    await running.handle.shutdown(0).catch(() => {}); // what it has to say has been said
    for (const bridge of bridges) await bridge[Symbol.asyncDispose]();
  }
}

interface Road {
  /** Where the client connects. */
  readonly port: number;
  /** What it asks the proxy for. */
  readonly authority: string;
  /** Everything between the client and the proxy. */
  readonly clientSide: readonly Bridge[];
  readonly originSide: Bridge;
}

async function buildRoad(
  scenario: Scenario,
  stage: ChaosStage,
  proxyPort: number,
  bridges: Bridge[],
): Promise<Road> {
  const { way, fault } = scenario;
  const keep = async (bridge: Promise<Bridge>): Promise<Bridge> => {
    const made = await bridge;
    bridges.push(made);
    return made;
  };
  const at = (place: FaultPlace): Scenario['fault'] => (fault?.place === place ? fault : undefined);
  const isTls = way.lane === 'tls';
  const beginning = scenario.mustSucceed ? { beginningMs: longPatienceMs } : {};
  const ports = { http1: stage.origin.http1Port, http2: stage.origin.http2Port, tcp: stage.origin.tcpPort };
  const originBridge = await keep(
    startOriginBridge({
      originPort: ports[way.origin],
      tls: isTls
        ? { certificate: stage.certificate, alpn: [way.origin === 'http2' ? 'h2' : 'http/1.1'] }
        : undefined,
      fault: at('origin_plain'),
      ...beginning,
    }),
  );
  const originSide =
    at('origin_wire') === undefined
      ? originBridge
      : await keep(startWireBridge(originBridge.port, at('origin_wire')));
  const authority = `localhost:${scenario.isUnreachable ? 1 : originSide.port}`;
  const clientWire =
    at('client_wire') === undefined ? undefined : await keep(startWireBridge(proxyPort, at('client_wire')));
  const clientBridge = await keep(
    startClientBridge({
      proxyPort: clientWire?.port ?? proxyPort,
      authority: way.lane === 'forward' ? undefined : authority,
      alpn: isTls ? [way.clientAlpn ?? 'http/1.1'] : undefined,
      caPem: stage.ca.certificatePem,
      fault: at('client_plain'),
      ...beginning,
    }),
  );
  const clientSide = clientWire === undefined ? [clientBridge] : [clientBridge, clientWire];
  return { port: clientBridge.port, authority, clientSide, originSide };
}

/** Stops the proxy in the middle, where the scenario says so; having to cut connections is no fault then. */
async function stopMidway({ shutdown }: Scenario, handle: MitmProxyHandle): Promise<void> {
  if (shutdown === undefined) return;
  await new Promise((resolve) => {
    setTimeout(resolve, shutdown.afterMs);
  });
  await handle.shutdown(shutdown.timeoutMs).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MITM_SHUTDOWN_TIMEOUT') return;
    throw error;
  });
}

/** The clients are gone: everything of theirs must end by itself, and then the proxy in good order. */
async function finish(
  { handle, events, witness }: Running,
  violations: string[],
  watched: Watched & { readonly mayLoseEvents: boolean },
): Promise<void> {
  const isQuiet = await eventually(() => handle.metrics().activeConnections === 0);
  watched.end();
  if (!isQuiet) violations.push('client connections are still open');
  await handle.shutdown(settleMs).catch((error: unknown) => {
    if (isQuiet && !isCut(error)) throw error;
  });
  const metrics = handle.metrics();
  const seen = events.events();
  checkCounts(watched.mayLoseEvents ? { ...metrics, eventsDroppedCount: 0 } : metrics, seen, violations);
  const flowIds = [...new Set(seen.map((event) => Number(event.context.flowId)))];
  if (Math.max(0, ...flowIds) !== flowIds.length) violations.push('some flow was never heard of');
  const refused = seen.filter(isRefusal).map(({ context }) => Number(context.flowId));
  if (refused.length !== metrics.flowPermitDenialCount)
    violations.push(`${refused.length} refusals were told`);
  const served = flowIds.filter((id) => !refused.includes(id));
  violations.push(...witness.verdict(served, metrics.totalConnections));
}

/** A client that was refused at the door: no hook hears of it. */
function isRefusal(event: MitmEvent): boolean {
  return (
    event.kind === 'stream_closed' &&
    event.reasonCode === 'capacity_denied' &&
    event.flowSequenceId === 1 &&
    event.parentFlowId === undefined &&
    event.reasonDetail?.startsWith('maxConcurrentFlows ') === true
  );
}

/** What is counted is what was told, and nothing is counted as going on. */
function checkCounts(metrics: ProxyMetrics, seen: readonly MitmEvent[], violations: string[]): void {
  const zero = {
    activeConnections: metrics.activeConnections,
    activeFlows: metrics.activeFlows,
    currentInFlightBytes: metrics.currentInFlightBytes,
    invalidTransitionCount: metrics.invalidTransitionCount,
    listenerErrorCount: metrics.listenerErrorCount,
    eventsDroppedCount: metrics.eventsDroppedCount,
  };
  for (const [name, value] of Object.entries(zero))
    if (value !== 0) violations.push(`${name} is ${value} when all is over`);
  const count = (kind: EventKind): number => seen.filter((event) => event.kind === kind).length;
  const totals = [
    ['flowCount', 'stream_closed'],
    ['requestCount', 'request_headers'],
    ['responseCount', 'response_headers'],
    ['tlsFailureCount', 'tls_handshake_failed'],
  ] as const;
  for (const [name, kind] of totals)
    if (metrics[name] !== count(kind))
      violations.push(`${name} is ${metrics[name]}, with ${count(kind)} events of ${kind}`);
  const byReason = Object.values(metrics.closedByReason).reduce((sum, value) => sum + value, 0);
  if (byReason !== metrics.flowCount)
    violations.push(`${byReason} closes by reason, of ${metrics.flowCount} flows`);
  if (seen.length > 0) {
    expectOrdered(seen);
    expectClosedOnce(seen);
  }
}

/** A connection that was cut in the middle, where the scenario stopped the proxy. */
function isCut(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MITM_SHUTDOWN_TIMEOUT';
}

/** The proxy is through: not one connection of its own to an origin may be left. */
async function expectGone(originSide: Bridge, violations: string[]): Promise<void> {
  originSide.resumeAll();
  const isGone = await eventually(() => originSide.openCount === 0, 3_000);
  if (!isGone) violations.push(`${originSide.openCount} sockets on the origin's side are still open`);
}

async function eventually(holds: () => boolean, withinMs: number = settleMs): Promise<boolean> {
  const end = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => {
      setTimeout(resolve, 4);
    });
  }
  return true;
}
