// Who an origin proved to be, and that nobody is anybody without proof.
import { parseConfig, planRoute } from 'mitm-core';
import { expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { startRawOrigin } from '../../../../testing/lab/origins.ts';
import { connectTlsOver } from '../../src/handshake/connect-tls.ts';
import { dial } from '../../src/upstream/dial.ts';
import { OriginIdentities } from '../../src/upstream/origin-identities.ts';
import { UpstreamTargets } from '../../src/upstream/target.ts';

test('a verified origin is known by its names, its issuer and its fingerprint; one that was not verified is nobody', async () => {
  await using authority = await createLabAuthority('Identity lab');
  await using origin = await startRawOrigin({
    tls: { authority, names: ['localhost', '127.0.0.1', '*.lab.test'] },
  });
  const config = parseConfig({
    interception: { destinations: ['*:*'] },
    upstream: { trust: 'bundled', caPaths: [await authority.caFile()] },
  });
  const targets = new UpstreamTargets(config, []);
  const route = planRoute(config, { host: 'localhost', port: origin.port });
  const identities = new OriginIdentities();
  for (const skipVerify of [true, false]) {
    const target = targets.of({ route, isTls: true, skipVerify, alpn: [] });
    if (target.tls === undefined) throw new Error('no TLS');
    const times = { connectTimeoutMs: 5_000, handshakeTimeoutMs: 5_000 };
    const { wire } = await connectTlsOver(await dial(route, { timeoutMs: 5_000 }), target.tls, times);
    identities.remember(target, wire);
    wire.destroy();
  }
  const known = (skipVerify: boolean): unknown =>
    identities.get(targets.of({ route, isTls: true, skipVerify, alpn: [] }).key);
  expect(known(true)).toBeUndefined();
  expect(known(false)).toEqual({
    names: ['localhost', '127.0.0.1', '*.lab.test'],
    issuer: 'Identity lab',
    fingerprint256: expect.stringMatching(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/),
  });
});
