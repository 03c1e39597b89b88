// Origins whose TLS a test chooses, certificates for them from the openssl program, and what came of one request to them.
import { createServer as createTlsServer, type SecureVersion, type TlsOptions } from 'node:tls';

import type { MitmConfigInput, MitmEvent } from 'soth-mitm';

import { type ExchangeAnswer, httpsThroughProxy } from './clients.ts';
import { listen } from './listening.ts';
import {
  openOpensslLab,
  type OpensslAuthority,
  type OpensslCertificate,
  type OpensslLab,
} from './openssl-authority.ts';
import { startProxy } from './proxy.ts';

export type Upstream = NonNullable<MitmConfigInput['upstream']>;
export type HandshakeFailed = Extract<MitmEvent, { readonly kind: 'tls_handshake_failed' }>;

/** An origin that listens, by its port. */
export interface Origin extends AsyncDisposable {
  readonly port: number;
}

/** Certificates of every standing. */
export interface CertificateBench extends AsyncDisposable {
  readonly lab: OpensslLab;
  /** Whom the proxy trusts. */
  readonly trusted: OpensslAuthority;
  readonly intermediate: OpensslAuthority;
  readonly stranger: OpensslAuthority;
  readonly good: OpensslCertificate;
}

export async function openCertificateBench(): Promise<CertificateBench> {
  const lab = await openOpensslLab();
  const trusted = await lab.root('trusted');
  const [intermediate, stranger, good] = [
    await trusted.intermediate('intermediate'),
    await lab.root('stranger'),
    await trusted.issue(),
  ];
  return {
    lab,
    trusted,
    intermediate,
    stranger,
    good,
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

export const tlsVersions = ['TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];
export type TlsVersion = (typeof tlsVersions)[number];

/** The version as the openssl program takes it. */
export function flagOf(version: TlsVersion): string {
  return version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
}

export async function tlsOrigin(
  certificate: OpensslCertificate,
  version: TlsVersion,
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

export const clientAuth = (certificate: OpensslCertificate): Upstream => ({
  clientAuthMode: 'if_requested',
  clientCertPath: certificate.certFile,
  clientKeyPath: certificate.keyFile,
});

/** What came of one request through a proxy that trusts this authority, in front of an origin. */
export async function asked(
  trusted: OpensslAuthority,
  origin: Origin,
  upstream: Upstream = {},
  config: Partial<MitmConfigInput> = {},
): Promise<{
  readonly answer: ExchangeAnswer;
  readonly failed: readonly HandshakeFailed[];
  readonly events: readonly MitmEvent[];
}> {
  await using proxy = await startProxy({
    config: { ...config, upstream: { caPaths: [trusted.certificate.certFile], ...upstream } },
  });
  const url = `https://localhost:${origin.port}/`;
  const answer = await httpsThroughProxy({ ...proxy.forClients, url });
  await proxy.finish();
  const events = proxy.events.events();
  const failed = events.filter((event): event is HandshakeFailed => event.kind === 'tls_handshake_failed');
  return { answer, failed, events };
}
