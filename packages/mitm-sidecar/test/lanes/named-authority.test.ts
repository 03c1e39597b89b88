// Which authority a request is judged by, and how it is written.
import { parseRequestHead } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { authorityOf, shownAuthority } from '../../src/lanes/named-authority.ts';

describe('the authority of a request', () => {
  const fallback = { host: 'fallback', port: 9 };
  const rows: readonly [string, string, { host: string; port: number } | undefined, string][] = [
    ['its absolute target', 'Host: h:1\r\n', { host: 'a', port: 2 }, 'a:2'],
    ['its Host', 'Host: H:1\r\n', undefined, 'h:1'],
    ['its Host with the port of the scheme', 'Host: h\r\n', undefined, 'h:443'],
    ['an IPv6 literal without brackets', 'Host: [::1]:8443\r\n', undefined, '::1:8443'],
    ["the connection's where there is no Host", '', undefined, 'fallback:9'],
    ["the connection's where Host is empty", 'Host:\r\n', undefined, 'fallback:9'],
  ];
  test.each(rows)('is %s', (_rule, fields, absolute, expected) => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\n${fields}\r\n`);
    const found = authorityOf(parseRequestHead(bytes, 0, bytes.length), absolute, 'https', fallback);
    expect(`${found.host}:${found.port}`).toBe(expected);
  });

  test.each([
    ['https', { host: 'h', port: 443 }, 'h'],
    ['https', { host: 'h', port: 80 }, 'h:80'],
    ['http', { host: 'h', port: 80 }, 'h'],
    ['https', { host: '::1', port: 443 }, '[::1]'],
    ['https', { host: '::1', port: 8443 }, '[::1]:8443'],
  ] as const)('H1-12 is shown without the port of %s, %o as %s', (scheme, authority, shown) => {
    expect(shownAuthority(authority, scheme)).toBe(shown);
  });
});
