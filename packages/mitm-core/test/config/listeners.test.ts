// The further places where clients arrive: what each may say, and what does not go together.
import { describe, expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test('a listener that says only where it is has these defaults', () => {
  expect(parseConfig({ ...minimal, listeners: [{ bind: '[::1]:0' }] }).listeners).toEqual([
    {
      bind: { host: '::1', port: 0 },
      kind: 'proxy',
      requiresAuthentication: true,
      targetPort: 443,
      redirection: 'redirect',
    },
  ]);
});

test.each([
  ['a Unix socket', { unixSocketPath: '/run/proxy' }],
  ['a socket of systemd', { fd: 3, kind: 'socks5' }],
  ['TLS by names', { bind: '127.0.0.1:0', tls: { names: ['proxy.example'] } }],
  ['TLS by files', { bind: '127.0.0.1:0', tls: { certPath: 'c.pem', keyPath: 'k.pem' } }],
  ['direct TLS to another port', { bind: '127.0.0.1:0', kind: 'direct', targetPort: 8_443 }],
  ['redirected connections', { bind: '127.0.0.1:0', kind: 'transparent', redirection: 'tproxy' }],
  [
    'forwarders',
    { bind: '127.0.0.1:0', proxyProtocol: { trustedAddresses: ['127.0.0.1', '10.0.0.0/8', '::1'] } },
  ],
])('%s', (_what, listener) => {
  const { listeners } = parseConfig({ ...minimal, listeners: [listener] });
  expect(listeners).toHaveLength(1);
  // What was parsed is valid input again, and stays the same.
  expect(parseConfig({ ...minimal, listeners }).listeners).toEqual(listeners);
});

test('ranges come out with their prefix length, addresses in one spelling', () => {
  const proxyProtocol = { trustedAddresses: ['127.0.0.1', '2001:DB8:0::/32'] };
  const { listeners } = parseConfig({ ...minimal, listeners: [{ bind: '127.0.0.1:0', proxyProtocol }] });
  expect(listeners[0]?.proxyProtocol?.trustedAddresses).toEqual(['127.0.0.1/32', '2001:db8::/32']);
});

describe('refused', () => {
  const bind = '127.0.0.1:0';
  test.each([
    ['no place', {}, 'listeners[0]: must have exactly one of bind, unixSocketPath and fd'],
    ['two places', { bind, fd: 3 }, 'listeners[0]: must have exactly one of'],
    ['a descriptor that is never handed over', { fd: 2 }, 'listeners[0].fd: must be a whole number'],
    ['a place that is none', { bind: 'here' }, 'listeners[0].bind: is not an address to listen on'],
    ['a path that no socket takes', { unixSocketPath: `/${'a'.repeat(103)}` }, 'must have at most 103 bytes'],
    [
      'a kind that is none',
      { bind, kind: 'socks4' },
      'listeners[0].kind: must be one of proxy, socks5, direct',
    ],
    [
      'TLS for SOCKS',
      { bind, kind: 'socks5', tls: { names: ['a'] } },
      'listeners[0].tls: must not be given for kind socks5',
    ],
    ['half a certificate', { bind, tls: { certPath: 'c.pem' } }, 'listeners[0].tls: must have either'],
    [
      'files and names',
      { bind, tls: { certPath: 'c', keyPath: 'k', names: ['a'] } },
      'listeners[0].tls: must have either',
    ],
    [
      'redirects to a Unix socket',
      { unixSocketPath: '/s', kind: 'transparent' },
      'listeners[0].unixSocketPath: must not be given for kind transparent',
    ],
    [
      'headers on a Unix socket',
      { unixSocketPath: '/s', proxyProtocol: { trustedAddresses: ['::1'] } },
      'listeners[0].proxyProtocol: must not be given here',
    ],
    [
      'headers from nobody',
      { bind, proxyProtocol: { trustedAddresses: [] } },
      'trustedAddresses: must name at least one address',
    ],
    [
      'headers from a name',
      { bind, proxyProtocol: { trustedAddresses: ['haproxy.example'] } },
      'trustedAddresses[0]: is no range of addresses',
    ],
    [
      'headers from a range that is none',
      { bind, proxyProtocol: { trustedAddresses: ['10.0.0.0/33'] } },
      'trustedAddresses[0]: has no valid prefix length: write a number from 0 to 32',
    ],
  ])('%s', (_what, listener, problem) => {
    expect(problemsWith({ listeners: [listener] })).toEqual([expect.stringContaining(problem)]);
  });
});
