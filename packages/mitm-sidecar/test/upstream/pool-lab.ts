// A pool in front of one origin, clients that take connections from it, and what they do with them.
import { Failure, type Flow, type MitmConfigInput } from 'mitm-core';
import { parseRequestHead, type RequestHead } from 'mitm-http';
import { expect } from 'vitest';

import { type RawOrigin, type RawScript, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import type { Outbound, ResponseReceiver } from '../../src/relay/sides.ts';
import type { AcquireRequest } from '../../src/upstream/acquire.ts';
import { dial } from '../../src/upstream/dial.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import type { UpstreamTarget } from '../../src/upstream/target.ts';
import { Wire } from '../../src/wire.ts';
import { createRuntime, type RuntimeFixture } from '../runtime-fixture.ts';

/** Answers each request as soon as its head is there. */
export const answering: RawScript = (socket) => {
  socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  socket.on('end', () => socket.end());
};

export interface PoolLab extends AsyncDisposable {
  readonly origin: RawOrigin;
  readonly fixture: RuntimeFixture;
  readonly pool: UpstreamPool;
  readonly target: UpstreamTarget;
  /** A flow of a client of its own. */
  client(): Flow;
  acquire(flow: Flow, given?: Partial<AcquireRequest>): Promise<Http1Outbound>;
}

export async function startPool(
  config: Partial<MitmConfigInput> = {},
  script: RawScript = answering,
): Promise<PoolLab> {
  const origin = await startRawOrigin({ onConnection: script });
  const fixture = await createRuntime({ config });
  const { pool, targets } = fixture.runtime;
  const authority = { host: '127.0.0.1', port: origin.port };
  const target = targets.of(fixture.engine.config, {
    route: fixture.openFlow(authority).route,
    isTls: false,
    skipVerify: false,
    alpn: [],
  });
  return {
    origin,
    fixture,
    pool,
    target,
    client: () => fixture.openFlow(authority),
    acquire: async (flow, given = {}) =>
      http1(await pool.acquire({ target, flow, isRepeatable: true, isFresh: false, ...given })),
    async [Symbol.asyncDispose]() {
      pool.close();
      await origin[Symbol.asyncDispose]();
    },
  };
}

function http1(outbound: Outbound): Http1Outbound {
  if (outbound instanceof Http1Outbound) return outbound;
  throw new Error('not a connection of HTTP/1');
}

const parsed = (text: string): RequestHead => parseRequestHead(Buffer.from(text), 0, text.length);
const head = parsed('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
export const ntlmHead = parsed('GET / HTTP/1.1\r\nHost: here\r\nAuthorization: NTLM x\r\n\r\n');

/** Sends a request; resolves when its answer is complete, or with what went wrong. The connection is not released. */
export function ask(connection: Http1Outbound, request = head): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const receiver: ResponseReceiver = {
      informational: () => {},
      responseHead: () => {},
      responseData: () => true,
      responseEnd: () => resolve(undefined),
      responseFlush: () => {},
      responseFailed: (failure) => resolve(failure),
      upstreamDrained: () => {},
    };
    connection.send(
      {
        head: request,
        framing: { kind: 'none' },
        scheme: 'http',
        authority: 'here',
        target: '/',
        keepUpgrade: false,
        dropExpect: false,
      },
      receiver,
    );
    connection.sendEnd(undefined);
    connection.flush();
  });
}

export async function use(connection: Http1Outbound, request = head): Promise<Http1Outbound> {
  expect(await ask(connection, request)).toBeUndefined();
  connection.release();
  return connection;
}

export async function failureOf(acquiring: Promise<unknown>): Promise<Failure> {
  const error: unknown = await acquiring.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  return error;
}

/** Dials, and hands the connection to the pool. */
export async function adopted(lab: PoolLab): Promise<Wire> {
  const wire = new Wire(await dial(lab.target.route, { timeoutMs: 2_000 }));
  lab.pool.adopt(lab.target, { wire, alpn: undefined }, lab.client());
  return wire;
}

/** One connection to each host. */
export const oneEach = { connectionPool: { maxConnectionsPerHost: 1 } } as const;
