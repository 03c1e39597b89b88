// What a seed stands for: a way through the proxy, a protocol on it, what goes wrong and where, how the handler behaves, and which
// limits are tight.
import type { MitmConfigInput } from 'soth-mitm';

import type { ClientName } from './clients.ts';
import { type Fault, faultKinds, type FaultPlace } from './fault.ts';
import { Random } from './random.ts';
import { type Mood, moods } from './witness.ts';

/** A lane and a protocol on it. */
export interface Way {
  readonly client: ClientName;
  /** Plain proxy requests, a tunnel that is not read, or a CONNECT that is, with or without TLS inside. */
  readonly lane: 'forward' | 'tunnel' | 'plain_connect' | 'tls';
  readonly clientAlpn?: 'h2' | 'http/1.1';
  readonly origin: 'http1' | 'http2' | 'tcp';
  readonly isBridged?: true;
}

/** Every lane and protocol, each as often as it is listed. */
export const ways: readonly Way[] = [
  { client: 'http1', lane: 'forward', origin: 'http1' },
  { client: 'http1_sse', lane: 'forward', origin: 'http1' },
  { client: 'http2', lane: 'forward', origin: 'http2' },
  { client: 'bytes', lane: 'tunnel', origin: 'tcp' },
  { client: 'http1', lane: 'tunnel', origin: 'http1' },
  { client: 'bytes', lane: 'plain_connect', origin: 'tcp' },
  { client: 'http1', lane: 'plain_connect', origin: 'http1' },
  { client: 'websocket', lane: 'plain_connect', origin: 'http1' },
  { client: 'http2', lane: 'plain_connect', origin: 'http2' },
  { client: 'http1', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http1' },
  { client: 'http1', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http1' },
  { client: 'http1_sse', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http1' },
  { client: 'websocket', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http1' },
  { client: 'http2', lane: 'tls', clientAlpn: 'h2', origin: 'http2' },
  { client: 'http2', lane: 'tls', clientAlpn: 'h2', origin: 'http2' },
  { client: 'http2_sse', lane: 'tls', clientAlpn: 'h2', origin: 'http2' },
  { client: 'grpc', lane: 'tls', clientAlpn: 'h2', origin: 'http2' },
  { client: 'http2', lane: 'tls', clientAlpn: 'h2', origin: 'http1', isBridged: true },
  { client: 'http1', lane: 'tls', clientAlpn: 'http/1.1', origin: 'http2', isBridged: true },
];

export interface Scenario {
  readonly seed: number;
  readonly way: Way;
  readonly fault: Fault | undefined;
  readonly mood: Mood;
  readonly policy: 'configured' | 'faulty';
  readonly config: Partial<MitmConfigInput>;
  /** The proxy is told to stop in the middle, and has this long. */
  readonly shutdown: { readonly afterMs: number; readonly timeoutMs: number } | undefined;
  readonly abandonPercent: number;
  /** The origin is not there. */
  readonly isUnreachable: boolean;
  /** Whether everything must come out as it would without the proxy. */
  readonly mustSucceed: boolean;
  /** How long clients wait for an answer; what is usual unless given. */
  readonly patienceMs?: number;
  /** A log may fail, and lose events. */
  readonly mayLoseEvents?: true;
  /** Bytes are changed where nothing protects them: whoever gets them can't be held to anything. */
  readonly isTampering: boolean;
}

function faultFrom(random: Random, way: Way): Fault | undefined {
  if (random.percent(8)) return undefined;
  const places: readonly FaultPlace[] =
    way.lane === 'tls'
      ? ['client_plain', 'client_wire', 'origin_wire', 'origin_plain']
      : ['client_plain', 'origin_plain'];
  return {
    kind: random.pick(faultKinds),
    place: random.pick(places),
    direction: random.pick(['up', 'down']),
    atBytes: random.magnitude(30_000),
    connectionIndex: random.percent(80) ? 0 : 1,
    noise: random.seed(),
  };
}

function timesOf(ms: number): Partial<MitmConfigInput> {
  return { timeouts: { headMs: ms, handshakeMs: ms, tunnelIdleMs: ms, bodyIdleMs: ms } };
}

function configFrom(random: Random, way: Way, limitMs: number): Partial<MitmConfigInput> {
  const maxSizeBytes = random.pick([1_024, 10_000, 10_485_760]);
  return {
    ...timesOf(limitMs),
    ...(way.isBridged === true && { http2Bridge: true }),
    interceptMode: random.percent(75) ? 'enforce' : 'monitor',
    maxInFlightBytes: random.percent(80) ? 67_108_864 : 70_000,
    interception: {
      destinations: ['*:*'],
      ...(way.lane === 'tunnel' && { ignoreHosts: ['localhost'] }),
    },
    handler: {
      requestTimeoutMs: 40,
      responseTimeoutMs: 40,
      recoverFromPanics: random.percent(80),
      failureMode: random.pick(['open', 'closed']),
    },
    flowRuntime: {
      dispatchQueueCapacity: random.pick([1, 4, 128]),
      dispatchOverflow: random.pick(['drop', 'backpressure']),
      dispatchCloseJoinTimeoutMs: 150,
    },
    body: { maxSizeBytes, bufferRequestBodies: random.percent(70), bufferIdleMs: 100 },
    connectionPool: {
      maxConnectionsPerHost: random.pick([1, 2, 256]),
      maxIdlePerHost: random.pick([1, 64]),
    },
  };
}

/** What a seed stands for. */
export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed);
  const way = random.pick(ways);
  const fault = faultFrom(random, way);
  const mood = random.pick(moods);
  const policy = random.percent(5) ? 'faulty' : 'configured';
  const isUnreachable = random.percent(3);
  const isHarmless = fault === undefined || fault.kind === 'split' || fault.kind === 'slow';
  const hasShortTimes = !isHarmless && random.percent(85);
  // Where nothing may fail, a busy machine must not make it.
  const longMs = isHarmless ? 25_000 : 5_000;
  const config = configFrom(random, way, hasShortTimes ? 250 : longMs);
  const isStopped = random.percent(12);
  const shutdown = isStopped
    ? { afterMs: random.below(60), timeoutMs: random.pick([0, 20, 3_000]) }
    : undefined;
  const abandonPercent = random.percent(30) ? 20 : 0;
  const isWithinTls = way.lane === 'tls' && fault !== undefined && fault.place.endsWith('_wire');
  const isWellMeant = mood === 'absent' || mood === 'prompt' || mood === 'slow';
  return {
    seed,
    way,
    fault,
    mood,
    policy,
    config: {
      ...config,
      upstream: {
        connectTimeoutMs: hasShortTimes ? 500 : longMs,
        retryOnFailure: random.percent(30),
        retryDelayMs: 5,
        ...(hasShortTimes && { timeoutMs: 250, h2HeaderStageTimeoutMs: 250, h2BodyIdleTimeoutMs: 250 }),
      },
    },
    shutdown,
    abandonPercent,
    isUnreachable,
    mustSucceed:
      isHarmless &&
      isWellMeant &&
      policy === 'configured' &&
      !isUnreachable &&
      shutdown === undefined &&
      abandonPercent === 0 &&
      config.maxInFlightBytes !== 70_000,
    isTampering: fault?.kind === 'garbage' && !isWithinTls,
  };
}

/** A scenario in one line. */
export function describeScenario({ seed, way, fault, mood, policy, config, shutdown }: Scenario): string {
  const what =
    fault === undefined
      ? 'no fault'
      : `${fault.kind} at byte ${fault.atBytes} ${fault.direction} on connection ${fault.connectionIndex} of ${fault.place}`;
  const stop = shutdown === undefined ? '' : `, shutdown after ${shutdown.afterMs} ms`;
  const bridge = way.isBridged === true ? ' bridged' : '';
  return `seed ${seed}: ${way.client} by ${way.lane} to ${way.origin}${bridge}, ${what}, handler ${mood}, policy ${policy}${stop}, ${JSON.stringify(config)}`;
}
