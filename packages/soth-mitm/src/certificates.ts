// Finds what a proxy signs with: the authority a program gave, or the one in the configured files; and watches its age.
import { type Engine, errorText, type MitmConfig } from 'mitm-core';
import {
  CaRotation,
  type CaRotationNotice,
  type CaRotationSettings,
  type CertificateAuthority,
  CertStore,
  type CertStoreSettings,
  loadOrCreateCa,
  readPassphrase,
} from 'mitm-tls';

import { explained, explanation } from './explained.ts';

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
  return explained('ERR_MITM_CA_LOAD_FAILED', async () => {
    const ca = given ?? (await loadOrCreateCa({ ...(await caFilesOf(config)), ...caNames(tls) })).ca;
    return CertStore.create(ca, storeSettings(tls));
  });
}

/**
 * The rotation of a proxy's authority, which watches its age from now on. One that the program gave has no files, and is
 * rotated on demand only.
 *
 * @throws MitmError `ERR_MITM_CA_LOAD_FAILED` when a successor can't be read, or the authority is not ours to replace
 */
export async function rotationOf(
  config: MitmConfig,
  store: CertStore,
  options: {
    readonly given: CertificateAuthority | undefined;
    readonly onNotice: (notice: CaRotationNotice) => void;
  },
): Promise<CaRotation> {
  return explained('ERR_MITM_CA_LOAD_FAILED', async () =>
    CaRotation.begin(store, {
      ...rotationSettings(config.tls),
      files: options.given === undefined ? await caFilesOf(config) : undefined,
      onNotice: options.onNotice,
    }),
  );
}

/**
 * What a reload changes about certificates, once it is called.
 *
 * @throws MitmError `ERR_MITM_CA_OPERATION_FAILED` when the authority can't be rotated as asked; nothing has changed then
 */
export function prepareCertificates(config: MitmConfig, store: CertStore, rotation: CaRotation): () => void {
  const settings = rotationSettings(config.tls);
  try {
    rotation.check(settings);
  } catch (error) {
    throw explanation('ERR_MITM_CA_OPERATION_FAILED', error);
  }
  return () => {
    store.configure(storeSettings(config.tls));
    rotation.configure(settings);
  };
}

/** Says what happened in a rotation: an event, and a line for whoever runs the proxy. */
export function reportRotation(engine: Engine, notice: CaRotationNotice): void {
  const { stage, error, certPath } = notice;
  const fingerprints = {
    caFingerprint: notice.currentFingerprint,
    nextCaFingerprint: notice.nextFingerprint,
  };
  engine.report('ca_rotation', {
    stage,
    ...fingerprints,
    certPath,
    activatesAtUnixMs: notice.activatesAtMs,
    ...(error === undefined ? {} : { detail: errorText(error) }),
  });
  const facts = { ...fingerprints, certPath };
  if (stage === 'failed') engine.logger.error({ err: error, ...fingerprints }, 'CA rotation failed');
  else if (stage === 'announced')
    engine.logger.warn(facts, 'CA successor announced: clients have to trust it');
  else engine.logger.warn(facts, 'CA rotated: another authority signs from now on');
}

async function caFilesOf({ tls }: MitmConfig): Promise<NonNullable<CaRotationFiles>> {
  const passphrase =
    tls.caKeyPassphraseFile === undefined
      ? tls.caKeyPassphrase
      : await readPassphrase(tls.caKeyPassphraseFile);
  return { certPath: tls.caCertPath, keyPath: tls.caKeyPath, passphrase };
}

type CaRotationFiles = Parameters<typeof CaRotation.begin>[1]['files'];

function caNames(tls: MitmConfig['tls']): { readonly commonName: string; readonly organization: string } {
  return { commonName: tls.caCommonName, organization: tls.caOrganization };
}

function storeSettings(tls: MitmConfig['tls']): CertStoreSettings {
  return {
    capacity: tls.leafCertCacheCapacity,
    profile: tls.downstreamCertProfile,
    minVersion: tls.minVersion,
    crlUrl: tls.crlUrl,
  };
}

function rotationSettings(tls: MitmConfig['tls']): CaRotationSettings {
  const { caRotateAfterSeconds: after } = tls;
  return {
    afterMs: after === undefined ? undefined : after * 1_000,
    overlapMs: tls.caRotateOverlapSeconds * 1_000,
    ...caNames(tls),
  };
}
