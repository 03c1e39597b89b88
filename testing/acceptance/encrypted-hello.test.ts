// Clients that insist on an encrypted hello, which the proxy can't give them: that is no sign of pinning, and leads to nothing.
// Building one takes long where nothing of Go's library is in the cache, so that it is asked for: `SOTH_TEST_GO=1`.
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { hasCommand } from '../lab/clients.ts';
import { buildEchClient, type EchClient } from '../lab/ech-client.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { startProxy } from '../lab/proxy.ts';

const isAsked = (await hasCommand('go')) && process.env['SOTH_TEST_GO'] === '1';
const made: { authority?: LabAuthority; origin?: HttpsOrigin; client?: EchClient } = {};
beforeAll(async () => {
  if (!isAsked) return;
  made.authority = await createLabAuthority();
  made.origin = await startHttpsOrigin({ authority: made.authority });
  made.client = await buildEchClient();
}, 180_000);
afterAll(async () => {
  for (const each of [made.client, made.origin, made.authority]) await each?.[Symbol.asyncDispose]();
});

test.skipIf(!isAsked).each([
  ['ech', /rejected ECH/i, []],
  ['plain', /^<nil>$/, [{ host: 'localhost', strikes: 1 }]],
] as const)(
  'a client of Go that leaves at once, its hello %s (skipped without Go or SOTH_TEST_GO=1)',
  async (hello, said, strikes) => {
    const { authority, origin, client } = made;
    if (authority === undefined || origin === undefined || client === undefined) throw new Error('not begun');
    // The name in the clear is not the origin's.
    const config = { interceptMode: 'monitor', upstream: { verifyUpstreamTls: false } } as const;
    await using proxy = await startProxy({ trusts: authority, config });
    const asked = { proxyPort: proxy.port, authority: origin.authority, caFile: proxy.caFile, hello };
    expect(await client.shake(asked)).toMatch(said);
    expect(await proxy.events.waitFor('tls_handshake_failed', 5_000)).toMatchObject({
      peer: 'downstream',
      tlsFailureReason: 'eof_or_reset',
      tlsFailureCause: 'closed_unused',
      sourceConfidence: 'inferred',
    });
    await proxy.finish();
    const started = proxy.events
      .events()
      .find((event) => event.kind === 'tls_handshake_started' && event.peer === 'downstream');
    expect(started).toMatchObject(
      hello === 'ech' ? { echOffered: true, sniRelation: 'mismatch' } : { sniRelation: 'match' },
    );
    expect(proxy.handle.tlsSnapshot().backoff).toMatchObject(strikes);
  },
);
