// Two next proxies are one exactly when nothing that matters differs, and no name of them tells a password.
import { expect, test } from 'vitest';

import { nextProxy, type ProxySettings } from '../src/next-proxy.ts';

const settings: ProxySettings = { host: 'proxy.test', port: 3128 };

test('what is left out is plain and without credentials', () => {
  expect(nextProxy('http', settings, 'upstreamHttpProxy')).toMatchObject({
    type: 'http',
    host: 'proxy.test',
    port: 3128,
    isTls: false,
    credentials: undefined,
    source: 'upstreamHttpProxy',
  });
});

test('the identity is the same wherever the settings come from', () => {
  const made = nextProxy('http', { ...settings, username: 'u', password: 'p' }, 'a');
  expect(nextProxy('http', { ...settings, tls: false, username: 'u', password: 'p' }, 'b').identity).toBe(
    made.identity,
  );
});

test('the identity differs by everything that matters, and hides the password', () => {
  const all = [
    nextProxy('http', settings, ''),
    nextProxy('socks5', settings, ''),
    nextProxy('http', { ...settings, host: 'other.test' }, ''),
    nextProxy('http', { ...settings, port: 3129 }, ''),
    nextProxy('http', { ...settings, tls: true }, ''),
    nextProxy('http', { ...settings, username: 'ann', password: 'hidden' }, ''),
    nextProxy('http', { ...settings, username: 'ann', password: 'hiddem' }, ''),
    nextProxy('http', { ...settings, username: 'annh', password: 'idden' }, ''),
  ];
  const identities = all.map(({ identity }) => identity);
  expect(new Set(identities).size).toBe(all.length);
  expect(identities.join(' ')).not.toMatch(/hidde/);
});
