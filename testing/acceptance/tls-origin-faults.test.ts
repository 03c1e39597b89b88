// Origins with every fault that TLS can have, made by the openssl program: each is put into its class, told with all that is known of
// it, and explained to the client by an answer. The table is the promise.
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type SecureVersion, type TlsOptions } from 'node:tls';

import type { MitmConfigInput, MitmEvent } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type ExchangeAnswer, httpsThroughProxy } from '../lab/clients.ts';
import { listen } from '../lab/listening.ts';
import {
  hasOpenssl,
  openOpensslLab,
  type OpensslAuthority,
  type OpensslCertificate,
  type OpensslLab,
} from '../lab/openssl-authority.ts';
import { startOpensslServer } from '../lab/openssl-server.ts';
import { startRawOrigin, startSilentOrigin } from '../lab/origins.ts';
import { startProxy } from '../lab/proxy.ts';

type Upstream = NonNullable<MitmConfigInput['upstream']>;
type Failed = Extract<MitmEvent, { readonly kind: 'tls_handshake_failed' }>;

/** An origin that listens, by its port. */
interface Origin extends AsyncDisposable {
  readonly port: number;
}

interface Bench {
  readonly lab: OpensslLab;
  /** Whom the proxy trusts. */
  readonly trusted: OpensslAuthority;
  readonly intermediate: OpensslAuthority;
  readonly stranger: OpensslAuthority;
  readonly good: OpensslCertificate;
}

const made: { bench: Bench | undefined } = { bench: undefined };

function bench(): Bench {
  if (made.bench === undefined) throw new Error('the certificates have not been made');
  return made.bench;
}

const versions = ['TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];
type Version = (typeof versions)[number];

async function tlsOrigin(
  certificate: OpensslCertificate,
  version: Version,
  options: TlsOptions = {},
): Promise<Origin> {
  const server = createTlsServer({
    cert: certificate.certPem,
    key: certificate.keyPem,
    minVersion: version,
    maxVersion: version,
    ...options,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
    );
  });
  server.on('tlsClientError', () => {});
  return listen(server);
}

/** An origin that says these bytes to a hello, and then ends in this way. */
async function rawOrigin(bytes: Buffer, ending: 'fin' | 'reset' | 'stay' = 'stay'): Promise<Origin> {
  return startRawOrigin({
    onConnection: async (socket, _index, log) => {
      await log.until((received) => received.length > 0);
      finish(socket, bytes, ending);
    },
  });
}

function finish(socket: Socket, bytes: Buffer, ending: 'fin' | 'reset' | 'stay'): void {
  if (ending === 'fin') socket.end(bytes);
  else socket.write(bytes, () => ending === 'reset' && socket.resetAndDestroy());
}

const alert = (number: number): Buffer => Buffer.from([21, 3, 3, 0, 2, 2, number]);
/** The beginning of a ServerHello in a record that promises more. */
const halfHello = Buffer.from('160303007a020000760303', 'hex');

/** What came of one request through a proxy in front of an origin. */
async function asked(
  origin: Origin,
  upstream: Upstream = {},
  config: Partial<MitmConfigInput> = {},
): Promise<{
  readonly answer: ExchangeAnswer;
  readonly failed: readonly Failed[];
  readonly events: readonly MitmEvent[];
}> {
  const { trusted } = bench();
  await using proxy = await startProxy({
    config: { ...config, upstream: { caPaths: [trusted.certificate.certFile], ...upstream } },
  });
  const url = `https://localhost:${origin.port}/`;
  const answer = await httpsThroughProxy({ proxyPort: proxy.port, url, ca: proxy.ca.certificatePem });
  await proxy.finish();
  const events = proxy.events.events();
  const failed = events.filter((event): event is Failed => event.kind === 'tls_handshake_failed');
  return { answer, failed, events };
}

interface Fault {
  readonly origin: (version: Version) => Promise<Origin>;
  readonly upstream?: Upstream;
  readonly config?: Partial<MitmConfigInput>;
  readonly reason: Failed['tlsFailureReason'];
  readonly cause: Failed['tlsFailureCause'];
  /** Told by an alert of the origin. */
  readonly alert?: number;
  /** In TLS 1.3 the origin judges a client certificate when our handshake is over. */
  readonly isLate?: boolean;
}

/** Where the versions differ, or the fault exists in one of them only. */
const versionOf: Readonly<Record<string, Version>> = {
  'a client certificate that it wants and does not get': 'TLSv1.3',
  'a client certificate that it wants and does not get, in TLS 1.2': 'TLSv1.2',
  'a version that the profile does not allow': 'TLSv1.2',
  'a version below the configured one': 'TLSv1.2',
};

const clientAuth = (certificate: OpensslCertificate): Upstream => ({
  clientAuthMode: 'if_requested',
  clientCertPath: certificate.certFile,
  clientKeyPath: certificate.keyFile,
});

const faults: Readonly<Record<string, () => Promise<Fault> | Fault>> = {
  'a certificate of an unknown authority': async () => {
    const leaf = await bench().stranger.issue();
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'unknown_ca', cause: 'untrusted' };
  },
  'the root of an unknown authority sent along': async () => {
    const { stranger } = bench();
    const leaf = await stranger.issue({ chain: [stranger.certificate] });
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'unknown_ca', cause: 'untrusted' };
  },
  'an intermediate certificate that is missing': async () => {
    const leaf = await bench().intermediate.issue();
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'unknown_ca', cause: 'untrusted' };
  },
  'a self-signed certificate': async () => {
    const leaf = await bench().lab.selfSigned(['DNS:localhost']);
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'unknown_ca', cause: 'untrusted' };
  },
  'a certificate that has expired': async () => {
    const leaf = await bench().trusted.issue({ startDate: '20200101000000Z', endDate: '20200201000000Z' });
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'cert_validation', cause: 'expired' };
  },
  'a certificate for later': async () => {
    const leaf = await bench().trusted.issue({ startDate: '20400101000000Z', endDate: '20400201000000Z' });
    return {
      origin: (version) => tlsOrigin(leaf, version),
      reason: 'cert_validation',
      cause: 'not_yet_valid',
    };
  },
  'a certificate for another name': async () => {
    const leaf = await bench().trusted.issue({ names: ['DNS:other.test'] });
    return { origin: (version) => tlsOrigin(leaf, version), reason: 'cert_validation', cause: 'wrong_name' };
  },
  'a certificate for other purposes': async () => {
    const leaf = await bench().trusted.issue({ extensions: ['extendedKeyUsage = clientAuth'] });
    return {
      origin: (version) => tlsOrigin(leaf, version),
      reason: 'cert_validation',
      cause: 'bad_certificate',
    };
  },
  'a key that is too short': async () => {
    const leaf = await bench().trusted.issue({ keyArguments: ['-newkey', 'rsa:1024'] });
    return {
      origin: (version) => tlsOrigin(leaf, version, { ciphers: 'DEFAULT@SECLEVEL=0' }),
      reason: 'cert_validation',
      cause: 'weak_certificate',
    };
  },
  'a revoked certificate, its staple says': async () => {
    const { trusted } = bench();
    const leaf = await trusted.issue();
    await trusted.revoke(leaf);
    const file = await bench().lab.folder.write('revoked.ocsp', await trusted.staple(leaf));
    return {
      origin: (version) => startOpensslServer(leaf, ['-status_file', file, flagOf(version)]),
      upstream: { revocationMode: 'enforce' },
      reason: 'cert_validation',
      cause: 'revoked',
    };
  },
  'a staple that was promised and is missing': async () => {
    const leaf = await bench().trusted.issue({ extensions: ['tlsfeature = status_request'] });
    return {
      origin: (version) => startOpensslServer(leaf, [flagOf(version)]),
      upstream: { revocationMode: 'enforce' },
      reason: 'cert_validation',
      cause: 'bad_staple',
    };
  },
  'a client certificate that it wants and does not get': () => ({
    origin: () => startOpensslServer(bench().good, ['-Verify', '1', '-verify_return_error', '-tls1_3']),
    reason: 'handshake',
    cause: 'client_certificate_required',
    alert: 116,
    isLate: true,
  }),
  'a client certificate that it wants and does not get, in TLS 1.2': () => ({
    origin: () => startOpensslServer(bench().good, ['-Verify', '1', '-verify_return_error', '-tls1_2']),
    reason: 'handshake',
    // The alert of this version does not say why.
    cause: 'refused',
    alert: 40,
  }),
  'a client certificate that it does not know': async () => {
    const { stranger, trusted, good } = bench();
    const certificate = await stranger.issue();
    const demands = ['-Verify', '1', '-verify_return_error', '-CAfile', trusted.certificate.certFile];
    return {
      origin: (version) => startOpensslServer(good, [...demands, flagOf(version)]),
      upstream: clientAuth(certificate),
      reason: 'unknown_ca',
      cause: 'client_certificate_refused',
      alert: 48,
      isLate: true,
    };
  },
  'a version that the profile does not allow': () => ({
    origin: (version) => tlsOrigin(bench().good, version),
    upstream: { tlsProfile: 'strict' },
    reason: 'handshake',
    cause: 'no_common_version',
    alert: 70,
  }),
  'a version below the configured one': () => ({
    origin: (version) => tlsOrigin(bench().good, version),
    config: { tls: { minVersion: 'tls1.3' } },
    reason: 'handshake',
    cause: 'no_common_version',
    alert: 70,
  }),
  'cipher suites that nobody else has': () => ({
    origin: (version) =>
      tlsOrigin(bench().good, version, { ciphers: 'ECDHE-ECDSA-CAMELLIA128-SHA256:TLS_AES_128_CCM_SHA256' }),
    reason: 'handshake',
    cause: 'refused',
    alert: 40,
  }),
  'no protocol that was offered': () => ({
    origin: (version) => tlsOrigin(bench().good, version, { ALPNProtocols: ['mqtt'] }),
    reason: 'handshake',
    cause: 'no_common_protocol',
    alert: 120,
  }),
  'plain HTTP': () => ({
    origin: () => rawOrigin(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'fin'),
    reason: 'handshake',
    cause: 'not_tls',
  }),
  'the greeting of something else': () => ({
    origin: () => rawOrigin(Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')),
    reason: 'handshake',
    cause: 'not_tls',
  }),
  silence: () => ({
    origin: () => startSilentOrigin(),
    config: { timeouts: { handshakeMs: 300 } },
    reason: 'timeout',
    cause: 'silent',
  }),
  'silence in the middle of its hello': () => ({
    origin: () => rawOrigin(halfHello),
    config: { timeouts: { handshakeMs: 300 } },
    reason: 'timeout',
    cause: 'silent',
  }),
  'its end after the hello': () => ({
    origin: () => rawOrigin(Buffer.alloc(0), 'fin'),
    reason: 'eof_or_reset',
    cause: 'peer_gone',
  }),
  'its end in the middle of its hello': () => ({
    origin: () => rawOrigin(halfHello, 'fin'),
    reason: 'eof_or_reset',
    cause: 'peer_gone',
  }),
  'a reset after the hello': () => ({
    origin: () => rawOrigin(Buffer.alloc(0), 'reset'),
    reason: 'eof_or_reset',
    cause: 'peer_gone',
  }),
  'a reset in the middle of its hello': () => ({
    origin: () => rawOrigin(halfHello, 'reset'),
    reason: 'eof_or_reset',
    cause: 'peer_gone',
  }),
  'a name that it does not know': () => ({
    origin: () => rawOrigin(alert(112), 'fin'),
    reason: 'handshake',
    cause: 'unknown_name',
    alert: 112,
  }),
  'an error of its own': () => ({
    origin: () => rawOrigin(alert(80), 'fin'),
    reason: 'handshake',
    cause: 'refused',
    alert: 80,
  }),
  'an alert that closes': () => ({
    origin: () => rawOrigin(Buffer.from([21, 3, 3, 0, 2, 1, 0]), 'fin'),
    reason: 'eof_or_reset',
    cause: 'peer_gone',
  }),
};

/** The upstream handshake that succeeded. */
function upstreamSuccess(events: readonly MitmEvent[]): MitmEvent | undefined {
  return events.find((event) => event.kind === 'tls_handshake_succeeded' && event.peer === 'upstream');
}

function flagOf(version: Version): string {
  return version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
}

/** Everything that each failure says, whatever it is. */
const everyField = [
  'detail',
  'phase',
  'tlsFailureReason',
  'tlsFailureSource',
  'tlsFailureCause',
  'tlsOpsProvider',
  'normalizedReason',
  'rawProviderError',
  'providerIdentity',
  'sourceConfidence',
  'upstreamOcspStaplePresent',
  'upstreamOcspStapleStatus',
  'revocationPolicyMode',
  'revocationDecision',
  'tlsFailureHostCount',
  'tlsFailureHostRollingCount',
  'tlsFailureSourceCount',
  'tlsFailureReasonCount',
  'tlsFailureGlobalCount',
  'tlsLearningDecision',
  'tlsLearningReasonCode',
  'tlsLearningHostCount',
  'tlsLearningGlobalApplied',
  'tlsLearningGlobalIgnored',
  'tlsFingerprintMode',
  'tlsFingerprintClass',
] as const satisfies readonly (keyof Failed)[];

describe.skipIf(!hasOpenssl)('an origin with', () => {
  beforeAll(async () => {
    const lab = await openOpensslLab();
    const trusted = await lab.root('trusted');
    const [intermediate, stranger, good] = [
      await trusted.intermediate('intermediate'),
      await lab.root('stranger'),
      await trusted.issue(),
    ];
    made.bench = { lab, trusted, intermediate, stranger, good };
  });
  afterAll(() => made.bench?.lab[Symbol.asyncDispose]());

  const rows = Object.entries(faults).flatMap(([name, fault]) =>
    versions
      .filter((version) => (versionOf[name] ?? version) === version)
      .map((version) => ({ name, version, fault })),
  );
  test.each(rows)('$name, $version', async ({ version, fault: prepare }) => {
    const fault = await prepare();
    await using origin = await fault.origin(version);
    const { answer, failed } = await asked(origin, fault.upstream, fault.config);
    const [first] = failed;
    expect(first).toMatchObject({
      peer: 'upstream',
      tlsFailureReason: fault.reason,
      tlsFailureCause: fault.cause,
      tlsFailureSource: 'upstream',
      sourceConfidence: 'authoritative',
      tlsLearningDecision: 'applied',
      phase: fault.isLate === true && version === 'TLSv1.3' ? 'post_handshake' : 'handshake',
      ...(fault.alert === undefined ? {} : { tlsAlert: fault.alert }),
    });
    expect(everyField.filter((field) => first?.[field] === undefined)).toEqual([]);
    expect(answer.status).toBe(fault.reason === 'timeout' ? 504 : 502);
    expect(answer.body.toString()).toMatch(
      new RegExp(`^the proxy could not connect to localhost securely \\(${fault.reason}\\): `),
    );
  });

  describe.each(versions)('nothing wrong, %s,', (version) => {
    test('is not reported as wrong', async () => {
      await using origin = await tlsOrigin(bench().good, version);
      const { answer, failed, events } = await asked(origin);
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
      const { answer, failed, events } = await asked(origin, { revocationMode });
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
      const { answer } = await asked(origin, { revocationMode: 'enforce', verifyUpstreamTls: false });
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
        const { answer, failed } = await asked(origin, {
          ...clientAuth(certificate),
          clientAuthMode: 'required',
        });
        expect({ status: answer.status, failed }).toEqual({ status: 200, failed: [] });
        // The page of openssl shows whom it talked to.
        expect(answer.body.toString()).toContain('lab leaf');
      });

      test('that is asked for, and not there', async () => {
        await using origin = await startOpensslServer(bench().good, [...asks, flagOf(version)]);
        const { answer, failed } = await asked(origin, { clientAuthMode: 'if_requested' });
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
        expect((await asked(origin, upstream)).answer.status).toBe(200);
        const elsewhere = { ...upstream, clientCertificates: [{ hosts: ['other.test'], ...files }] };
        expect((await asked(origin, elsewhere)).answer.status).toBe(502);
      });
    });
  });

  test.each(['chrome_like', 'firefox_like'] as const)(
    'FP-02 FP-03 class %s is told on each handshake, and leaves a strict profile strict',
    async (fingerprintClass) => {
      const upstream: Upstream = { fingerprintMode: 'compat_class', fingerprintClass };
      const told = { tlsFingerprintMode: 'compat_class', tlsFingerprintClass: fingerprintClass };
      await using modern = await tlsOrigin(bench().good, 'TLSv1.3');
      const { answer, events } = await asked(modern, upstream);
      expect(answer.status).toBe(200);
      const tlsEvents = events.filter(({ kind }) => kind.startsWith('tls_'));
      expect(tlsEvents.map((event) => ({ ...event, ...told }))).toEqual(tlsEvents);
      expect(tlsEvents[0]).toMatchObject({
        tlsFingerprintDifferences: expect.stringContaining('extension_order'),
      });
      await using old = await tlsOrigin(bench().good, 'TLSv1.2');
      const { failed } = await asked(old, { ...upstream, tlsProfile: 'strict' });
      expect(failed[0]).toMatchObject({ tlsFailureReason: 'handshake', ...told });
    },
  );
});
