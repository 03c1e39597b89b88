// What the customary variables mean for the way out.
import { describe, expect, test } from 'vitest';

import { environmentRoute } from '../src/environment-proxy.ts';
import { EnvironmentError } from '../src/environment.ts';

const nowhere = { reverseUpstream: undefined, upstreamHttpProxy: undefined, upstreamSocks5Proxy: undefined };

describe('which proxy', () => {
  test.each([
    ['http://p.test:3128', 'upstreamHttpProxy', { host: 'p.test', port: 3128, tls: false }],
    ['p.test:3128', 'upstreamHttpProxy', { host: 'p.test', port: 3128, tls: false }],
    ['https://p.test', 'upstreamHttpProxy', { host: 'p.test', port: 443, tls: true }],
    ['http://p.test/', 'upstreamHttpProxy', { host: 'p.test', port: 80, tls: false }],
    ['socks5h://[::1]:1081', 'upstreamSocks5Proxy', { host: '[::1]', port: 1081 }],
    ['socks5://p.test', 'upstreamSocks5Proxy', { host: 'p.test', port: 1080 }],
    [
      'http://ann:p%40ss@p.test:1',
      'upstreamHttpProxy',
      { host: 'p.test', port: 1, tls: false, username: 'ann', password: 'p@ss' },
    ],
  ])('%s', (url, field, proxy) => {
    expect(environmentRoute({ ALL_PROXY: url })).toEqual({
      ...nowhere,
      routeMode: field === 'upstreamHttpProxy' ? 'upstream_http' : 'upstream_socks5',
      [field]: proxy,
      upstreamProxies: [],
      routes: [],
      noProxy: [],
    });
  });
});

test('nothing is said where no proxy is', () => {
  expect(environmentRoute({})).toBeUndefined();
  expect(environmentRoute({ NO_PROXY: 'localhost', HTTPS_PROXY: ' ' })).toBeUndefined();
});

test('lower case goes first, and NO_PROXY is a list', () => {
  const route = environmentRoute({
    https_proxy: 'http://low.test:1',
    HTTPS_PROXY: 'http://up.test:1',
    ALL_PROXY: 'http://low.test:1',
    no_proxy: 'localhost, .corp.test  10.0.0.0/8,',
  });
  expect(route).toMatchObject({
    upstreamHttpProxy: { host: 'low.test' },
    routes: [],
    noProxy: ['localhost', '.corp.test', '10.0.0.0/8'],
  });
});

test('plain HTTP goes its own way, or straight on', () => {
  expect(environmentRoute({ HTTPS_PROXY: 'http://s.test:1', HTTP_PROXY: 'socks5://h.test:2' })).toMatchObject(
    {
      routeMode: 'upstream_http',
      upstreamProxies: [{ name: 'HTTP_PROXY', type: 'socks5', host: 'h.test', port: 2 }],
      routes: [{ hosts: ['*:80'], via: 'HTTP_PROXY' }],
    },
  );
  expect(environmentRoute({ HTTPS_PROXY: 'http://s.test:1' })).toMatchObject({
    upstreamProxies: [],
    routes: [{ hosts: ['*:80'], via: 'direct' }],
  });
  expect(environmentRoute({ http_proxy: 'http://h.test:2' })).toMatchObject({
    routeMode: 'direct',
    routes: [{ hosts: ['*:80'], via: 'http_proxy' }],
  });
});

test.each(['ftp://ann:hidden@p.test', 'http://', 'http://p.test:99999', 'http://ann:hid%den@p.test:1'])(
  '%s is refused without showing it',
  (url) => {
    const read = (): unknown => environmentRoute({ HTTPS_PROXY: url });
    expect(read).toThrow(EnvironmentError);
    expect(read).toThrow(/^HTTPS_PROXY /);
    expect(read).not.toThrow(/hid/);
  },
);
