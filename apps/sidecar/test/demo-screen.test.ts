import { describe, expect, test } from 'vitest';

import { curlCommand, demoScreen, dialable } from '../src/demo-screen.ts';

const address = { host: '127.0.0.1', port: 8080 };
const sighting = {
  summary: {
    flowId: 2,
    method: 'POST',
    url: 'https://localhost:4/hello',
    protocol: 'HTTP/1.1',
    status: 200,
    bytesUp: 4,
    bytesDown: 1_500,
    durationMs: 12,
    note: undefined,
  },
  requestBody: 'ping',
  answerBody: 'pong\n',
  answerStatus: 200,
} as const;
const answer = { status: 200, body: 'pong\n', tlsVersion: 'TLSv1.3', issuer: 'soth-mitm Local CA' };

describe('the first screen', () => {
  const screen = demoScreen({ address, sighting, answer });

  test.each([
    ['where it listens', 'soth-mitm listens on 127.0.0.1:8080.'],
    ['method and URL', 'request      POST https://localhost:4/hello'],
    ['protocol', 'protocol     HTTP/1.1 inside TLSv1.3'],
    ['whose certificate the client saw', 'certificate  made by the proxy, signed by "soth-mitm Local CA"'],
    ['what was sent', 'sent         4 B  ping'],
    ['status', 'status       200'],
    ['what was received', 'received     1.5 kB  pong'],
    ['time', 'time         12 ms'],
  ])('shows %s', (_what, text) => {
    expect(screen).toContain(text);
  });

  test('a long body is cut, an empty one left out', () => {
    const long = demoScreen({
      address,
      answer,
      sighting: { ...sighting, requestBody: '', answerBody: 'x'.repeat(500) },
    });
    expect(long).toContain('sent         4 B\n');
    expect(long).toContain(`${'x'.repeat(100)}…\n`);
  });
});

describe('the command to try next', () => {
  const base = {
    address,
    caPath: '/folder/ca.pem',
    url: 'https://localhost:4/hello',
    environment: {},
    platform: 'linux',
  } as const;
  test.each([
    ['as it is', {}, 'curl --proxy http://127.0.0.1:8080 --cacert /folder/ca.pem https://localhost:4/hello'],
    ['a path with blanks', { caPath: '/my work/ca.pem' }, '--cacert "/my work/ca.pem"'],
    ['an exception for localhost', { environment: { NO_PROXY: 'localhost' } }, ' --noproxy "" '],
    ['Windows', { platform: 'win32' }, ' --ssl-no-revoke '],
    ['a listener on all interfaces', { address: { host: '::', port: 1 } }, '--proxy http://[::1]:1 '],
  ] as const)('%s', (_rule, change, text) => {
    expect(curlCommand({ ...base, ...change })).toContain(text);
  });
});

test.each([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
  ['192.0.2.1', '192.0.2.1'],
])('a listener on %s is reached at %s', (host, reached) => {
  expect(dialable({ host, port: 5 })).toEqual({ host: reached, port: 5 });
});
