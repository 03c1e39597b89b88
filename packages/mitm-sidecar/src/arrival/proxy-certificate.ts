// What the proxy itself is spoken to with, over TLS: a certificate from files, or one of its own authority for its names.
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';

import { errorText, type ListenerConfig, MitmError } from 'mitm-core';
import type { CertStore } from 'mitm-tls';

/**
 * Where to get the TLS context of each connection from.
 *
 * Rejects with MitmError `ERR_MITM_LISTEN_FAILED` for files that can't be read or don't fit, and for names that are none
 */
export async function proxyContext(
  { names, certPath, keyPath }: NonNullable<ListenerConfig['tls']>,
  certificates: CertStore,
): Promise<() => Promise<SecureContext>> {
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
