// What the proxy itself is spoken to with, over TLS: a certificate from files, which are read again when asked to, or one of its own
// authority for its names.
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';

import { errorText, type ListenerConfig, MitmError } from 'mitm-core';
import type { CertStore } from 'mitm-tls';

type ProxyTls = NonNullable<ListenerConfig['tls']>;
type ContextSource = () => Promise<SecureContext>;

export class ProxyCertificate {
  readonly #tls: ProxyTls;
  readonly #certificates: CertStore;
  #source: ContextSource;

  private constructor(tls: ProxyTls, certificates: CertStore, source: ContextSource) {
    this.#tls = tls;
    this.#certificates = certificates;
    this.#source = source;
  }

  /**
   * Rejects with MitmError `ERR_MITM_LISTEN_FAILED` for files that can't be read or don't fit, and for names that are none.
   */
  static async open(tls: ProxyTls, certificates: CertStore): Promise<ProxyCertificate> {
    return new ProxyCertificate(tls, certificates, await contextSource(tls, certificates));
  }

  /** For the next connection. */
  context(): Promise<SecureContext> {
    return this.#source();
  }

  /**
   * Reads the files again. Rejects as `open` does; the old certificate stays then.
   *
   * @returns puts what was read in place
   */
  async prepare(): Promise<() => void> {
    const next = await contextSource(this.#tls, this.#certificates);
    return () => {
      this.#source = next;
    };
  }
}

async function contextSource(
  { names, certPath, keyPath }: ProxyTls,
  certificates: CertStore,
): Promise<ContextSource> {
  try {
    if (names !== undefined) {
      await certificates.contextFor(names);
      // Asked for anew each time: the store replaces what grows old.
      return async () => (await certificates.contextFor(names)).context;
    }
    const context = createSecureContext({
      cert: readFileSync(certPath ?? ''),
      key: readFileSync(keyPath ?? ''),
      minVersion: 'TLSv1.2',
    });
    return () => Promise.resolve(context);
  } catch (error) {
    throw new MitmError('ERR_MITM_LISTEN_FAILED', `the proxy's own certificate: ${errorText(error)}`, {
      cause: error,
    });
  }
}
