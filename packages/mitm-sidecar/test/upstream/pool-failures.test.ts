// Each failure of the pool names its reason, answers the client, and says whether another attempt may do better.
import { describe, expect, test } from 'vitest';

import { isPassing } from '../../src/relay/attempt.ts';
import { noneFree, shutDown, uselessConnection } from '../../src/upstream/pool-failures.ts';
import { createRuntime } from '../runtime-fixture.ts';

describe('a failure of the pool', async () => {
  const { openFlow, runtime, engine } = await createRuntime();
  const { route } = openFlow({ host: 'o.test', port: 443 });
  const target = runtime.targets.of(engine.config, {
    route,
    isTls: false,
    skipVerify: false,
    alpn: [],
  });
  test.each([
    [
      'no connection became free',
      noneFree(target, 1_500),
      {
        reason: 'upstream_connect_failed',
        side: 'internal',
        detail: 'upstream_connect_failed[direct]: no connection became free: timed out after 1500 ms',
        reply: { status: 504, body: 'all connections to o.test are in use\n' },
      },
      false,
    ],
    [
      'the new connection was of no use',
      uselessConnection(target),
      {
        reason: 'upstream_connect_failed',
        side: 'upstream',
        detail:
          'upstream_connect_failed[direct]: the origin ended the connection, or spoke, before it was asked',
        reply: { status: 502, body: 'the proxy could not use its connection to o.test\n' },
      },
      true,
    ],
    [
      'the proxy is shutting down',
      shutDown(),
      { reason: 'shutdown', side: 'internal', reply: { status: 503, body: 'the proxy is shutting down\n' } },
      false,
    ],
  ])('%s', (_what, failure, expected, isOverSoon) => {
    expect(failure).toMatchObject(expected);
    expect([isPassing(failure), failure.isUnexpected]).toEqual([isOverSoon, false]);
  });
});
