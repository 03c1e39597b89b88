// A pool whose connections are in memory, their other ends origins that say frames.
import { Failure, type Flow, type MitmConfigInput } from 'mitm-core';
import type { EventRecorder } from 'mitm-observe';

import { endHeaders, endStream, headersFrame } from '../../../testing/lab/h2-frames.ts';
import { RawPeer } from '../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../testing/lab/linked-pair.ts';
import type { Outbound } from '../src/relay/sides.ts';
import type { Runtime } from '../src/runtime.ts';
import type { AcquireRequest } from '../src/upstream/acquire.ts';
import { UpstreamPool } from '../src/upstream/pool.ts';
import type { UpstreamTarget } from '../src/upstream/target.ts';
import { Wire } from '../src/wire.ts';
import { askedFor, getFields, h2RequestOf } from './messages.ts';
import { ResponseRecorder } from './recorders.ts';
import { createRuntime } from './runtime-fixture.ts';

export interface Http2PoolLab extends Disposable {
  readonly pool: UpstreamPool;
  /** With this pool. */
  readonly runtime: Runtime;
  readonly recorder: EventRecorder;
  readonly target: UpstreamTarget;
  /** The origin's ends of all connections, in the order of dialling. */
  readonly origins: RawPeer[];
  /** What the next dials do first; one that throws fails. */
  beforeDial: () => Promise<void> | void;
  /** What the origin chooses in ALPN. */
  alpn: string | undefined;
  client(): Flow;
  acquire(flow: Flow, given?: Partial<AcquireRequest>): Promise<Outbound>;
}

export interface Http2PoolOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly peer?: ConstructorParameters<typeof RawPeer>[2];
}

const authority = { host: 'o.test', port: 80 };

/** Nothing has been dialled yet. */
export async function startHttp2Pool({ config, peer = {} }: Http2PoolOptions = {}): Promise<Http2PoolLab> {
  const fixture = await createRuntime({ config });
  const origins: RawPeer[] = [];
  const pool = new UpstreamPool(
    async () => {
      await lab.beforeDial();
      return { wire: dialled(origins, peer), alpn: lab.alpn };
    },
    () => fixture.engine.config,
  );
  const target = fixture.runtime.targets.of(fixture.engine.config, {
    route: fixture.openFlow(authority).route,
    isTls: false,
    skipVerify: false,
    alpn: [],
    hasPriorKnowledge: true,
  });
  const lab: Http2PoolLab = {
    pool,
    runtime: { ...fixture.runtime, pool },
    recorder: fixture.recorder,
    target,
    origins,
    beforeDial: () => {},
    alpn: 'h2',
    client: () => fixture.openFlow(authority),
    acquire: async (flow, given = {}) =>
      pool.acquire({ target, flow, isRepeatable: true, isFresh: false, ...given }),
    [Symbol.dispose]: () => {
      pool.close();
      for (const { socket } of origins) socket.destroy();
    },
  };
  return lab;
}

/** A new connection, as the proxy holds it. */
export function dialled(origins: RawPeer[], peer: ConstructorParameters<typeof RawPeer>[2]): Wire {
  const [near, far] = linkedPair();
  origins.push(new RawPeer(far, false, peer));
  return new Wire(near);
}

/** Sends a whole GET. */
export function send(outbound: Outbound): ResponseRecorder {
  const receiver = new ResponseRecorder();
  outbound.send(askedFor(h2RequestOf(getFields())), receiver);
  outbound.sendEnd(undefined);
  return receiver;
}

/** An answer without a body. */
export const ok = (id: number): Buffer => headersFrame(id, [':status', '200'], endHeaders | endStream);

/** The nth connection's origin, from 0. */
export function originOf({ origins }: Http2PoolLab, index = 0): RawPeer {
  const origin = origins[index];
  if (origin === undefined) throw new Error(`connection ${index} was not made`);
  return origin;
}

/** Resolves when what the origin announced has come: the connection has room for so much, and no more. */
export async function settled(lab: Http2PoolLab, index = 0): Promise<void> {
  const origin = originOf(lab, index);
  await origin.until(
    () => origin.frames.some(({ type, flags }) => type === 4 && flags === 1),
    'the settings',
  );
}

/** What an acquire failed with. */
export async function failureOf(acquiring: Promise<unknown>): Promise<Failure> {
  const error: unknown = await acquiring.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  return error;
}
