// Proxies by name, the rules that use them, and the exceptions from both.
import { describe, expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { proxyTypes } from '../../src/config/proxies.ts';
import { minimal, problemsWith } from './problems.ts';

const office = { name: 'office', type: 'http', host: 'proxy.test', port: 3128 } as const;

test('every type of proxy can be given a name, and is read with what it leaves out', () => {
  const upstreamProxies = proxyTypes.map((type) => ({ ...office, name: type, type }));
  expect(parseConfig({ ...minimal, upstreamProxies }).upstreamProxies).toEqual(
    upstreamProxies.map((proxy) => ({ ...proxy, tls: false })),
  );
});

test('a parsed configuration with all of it is valid input again', () => {
  const config = parseConfig({
    ...minimal,
    upstreamProxies: [{ ...office, username: 'u', password: 'p' }],
    routes: [{ hosts: ['*.corp.test:443', 'db.test'], via: 'office' }],
    noProxy: ['localhost', '10.0.0.0/8'],
  });
  expect(parseConfig(config)).toEqual(config);
});

describe('problems', () => {
  test.each([
    [
      'a name that means no proxy',
      { upstreamProxies: [{ ...office, name: 'direct' }] },
      ['upstreamProxies[0].name: must not be direct, which stands for no proxy at all'],
    ],
    [
      'a name twice',
      { upstreamProxies: [office, office] },
      ['upstreamProxies[1].name: is already the name of upstreamProxies[0]: give each proxy its own'],
    ],
    [
      'TLS for SOCKS5',
      { upstreamProxies: [{ ...office, type: 'socks5', tls: true }] },
      ['upstreamProxies[0].tls: must not be true for a SOCKS5 proxy, which has no TLS of its own'],
    ],
    [
      'credentials by the type',
      { upstreamProxies: [{ ...office, username: 'a:b', password: 'p' }] },
      ['upstreamProxies[0].username: must be a name without colons and control characters'],
    ],
    [
      'a rule that names nobody',
      { upstreamProxies: [office], routes: [{ hosts: ['*'], via: 'ofice' }] },
      ['routes[0].via: must be direct or office: only upstreamProxies have names'],
    ],
    [
      'a rule for no host',
      { routes: [{ hosts: [], via: 'direct' }] },
      ['routes[0].hosts: must name at least one host; `*` is every host'],
    ],
    [
      'exceptions from nothing',
      { noProxy: ['localhost'] },
      ['noProxy: has nothing to except from while routeMode is direct and there are no routes: remove it'],
    ],
  ])('%s', (_rule, fields, problems) => {
    expect(problemsWith(fields)).toEqual(
      problems.map((problem) => expect.stringContaining(problem) as unknown),
    );
  });

  test('an exception that can not be read is named', () => {
    const fields = { routes: [{ hosts: ['*'], via: 'direct' }], noProxy: ['http://example.org'] };
    expect(problemsWith(fields)[0]).toMatch(/^noProxy\[0\]: .*is a URL/);
  });
});
