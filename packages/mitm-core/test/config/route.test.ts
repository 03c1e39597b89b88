// Which way traffic leaves: each mode has exactly its own endpoint.
import { describe, expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { routeEndpointFields, routeModes } from '../../src/config/route.ts';
import { minimal, problemsWith } from './problems.ts';

const endpoint = { host: 'next.test', port: 3128 };
const fields = ['reverseUpstream', 'upstreamHttpProxy', 'upstreamSocks5Proxy'] as const;

describe.each(routeModes)('routeMode %s', (routeMode) => {
  const needed = routeEndpointFields[routeMode];

  test('CF-13 is complete with its endpoint', () => {
    const given = needed === undefined ? {} : { [needed]: endpoint };
    expect(parseConfig({ ...minimal, routeMode, ...given })).toMatchObject({ routeMode, ...given });
  });

  test.each(fields)('says what is wrong when only %s is given', (field) => {
    const missing =
      needed === undefined || needed === field
        ? []
        : [`${needed}: must be given while routeMode is ${routeMode}`];
    const extra =
      needed === field
        ? []
        : [`${field}: must not be given while routeMode is ${routeMode}: remove it, or choose its mode`];
    expect(problemsWith({ routeMode, [field]: endpoint }).toSorted()).toEqual(
      [...missing, ...extra].toSorted(),
    );
  });
});

test('hosts of endpoints become canonical', () => {
  const reverseUpstream = { host: '[2001:DB8::1]', port: 1 };
  const config = parseConfig({ ...minimal, routeMode: 'reverse', reverseUpstream });
  expect(config.reverseUpstream).toEqual({ host: '2001:db8::1', port: 1 });
});

test.each([
  ['hosts are not blank', { host: ' ', port: 1 }, ['upstreamSocks5Proxy.host: must not be empty or blank']],
  ['hosts are hosts', { host: 'http://p', port: 1 }, ['upstreamSocks5Proxy.host: does not name a host']],
  ['port 0 is none', { host: 'p', port: 0 }, ['upstreamSocks5Proxy.port: must be a port from 1 to 65535']],
  [
    'a password needs a name',
    { ...endpoint, password: 'p' },
    ['upstreamSocks5Proxy.username: must be given'],
  ],
  [
    'a name needs a password',
    { ...endpoint, username: 'u' },
    ['upstreamSocks5Proxy.password: must be given'],
  ],
  [
    'SOCKS names have a byte',
    { ...endpoint, username: '', password: 'p' },
    ['upstreamSocks5Proxy.username: must have 1 to 255 bytes'],
  ],
  [
    'SOCKS passwords count in bytes',
    { ...endpoint, username: 'u', password: 'é'.repeat(128) },
    ['upstreamSocks5Proxy.password: must have 1 to 255 bytes'],
  ],
])('%s', (_rule, upstreamSocks5Proxy, problems) => {
  const found = problemsWith({ routeMode: 'upstream_socks5', upstreamSocks5Proxy });
  expect(found).toEqual(problems.map((problem) => expect.stringContaining(problem) as unknown));
});

test.each([
  [
    'Basic names have no colon',
    { username: 'a:b', password: 'p' },
    'upstreamHttpProxy.username: must be a name without colons',
  ],
  [
    'Basic passwords have no line end',
    { username: 'a', password: 'p\r\n' },
    'upstreamHttpProxy.password: must be a text without control',
  ],
])('%s', (_rule, credentials, problem) => {
  const upstreamHttpProxy = { ...endpoint, ...credentials };
  expect(problemsWith({ routeMode: 'upstream_http', upstreamHttpProxy })).toEqual([
    expect.stringContaining(problem),
  ]);
});

test('a reverse origin has no credentials', () => {
  const reverseUpstream = { ...endpoint, username: 'u' };
  const [problem] = problemsWith({ routeMode: 'reverse', reverseUpstream });
  expect(problem).toMatch(/^reverseUpstream\.username: does not belong here/u);
});
