// Every bound has a lower and an upper end, and bounds that depend on each other fit.
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test.each([
  [
    'CF-05 bodies have a size',
    { body: { maxSizeBytes: 0 } },
    'body.maxSizeBytes: must be a whole number of bytes',
  ],
  ['copies of bodies end at 1 GiB', { body: { maxSizeBytes: 2 ** 30 + 1 } }, 'body.maxSizeBytes: must be'],
  ['waiting for a body takes time', { body: { bufferIdleMs: 0 } }, 'body.bufferIdleMs: must be'],
  ['items have a size', { body: { maxDecoderBytes: 0 } }, 'body.maxDecoderBytes: must be'],
  [
    'CF-16 items fit into bodies',
    { body: { maxSizeBytes: 10, maxDecoderBytes: 11 } },
    'body.maxDecoderBytes: must not be larger than body.maxSizeBytes, which is 10',
  ],
  [
    'a host gets a connection',
    { connectionPool: { maxConnectionsPerHost: 0 } },
    'connectionPool.maxConnectionsPerHost: must be a whole number of connections from 1 to 65535',
  ],
  [
    'CF-06 idle connections stay a while',
    { connectionPool: { idleTimeoutMs: 0 } },
    'connectionPool.idleTimeoutMs: must be',
  ],
  [
    'CF-07 a host may keep a connection',
    { connectionPool: { maxIdlePerHost: 0 } },
    'connectionPool.maxIdlePerHost: must be',
  ],
  ['CF-09 a connection is served', { maxConcurrentFlows: 0 }, 'maxConcurrentFlows: must be'],
  ['CF-09 events may wait', { maxFlowEventBacklog: 0 }, 'maxFlowEventBacklog: must be'],
  ['CF-09 bytes may be held', { maxInFlightBytes: 0 }, 'maxInFlightBytes: must be'],
  [
    'memory holds a first head',
    { maxInFlightBytes: 2_000, maxHttpHeadBytes: 1_000 },
    'maxInFlightBytes: must not be smaller than maxConnectHeadBytes, which is 65536',
  ],
  [
    'memory holds a head',
    { maxInFlightBytes: 2_000, maxConnectHeadBytes: 1_000 },
    'maxInFlightBytes: must not be smaller than maxHttpHeadBytes',
  ],
  [
    'an HTTP/2 client may have a stream',
    { http2Limits: { maxConcurrentStreams: 0 } },
    'http2Limits.maxConcurrentStreams: must be a whole number of streams from 1 to 10000',
  ],
  ['what floods are counted by takes time', { http2Limits: { spanMs: 0 } }, 'http2Limits.spanMs: must be'],
  ['heads take time', { timeouts: { headMs: 0 } }, 'timeouts.headMs: must be'],
  ['handshakes take time', { timeouts: { handshakeMs: 0 } }, 'timeouts.handshakeMs: must be'],
  ['tunnels pause', { timeouts: { tunnelIdleMs: 0 } }, 'timeouts.tunnelIdleMs: must be'],
  [
    'timers end',
    { timeouts: { bodyIdleMs: 2 ** 31 } },
    'timeouts.bodyIdleMs: must be a whole number of milliseconds from 1 to 2147483647',
  ],
])('%s', (_rule, fields, problem) => {
  expect(problemsWith(fields)).toEqual([expect.stringContaining(problem)]);
});

test.each([
  ['4 MiB below a large body', { maxSizeBytes: 2 ** 30 }, 4 * 2 ** 20],
  ['the size of a small body', { maxSizeBytes: 1_000 }, 1_000],
  ['what was given', { maxSizeBytes: 1_000, maxDecoderBytes: 500 }, 500],
])('the largest item is %s', (_rule, body, maxDecoderBytes) => {
  expect(parseConfig({ ...minimal, body }).body.maxDecoderBytes).toBe(maxDecoderBytes);
});
