// Which client certificate is shown to which origin: the first listed one whose hosts match, else the one for all, else none.
import type { MitmConfig } from 'mitm-core';
import type { Authority } from 'mitm-http';
import { HostMatcher, parseHostRule } from 'mitm-policy';
import type { ClientCertificate } from 'mitm-tls';

/** Reads a PEM file; `field` names the setting in what it throws. */
export type PemReader = (path: string, field: string) => string;

export class ClientCertificates {
  /** What may be shown, by number. Number 0 is for every origin that no rule names; undefined shows none. */
  readonly shown: readonly (ClientCertificate | undefined)[];
  readonly #hosts: readonly HostMatcher[];

  /** Reads the files. Throws what `read` throws. */
  constructor(upstream: MitmConfig['upstream'], read: PemReader) {
    const { clientAuthMode, clientCertPath, clientKeyPath } = upstream;
    const listed = clientAuthMode === 'never' ? [] : upstream.clientCertificates;
    const isForAll =
      clientAuthMode !== 'never' && clientCertPath !== undefined && clientKeyPath !== undefined;
    const forAll = isForAll
      ? {
          certPem: read(clientCertPath, 'upstream.clientCertPath'),
          keyPem: read(clientKeyPath, 'upstream.clientKeyPath'),
        }
      : undefined;
    this.#hosts = listed.map(({ hosts }) => new HostMatcher(hosts.map(parseHostRule)));
    this.shown = [
      forAll,
      ...listed.map(({ certPath, keyPath, keyPassphrase }, index) => ({
        certPem: read(certPath, `upstream.clientCertificates[${index}].certPath`),
        keyPem: read(keyPath, `upstream.clientCertificates[${index}].keyPath`),
        passphrase: keyPassphrase,
      })),
    ];
  }

  /** The number of the certificate for an origin. */
  indexFor({ host, port }: Authority): number {
    return this.#hosts.findIndex((hosts) => hosts.match(host, port) !== undefined) + 1;
  }
}
