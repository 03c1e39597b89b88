// What a client is told when TLS with the origin fails.
import { Failure } from 'mitm-core';
import { tlsFailureReasons } from 'mitm-tls';
import { expect, test } from 'vitest';

import { tlsFailure } from '../../src/upstream/tls-failure.ts';

test.each(tlsFailureReasons)('%s: names the class, the host, and one sentence', (reason) => {
  const cause = Object.assign(new Error('self-signed certificate\n  at secret/path.c'), {
    code: 'SOME_CODE',
  });
  const failure = tlsFailure('example.org', reason, cause);
  expect(failure).toBeInstanceOf(Failure);
  expect(failure).toMatchObject({ reason: 'tls_handshake_failed', side: 'upstream', cause });
  expect(failure.detail).toBe(
    'upstream handshake failed: SOME_CODE: self-signed certificate at secret/path.c',
  );
  expect(failure.reply?.status).toBe(reason === 'timeout' ? 504 : 502);
  expect(failure.reply?.body).toMatch(
    new RegExp(`^the proxy could not connect to example\\.org securely \\(${reason}\\): [^\\n]+\\n$`),
  );
  expect(String(failure.reply?.body)).not.toContain('secret');
});

test('no two classes have the same sentence', () => {
  const bodies = tlsFailureReasons.map((reason) => String(tlsFailure('h', reason, undefined).reply?.body));
  const sentences = bodies.map((body) => body.slice(body.indexOf(': ')));
  expect(new Set(sentences).size).toBe(tlsFailureReasons.length);
});
