// What the tests of one relayed exchange share: handlers that answer, and a served connection whose ends are the test's.
import type { HandlerDecision, InterceptHandler, RawRequest } from 'mitm-core';

import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { serveConnection } from '../../src/connection.ts';
import { UpstreamPool } from '../../src/upstream/pool.ts';
import { Wire } from '../../src/wire.ts';
import { createRuntime, loopbackConnection } from '../runtime-fixture.ts';

/** A handler that remembers what it was shown and answers so. */
export function judging(
  answer: (request: RawRequest) => HandlerDecision | Promise<HandlerDecision>,
): InterceptHandler & { readonly seen: RawRequest[] } {
  const seen: RawRequest[] = [];
  return {
    seen,
    onRequest: (request) => {
      seen.push(request);
      return answer(request);
    },
  };
}

export const answering: readonly [
  string,
  (decision: HandlerDecision) => HandlerDecision | Promise<HandlerDecision>,
][] = [
  ['at once', (decision) => decision],
  ['later', (decision) => new Promise((resolve) => setImmediate(() => resolve(decision)))],
];

/** The two outer ends of a served connection; nobody reads them until the test does. */
export async function serveOver(beforeDial: () => Promise<void> | void = () => {}) {
  const fixture = await createRuntime();
  const { engine } = fixture;
  const [client, clientInside] = linkedPair();
  const [origin, originInside] = linkedPair();
  const pool = new UpstreamPool(
    async () => {
      await beforeDial();
      return { wire: new Wire(originInside), alpn: undefined };
    },
    () => engine.config,
  );
  const runtime = { ...fixture.runtime, pool };
  const served = serveConnection(clientInside, loopbackConnection().socketFamily, runtime, () => {});
  return { client, origin, fixture, served, pool, close: () => pool.close() };
}
