// Who origins proved to be, by upstream key: what a policy that wants to know is told of connections that others made.
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';

import { canonicalHost } from 'mitm-http';
import type { UpstreamIdentity } from 'mitm-policy';

import type { Wire } from '../wire.ts';
import type { UpstreamTarget } from './target.ts';

const MAX_IDENTITIES = 1_024;

export class OriginIdentities {
  readonly #byKey: Map<string, UpstreamIdentity>;

  constructor() {
    this.#byKey = new Map();
  }

  get(key: string): UpstreamIdentity | undefined {
    return this.#byKey.get(key);
  }

  /** Remembers the origin of a connection whose handshake is done. One that was not verified is nobody. */
  remember({ key, tls }: UpstreamTarget, { socket }: Wire): void {
    if (tls?.isVerified !== true || !(socket instanceof TLSSocket)) return;
    this.#byKey.delete(key);
    this.#byKey.set(key, identityOf(socket));
    if (this.#byKey.size <= MAX_IDENTITIES) return;
    const [oldest] = this.#byKey.keys();
    if (oldest !== undefined) this.#byKey.delete(oldest);
  }
}

/** Addresses as they are judged; patterns and names as the certificate has them. */
function nameOf(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return [isIP(text) === 0 ? text : canonicalHost(text)];
}

function identityOf(socket: TLSSocket): UpstreamIdentity {
  const { subjectaltname, subject, issuer, fingerprint256 } = socket.getPeerCertificate();
  // A certificate with none is verified by its common name.
  const names =
    subjectaltname === undefined
      ? [subject.CN ?? []].flat()
      : subjectaltname.split(', ').flatMap((entry) => nameOf(/^(?:DNS|IP Address):(.+)$/u.exec(entry)?.[1]));
  const [issuerName] = [issuer.CN].flat();
  return Object.freeze({
    names,
    fingerprint256,
    ...(issuerName === undefined ? {} : { issuer: issuerName }),
  });
}
