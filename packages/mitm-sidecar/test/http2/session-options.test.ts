// The configuration decides how both ends of our HTTP/2 connections behave.
import { parseConfig } from 'mitm-core';
import { defaultFloodLimits } from 'mitm-http';
import { expect, test } from 'vitest';

import { sessionOptions } from '../../src/http2/session-options.ts';

test('the least configuration gives these', () => {
  const config = parseConfig({ interception: { destinations: ['*:*'] } });
  expect(sessionOptions(config, 'server', true)).toEqual({
    role: 'server',
    maxConcurrentStreams: 128,
    initialWindowBytes: 262_144,
    maxWindowBytes: 4_194_304,
    connectionWindowBytes: 16_777_216,
    maxHeaderListBytes: 65_536,
    enableConnectProtocol: true,
    limits: defaultFloodLimits,
    settingsTimeoutMs: 10_000,
  });
});

test('what is configured is passed on, each limit in its place', () => {
  const config = parseConfig({
    interception: { destinations: ['*:*'] },
    http2MaxHeaderListSize: 9_000,
    http2Limits: { maxConcurrentStreams: 7, maxPings: 5, zeroWindowMs: 1_000 },
    timeouts: { handshakeMs: 1_234 },
  });
  expect(sessionOptions(config, 'client', false)).toMatchObject({
    role: 'client',
    maxConcurrentStreams: 7,
    maxHeaderListBytes: 9_000,
    enableConnectProtocol: false,
    limits: { ...defaultFloodLimits, maxPings: 5, zeroWindowMs: 1_000 },
    settingsTimeoutMs: 1_234,
  });
});
