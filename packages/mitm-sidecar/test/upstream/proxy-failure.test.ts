// How a refusal of the next proxy is told.
import { nextProxy } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { isPassing } from '../../src/relay/attempt.ts';
import {
  credentialsFault,
  greetingCutShort,
  greetingTimedOut,
  proxyFailure,
} from '../../src/upstream/proxy-failure.ts';

const http = nextProxy('http', { host: 'p.test', port: 1 }, 'upstreamHttpProxy');
const socks = nextProxy('socks5', { host: 'p.test', port: 1 }, 'upstreamProxies[2]');

test.each([
  [http, 'upstream_http'],
  [socks, 'upstream_socks5'],
])('it closes as one that could not connect, and names the way: %#', (proxy, mode) => {
  const failure = proxyFailure(proxy, 'example.org', { detail: 'why', sentence: 'said no' });
  expect(failure).toMatchObject({
    reason: 'upstream_connect_failed',
    side: 'upstream',
    detail: `upstream_connect_failed[${mode}]: why`,
    reply: { status: 502, body: 'the proxy could not reach example.org: the next proxy said no\n' },
  });
  expect(isPassing(failure)).toBe(false);
});

test('time that ran out is a 504, and not tried again', () => {
  const failure = proxyFailure(http, 'o', greetingTimedOut('stage', 5));
  expect(failure).toMatchObject({ reply: { status: 504 }, detail: expect.stringContaining('stage:5ms') });
  expect(isPassing(failure)).toBe(false);
});

test('a proxy that hung up may be tried again', () => {
  expect(isPassing(proxyFailure(http, 'o', greetingCutShort('stage', undefined)))).toBe(true);
  const broken = proxyFailure(http, 'o', greetingCutShort('stage', new Error('reset')));
  expect(broken.detail).toMatch(/stage \(reset\)$/);
});

describe('schemes of a challenge', () => {
  test.each([
    ['Basic realm="a"', 'Basic'],
    ['basic', 'basic'],
    ['Digest realm="a, b", nonce="c", Basic realm="d"', 'Digest, Basic'],
    [undefined, 'credentials'],
    ['', 'credentials'],
  ])('%s', (challenge, asked) => {
    expect(credentialsFault(http, challenge).detail).toBe(
      `407: the next proxy asks for ${asked}, and upstreamHttpProxy has none`,
    );
  });

  test.each([
    ['Negotiate', 'Negotiate'],
    ['NTLM, Negotiate', 'NTLM, Negotiate'],
  ])('%s is not spoken', (challenge, asked) => {
    expect(credentialsFault(http, challenge).detail).toBe(
      `407: the next proxy asks for ${asked}, and only Basic is spoken here`,
    );
  });
});
