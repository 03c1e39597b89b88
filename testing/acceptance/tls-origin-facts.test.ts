// Origins with nothing wrong: staples, client certificates and fingerprints are used and told as they are, and nothing is reported as a
// failure.
import type { MitmEvent } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { hasOpenssl } from '../lab/openssl-authority.ts';
import { startOpensslServer } from '../lab/openssl-server.ts';
import {
  asked,
  type CertificateBench,
  clientAuth,
  flagOf,
  openCertificateBench,
  tlsOrigin,
  tlsVersions,
  type Upstream,
} from '../lab/tls-origins.ts';

const made: { bench: CertificateBench | undefined } = { bench: undefined };

function bench(): CertificateBench {
  if (made.bench === undefined) throw new Error('the certificates have not been made');
  return made.bench;
}

/** The upstream handshake that succeeded. */
function upstreamSuccess(events: readonly MitmEvent[]): MitmEvent | undefined {
  return events.find((event) => event.kind === 'tls_handshake_succeeded' && event.peer === 'upstream');
}

describe.skipIf(!hasOpenssl)('an origin with', () => {
  beforeAll(async () => {
    made.bench = await openCertificateBench();
  });
  afterAll(() => made.bench?.[Symbol.asyncDispose]());

  describe.each(tlsVersions)('nothing wrong, %s,', (version) => {
    test('is not reported as wrong', async () => {
      await using origin = await tlsOrigin(bench().good, version);
      const { answer, failed, events } = await asked(bench().trusted, origin);
      expect({ status: answer.status, failed }).toEqual({ status: 200, failed: [] });
      expect(upstreamSuccess(events)).toMatchObject({
        upstreamOcspStaplePresent: 'false',
        upstreamOcspStapleStatus: 'missing',
        revocationPolicyMode: 'passive_observe',
        revocationDecision: 'no_signal',
        tlsFingerprintMode: 'native',
        tlsFingerprintClass: 'native',
      });
    });

    test.each([
      ['good', 'enforce', 'present', 'signal_present'],
      ['revoked', 'passive_observe', 'revoked', 'signal_revoked'],
    ] as const)('but a staple that says %s, in mode %s', async (kind, revocationMode, status, decision) => {
      const { trusted, lab } = bench();
      const leaf = await trusted.issue();
      if (kind === 'revoked') await trusted.revoke(leaf);
      const file = await lab.folder.write(`${kind}-${version}.ocsp`, await trusted.staple(leaf));
      await using origin = await startOpensslServer(leaf, ['-status_file', file, flagOf(version)]);
      const { answer, failed, events } = await asked(bench().trusted, origin, { revocationMode });
      expect({ status: answer.status, failed }).toEqual({ status: 200, failed: [] });
      expect(upstreamSuccess(events)).toMatchObject({
        upstreamOcspStaplePresent: 'true',
        upstreamOcspStapleStatus: status,
        revocationPolicyMode: revocationMode,
        revocationDecision: decision,
      });
    });

    test('an origin without verification is not refused for its staple', async () => {
      const leaf = await bench().trusted.issue({ extensions: ['tlsfeature = status_request'] });
      await using origin = await startOpensslServer(leaf, [flagOf(version)]);
      const { answer } = await asked(bench().trusted, origin, {
        revocationMode: 'enforce',
        verifyUpstreamTls: false,
      });
      expect(answer.status).toBe(200);
    });

    describe('with a client certificate', () => {
      const asks = ['-verify', '1', '-verify_return_error'];
      const demands = ['-Verify', '1', '-verify_return_error'];

      test.each([
        ['asked for', asks],
        ['demanded', demands],
      ])('that is %s, and has its chain', async (_how, wish) => {
        const { intermediate, trusted, good } = bench();
        const certificate = await intermediate.issue({ chain: [intermediate.certificate] });
        const args = [...wish, '-CAfile', trusted.certificate.certFile, flagOf(version)];
        await using origin = await startOpensslServer(good, args);
        const { answer, failed } = await asked(bench().trusted, origin, {
          ...clientAuth(certificate),
          clientAuthMode: 'required',
        });
        expect({ status: answer.status, failed }).toEqual({ status: 200, failed: [] });
        // The page of openssl shows whom it talked to.
        expect(answer.body.toString()).toContain('lab leaf');
      });

      test('that is asked for, and not there', async () => {
        await using origin = await startOpensslServer(bench().good, [...asks, flagOf(version)]);
        const { answer, failed } = await asked(bench().trusted, origin, { clientAuthMode: 'if_requested' });
        expect({ status: answer.status, failed }).toEqual({ status: 200, failed: [] });
      });

      test('for this origin alone', async () => {
        const { trusted, stranger, good } = bench();
        const [known, unknown] = [await trusted.issue(), await stranger.issue()];
        const args = [...demands, '-CAfile', trusted.certificate.certFile, flagOf(version)];
        await using origin = await startOpensslServer(good, args);
        const files = { certPath: known.certFile, keyPath: known.keyFile };
        const upstream: Upstream = {
          ...clientAuth(unknown),
          clientCertificates: [{ hosts: ['localhost'], ...files }],
        };
        expect((await asked(bench().trusted, origin, upstream)).answer.status).toBe(200);
        const elsewhere = { ...upstream, clientCertificates: [{ hosts: ['other.test'], ...files }] };
        expect((await asked(bench().trusted, origin, elsewhere)).answer.status).toBe(502);
      });
    });
  });

  test.each(['chrome_like', 'firefox_like'] as const)(
    'FP-02 FP-03 class %s is told on each handshake, and leaves a strict profile strict',
    async (fingerprintClass) => {
      const upstream: Upstream = { fingerprintMode: 'compat_class', fingerprintClass };
      const told = { tlsFingerprintMode: 'compat_class', tlsFingerprintClass: fingerprintClass };
      await using modern = await tlsOrigin(bench().good, 'TLSv1.3');
      const { answer, events } = await asked(bench().trusted, modern, upstream);
      expect(answer.status).toBe(200);
      const tlsEvents = events.filter(({ kind }) => kind.startsWith('tls_'));
      expect(tlsEvents.map((event) => ({ ...event, ...told }))).toEqual(tlsEvents);
      expect(tlsEvents[0]).toMatchObject({
        tlsFingerprintDifferences: expect.stringContaining('extension_order'),
      });
      await using old = await tlsOrigin(bench().good, 'TLSv1.2');
      const { failed } = await asked(bench().trusted, old, { ...upstream, tlsProfile: 'strict' });
      expect(failed[0]).toMatchObject({ tlsFailureReason: 'handshake', ...told });
    },
  );
});
