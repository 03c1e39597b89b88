// The public face of the package: named re-exports only.
export { type TlsAlert } from './alerts.ts';
export {
  CertificateAuthority,
  type CertificateAuthoritySummary,
  generateCa,
  type GenerateCaOptions,
} from './ca.ts';
export { loadCa, type LoadCaOptions } from './ca-material.ts';
export {
  CaRotation,
  type CaRotationNotice,
  type CaRotationOptions,
  type CaRotationSettings,
  type CaRotationStage,
  caRotationStages,
  type RotateCaOptions,
} from './ca-rotation.ts';
export {
  type CaPaths,
  type LoadCaFilesOptions,
  loadCaFromFiles,
  loadOrCreateCa,
  type LoadOrCreateCaOptions,
  readCaBundle,
  readPassphrase,
  saveCa,
  type SaveCaOptions,
} from './ca-files.ts';
export {
  CertStore,
  type CertStoreOptions,
  type CertStoreSettings,
  type CertStoreStats,
  type LeafContext,
} from './cert-store.ts';
export {
  type ClientHello,
  ClientHelloReader,
  type ClientHelloReaderOptions,
  looksLikeTls,
} from './client-hello.ts';
export {
  CaError,
  type CaErrorCode,
  caErrorCodes,
  type CaErrorOptions,
  ClientHelloError,
  type ClientHelloErrorCode,
  clientHelloErrorCodes,
  ServerNameError,
  type ServerNameErrorCode,
  serverNameErrorCodes,
} from './errors.ts';
export { emptyRevocationList, type RevocationList, RevocationLists } from './crl.ts';
export { isTlsLayerError, type TlsErrorFacts, tlsErrorFacts, type TlsSide } from './failure-facts.ts';
export {
  type TlsFailureCause,
  tlsFailureCauses,
  type TlsFailureReason,
  tlsFailureReasons,
} from './failure-codes.ts';
export { type Ja3, ja3, ja4, TlsClientFingerprint } from './fingerprint.ts';
export { HelloMirror, HelloMirrorError, type MirroredContext, mirrorKey } from './hello-mirror.ts';
export { helloDifferences } from './hello-preset.ts';
export { type Leaf, LeafIssuer, type LeafKeyPair, type LeafOptions } from './leaf.ts';
export type { CertificateWishes } from './leaf-key.ts';
export {
  type CertProfile,
  certProfiles,
  type ClientAuthMode,
  clientAuthModes,
  type FingerprintClass,
  fingerprintClasses,
  type FingerprintMode,
  fingerprintModes,
  type ProfileOptions,
  profileOptions,
  type SniMode,
  sniModes,
  type TlsProfile,
  tlsProfiles,
  type TlsVersion,
  tlsVersions,
} from './profile.ts';
export { identityError } from './server-identity.ts';
export {
  judgeStaple,
  noRevocation,
  type RevocationFacts,
  type RevocationMode,
  revocationModes,
  type Staple,
  StapleError,
  stapleRefusal,
} from './staple.ts';
export { classifyTlsError, classifyTlsText } from './taxonomy.ts';
export {
  type Command as TrustCommand,
  type CommandResult as TrustCommandResult,
  type Machine as TrustMachine,
  thisMachine,
} from './trust/machine.ts';
export { type TrustStore, trustStores } from './trust/place.ts';
export {
  caTrust,
  installCaSystemTrust,
  isCaTrusted,
  type TrustChange,
  type TrustedCertificate,
  type TrustOptions,
  type TrustState,
  uninstallCaSystemTrust,
} from './trust/trust.ts';
export { TurnShare } from './turn-share.ts';
export {
  type ClientCertificate,
  type TrustedRootCounts,
  type TrustSource,
  trustSources,
  type UpstreamContextOptions,
  UpstreamContexts,
  upstreamServername,
} from './upstream-context.ts';
