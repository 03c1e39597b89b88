// Origins with every fault that TLS can have, made by the openssl program: each is put into its class, told with all that is known of
// it, and explained to the client by an answer. The table is the promise.
import type { Socket } from 'node:net';

import type { MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { hasOpenssl } from '../lab/openssl-authority.ts';
import { startOpensslServer } from '../lab/openssl-server.ts';
import { startRawOrigin, startSilentOrigin } from '../lab/origins.ts';
import {
  asked,
  type CertificateBench,
  clientAuth,
  flagOf,
  type HandshakeFailed,
  openCertificateBench,
  type Origin,
  tlsOrigin,
  tlsVersions,
  type TlsVersion,
  type Upstream,
} from '../lab/tls-origins.ts';

const made: { bench: CertificateBench | undefined } = { bench: undefined };

function bench(): CertificateBench {
  if (made.bench === undefined) throw new Error('the certificates have not been made');
  return made.bench;
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

interface Fault {
  readonly origin: (version: TlsVersion) => Promise<Origin>;
  readonly upstream?: Upstream;
  readonly config?: Partial<MitmConfigInput>;
  readonly reason: HandshakeFailed['tlsFailureReason'];
  readonly cause: HandshakeFailed['tlsFailureCause'];
  /** Told by an alert of the origin. */
  readonly alert?: number;
  /** In TLS 1.3 the origin judges a client certificate when our handshake is over. */
  readonly isLate?: boolean;
}

/** Where the versions differ, or the fault exists in one of them only. */
const versionOf: Readonly<Record<string, TlsVersion>> = {
  'a client certificate that it wants and does not get': 'TLSv1.3',
  'a client certificate that it wants and does not get, in TLS 1.2': 'TLSv1.2',
  'a version that the profile does not allow': 'TLSv1.2',
  'a version below the configured one': 'TLSv1.2',
};

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
] as const satisfies readonly (keyof HandshakeFailed)[];

describe.skipIf(!hasOpenssl)('an origin with', () => {
  beforeAll(async () => {
    made.bench = await openCertificateBench();
  });
  afterAll(() => made.bench?.[Symbol.asyncDispose]());

  const rows = Object.entries(faults).flatMap(([name, fault]) =>
    tlsVersions
      .filter((version) => (versionOf[name] ?? version) === version)
      .map((version) => ({ name, version, fault })),
  );
  test.each(rows)('$name, $version', async ({ version, fault: prepare }) => {
    const fault = await prepare();
    await using origin = await fault.origin(version);
    const { answer, failed } = await asked(bench().trusted, origin, fault.upstream, fault.config);
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
});
