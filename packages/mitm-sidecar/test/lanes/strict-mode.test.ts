// The override that takes HTTP/1.1 only, on the client's side.

import { parseRequestHead } from 'mitm-http';
import { expect, test } from 'vitest';

import { requireStrict } from '../../src/lanes/strict-mode.ts';

test('SG-23 HTTP/1.0 is a 505 that names the mode, HTTP/1.1 passes', () => {
  const old = Buffer.from('GET / HTTP/1.0\r\n\r\n');
  const current = Buffer.from('GET / HTTP/1.1\r\nHost: o\r\n\r\n');
  expect(() => requireStrict(parseRequestHead(current, 0, current.length))).not.toThrow();
  expect(() => requireStrict(parseRequestHead(old, 0, old.length))).toThrow(
    expect.objectContaining({
      reason: 'mitm_http_error',
      reply: expect.objectContaining({ status: 505 }),
      detail: expect.stringContaining('strict_header_mode'),
    }),
  );
});
