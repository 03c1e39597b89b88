// The override that takes HTTP/1.1 only, on the client's side.

import { Failure } from 'mitm-core';
import { parseRequestHead } from 'mitm-http';
import { expect, test } from 'vitest';

import { requireStrict } from '../../src/lanes/strict-mode.ts';

test('SG-23 HTTP/1.0 is a 505 that names the mode, HTTP/1.1 passes', () => {
  const old = Buffer.from('GET / HTTP/1.0\r\n\r\n');
  const current = Buffer.from('GET / HTTP/1.1\r\nHost: o\r\n\r\n');
  expect(() => requireStrict(parseRequestHead(current, 0, current.length))).not.toThrow();
  let failure: unknown;
  try {
    requireStrict(parseRequestHead(old, 0, old.length));
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(Failure);
  expect(failure).toMatchObject({ reason: 'mitm_http_error', reply: { status: 505 } });
  expect(String(Reflect.get(failure as Failure, 'detail'))).toContain('strict_header_mode');
});
