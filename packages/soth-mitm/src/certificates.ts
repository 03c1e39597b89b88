// Finds what a proxy signs with: the authority a program gave, or the one in the configured files.
import { type MitmConfig, MitmError } from 'mitm-core';
import { CaError, type CertificateAuthority, CertStore, loadOrCreateCa } from 'mitm-tls';

/**
 * The certificate store of a proxy.
 *
 * @throws MitmError `ERR_MITM_CA_LOAD_FAILED` naming the file and the fix
 */
export async function certificatesOf(
  config: MitmConfig,
  given: CertificateAuthority | undefined,
): Promise<CertStore> {
  const { tls } = config;
  try {
    const ca =
      given ??
      (
        await loadOrCreateCa({
          certPath: tls.caCertPath,
          keyPath: tls.caKeyPath,
          commonName: tls.caCommonName,
          organization: tls.caOrganization,
        })
      ).ca;
    return await CertStore.create(ca, {
      capacity: tls.leafCertCacheCapacity,
      profile: tls.downstreamCertProfile,
      minVersion: tls.minVersion,
    });
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    throw new MitmError('ERR_MITM_CA_LOAD_FAILED', error.message, { cause: error });
  }
}
