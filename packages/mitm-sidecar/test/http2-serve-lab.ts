// A client connection that is served in HTTP/2, in memory: the client says frames, and a planner of the test decides what becomes of
// each request.
import { Failure, type Flow } from 'mitm-core';
import type { CloseReason, MitmEvent } from 'mitm-observe';

import { RawPeer } from '../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../testing/lab/linked-pair.ts';
import { serveHttp2, type ServeHttp2Options } from '../src/http2/serve.ts';
import type { ExchangePlan, ExchangePlanner } from '../src/relay/plan.ts';
import { Session } from '../src/session.ts';
import { type Http2PoolLab, type Http2PoolOptions, startHttp2Pool } from './http2-pool-lab.ts';

export interface ServeLab extends Disposable {
  readonly pool: Http2PoolLab;
  readonly client: RawPeer;
  readonly session: Session;
  /** The flow of the connection. */
  readonly flow: Flow;
  /** How serving ended: its reason, or the failure. */
  readonly ended: Promise<CloseReason | Failure>;
  /** The ends of all flows but the connection's, as `reason detail`. */
  closes(): string[];
}

export interface ServeLabOptions extends Http2PoolOptions {
  readonly plan?: (flow: Flow, lab: Http2PoolLab) => ExchangePlanner;
  readonly upstream?: (flow: Flow, lab: Http2PoolLab) => ServeHttp2Options['upstream'];
  readonly client?: ConstructorParameters<typeof RawPeer>[2];
}

/** The plan for an origin in the pool of the lab. */
export function planFor(parent: Flow, lab: Http2PoolLab, path: string): ExchangePlan {
  const flow = parent.openChild({ state: 'tls_ready', protocol: 'http2' });
  return { flow, scheme: 'https', authority: 'o.test', path, upstream: lab.target, target: path };
}

/** Begins to serve; every request goes to the origin of the pool unless a planner is given. */
export async function startServing(options: ServeLabOptions = {}): Promise<ServeLab> {
  const pool = await startHttp2Pool(options);
  const [near, far] = linkedPair();
  const session = new Session(near);
  const flow = pool.client();
  flow.speak('http2');
  const plan =
    options.plan?.(flow, pool) ?? ((head: { readonly target: string }) => planFor(flow, pool, head.target));
  const upstream = options.upstream?.(flow, pool);
  const ended = serveHttp2(flow, session, pool.runtime, { plan, upstream }).catch((error: unknown) =>
    Failure.from(error),
  );
  return {
    pool,
    client: new RawPeer(far, true, options.client ?? {}),
    session,
    flow,
    ended,
    closes: () => closesOf(pool.recorder.events()),
    [Symbol.dispose]: () => {
      near.destroy();
      far.destroy();
      pool[Symbol.dispose]();
    },
  };
}

function closesOf(events: readonly MitmEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind === 'stream_closed' ? [`${event.reasonCode} ${event.reasonDetail ?? ''}`.trim()] : [],
  );
}
